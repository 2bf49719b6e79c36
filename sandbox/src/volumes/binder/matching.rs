//! Which volume satisfies a claim (upstream: `volume.FindMatchingVolume`).

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::core::{Selector, SelectorExt};

use crate::{
    meta::{is_deleting, labels, name},
    volumes::facts::{capacity, claim_ref, class_of, class_of_volume, is_bound_to, requested, volume_phase},
};

/// The volume for a claim that names none: the one reserved for it, or the tightest fit. A claim that waits for its
/// first consumer takes nothing that is not reserved for it: where its Pod goes is not known yet.
pub(super) fn find(
    claim: &PersistentVolumeClaim,
    volumes: &[Arc<PersistentVolume>],
    waits: bool,
) -> Option<Arc<PersistentVolume>> {
    let fits = |volume: &&Arc<PersistentVolume>| !is_deleting(&***volume) && fits(claim, volume);
    if let Some(reserved) = volumes.iter().filter(|volume| is_bound_to(volume, claim)).find(fits) {
        return Some(reserved.clone());
    }
    if waits {
        return None;
    }
    let selector = claim.spec.as_ref().and_then(|spec| spec.selector.clone());
    // What no selector can be made of selects nothing.
    let selector = match selector.map(Selector::try_from) {
        None => Selector::default(),
        Some(Ok(selector)) => selector,
        Some(Err(_)) => return None,
    };
    // Sizes are text to be read, and most volumes are somebody's: they are asked for last.
    let available = |volume: &&Arc<PersistentVolume>| {
        claim_ref(volume).is_none()
            && volume_phase(volume) == "Available"
            && class_of_volume(volume) == class_of(claim)
            && selector.matches(labels(&***volume))
            && offers_modes(claim, volume)
    };
    volumes
        .iter()
        .filter(available)
        .filter(fits)
        .min_by_key(|volume| (modes(volume).len(), capacity(volume), name(&***volume).to_owned()))
        .cloned()
}

/// Why a volume that a claim names cannot be its own.
pub(super) fn mismatch(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<&'static str> {
    if capacity(volume) < requested(claim) {
        return Some("requested PV is too small");
    }
    if class_of_volume(volume) != class_of(claim) {
        return Some("storageClassName does not match");
    }
    if !same_mode(claim, volume) {
        return Some("incompatible volumeMode");
    }
    (!offers_modes(claim, volume)).then_some("incompatible accessMode")
}

fn fits(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    capacity(volume) >= requested(claim) && same_mode(claim, volume)
}

fn same_mode(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref()).unwrap_or("Filesystem");
    let offered = volume.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref()).unwrap_or("Filesystem");
    wanted == offered
}

fn modes(volume: &PersistentVolume) -> &[String] {
    volume.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default()
}

fn offers_modes(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let wanted = claim.spec.iter().flat_map(|spec| spec.access_modes.iter().flatten());
    wanted.into_iter().all(|mode| modes(volume).contains(mode))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::volumes::facts::tests::{claim, volume};

    #[track_caller]
    fn check(wish: Value, offers: &[(&str, Value)], waits: bool, expect: Option<&str>) {
        let volumes: Vec<_> = offers.iter().map(|(name, spec)| Arc::new(volume(name, spec.clone()))).collect();
        let found = find(&claim("c", wish), &volumes, waits);
        assert_eq!(found.as_deref().map(name), expect);
    }

    fn sized(size: &str) -> Value {
        json!({"capacity": {"storage": size}})
    }

    #[test]
    fn the_smallest_that_is_large_enough() {
        let offers = [("large", sized("10Gi")), ("fit", sized("2Gi")), ("small", sized("512Mi"))];
        check(json!({}), &offers, false, Some("fit"));
        check(json!({"resources": {"requests": {"storage": "20Gi"}}}), &offers, false, None);
        check(json!({}), &offers, true, None);
    }

    #[test]
    fn the_one_with_fewer_ways_of_access() {
        let both = json!({"accessModes": ["ReadWriteOnce", "ReadWriteMany"]});
        let offers = [("both", both), ("once", sized("5Gi"))];
        check(json!({}), &offers, false, Some("once"));
        check(json!({"accessModes": ["ReadWriteMany"]}), &offers, false, Some("both"));
        check(json!({"accessModes": ["ReadOnlyMany"]}), &offers, false, None);
    }

    #[test]
    fn class_mode_and_reservations_count() {
        check(json!({"storageClassName": "s"}), &[("v", json!({}))], false, None);
        check(json!({"storageClassName": "s"}), &[("v", json!({"storageClassName": "s"}))], false, Some("v"));
        check(json!({"volumeMode": "Block"}), &[("v", json!({}))], false, None);
        let other = json!({"claimRef": {"namespace": "n", "name": "other"}});
        let own = json!({"claimRef": {"namespace": "n", "name": "c"}, "capacity": {"storage": "9Gi"}});
        check(json!({}), &[("v", other.clone())], false, None);
        check(json!({}), &[("a", json!({})), ("own", own.clone()), ("z", other)], false, Some("own"));
        check(json!({}), &[("own", own)], true, Some("own"));
    }

    #[test]
    fn a_selector_selects_by_labels() {
        let mut labelled = volume("labelled", json!({}));
        labelled.metadata.labels = Some([("tier".to_owned(), "fast".to_owned())].into());
        let volumes = [Arc::new(volume("a", json!({}))), Arc::new(labelled)];
        let choose = |selector: Value| {
            find(&claim("c", json!({"selector": selector})), &volumes, false).map(|v| name(&*v).to_owned())
        };
        assert_eq!(choose(json!({"matchLabels": {"tier": "fast"}})).as_deref(), Some("labelled"));
        assert_eq!(choose(json!({"matchLabels": {"tier": "slow"}})), None);
    }

    #[test]
    fn what_is_named_must_fit_too() {
        let named = |wish: Value, offer: Value| mismatch(&claim("c", wish), &volume("v", offer));
        assert_eq!(named(json!({}), json!({})), None);
        assert_eq!(named(json!({}), sized("1Mi")), Some("requested PV is too small"));
        assert_eq!(named(json!({"storageClassName": "s"}), json!({})), Some("storageClassName does not match"));
        assert_eq!(named(json!({}), json!({"volumeMode": "Block"})), Some("incompatible volumeMode"));
        assert_eq!(named(json!({"accessModes": ["ReadWriteMany"]}), json!({})), Some("incompatible accessMode"));
    }
}
