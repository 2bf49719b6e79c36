//! The volumes of a pod and how full they are; no IO.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use crate::{
    fault,
    kubelet::usage::{filled, seed},
    meta::{created, name, namespace, uid},
    volumes::claim_name,
};

use super::measure::{DISK, amount};

/// Bytes of a file system for each of its inodes.
const PER_INODE: f64 = 16_384.0;

pub(super) struct Volume {
    pub(super) name: String,
    /// The claim behind it.
    pub(super) claim: Option<String>,
    pub(super) capacity: f64,
    pub(super) used: f64,
}

impl Volume {
    pub(super) fn available(&self) -> f64 {
        (self.capacity - self.used).max(0.0)
    }

    pub(super) fn inodes(&self) -> f64 {
        (self.capacity / PER_INODE).floor()
    }

    pub(super) fn inodes_used(&self) -> f64 {
        (self.inodes() * self.used / self.capacity.max(1.0) * 0.5).floor()
    }
}

/// The volumes of a pod; `claims` finds claims.
pub(super) fn of(
    pod: &Pod,
    since: Timestamp,
    claims: &dyn Fn(&str, &str) -> Option<Arc<PersistentVolumeClaim>>,
    now: Timestamp,
) -> Vec<Volume> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let measured = volumes.iter().filter_map(|volume| match claim_name(pod, volume) {
        Some(claim) => claimed(&volume.name, &*claims(namespace(pod), &claim)?, now),
        None => Some(Volume {
            name: volume.name.clone(),
            claim: None,
            capacity: DISK,
            used: match volume.empty_dir {
                Some(_) => filled(seed(&(uid(pod), &volume.name)), since, now) * DISK / 1000.0,
                // A few small files.
                None => 12_288.0,
            },
        }),
    });
    measured.collect()
}

fn claimed(volume: &str, claim: &PersistentVolumeClaim, now: Timestamp) -> Option<Volume> {
    let granted = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
    let asked = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    let capacity = granted.or(asked).and_then(|amounts| amounts.get("storage")).and_then(amount)?;
    let is_full = fault::is_full(claim);
    let used = if is_full { capacity } else { filled(seed(&uid(claim)), created(claim), now) * capacity };
    Some(Volume { name: volume.to_owned(), claim: Some(name(claim).to_owned()), capacity, used: used.floor() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_has_its_size_and_may_be_full() {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {
            "containers": [], "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}},
                {"name": "scratch", "ephemeral": {}}, {"name": "tmp", "emptyDir": {}}, {"name": "lost",
                "persistentVolumeClaim": {"claimName": "missing"}}]}}))
            .unwrap();
        let claim = |_: &str, name: &str| -> Option<Arc<PersistentVolumeClaim>> {
            let told = if name == "p-scratch" { "slow, full" } else { "" };
            let claim = json!({"metadata": {"name": name, "annotations": {fault::ANNOTATION: told}},
                "status": {"capacity": {"storage": "1Gi"}}});
            (name != "missing").then(|| Arc::new(serde_json::from_value(claim).unwrap()))
        };
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let found = of(&pod, now, &claim, now);
        let names: Vec<_> = found.iter().map(|volume| (&*volume.name, volume.claim.as_deref())).collect();
        assert_eq!(names, [("data", Some("c")), ("scratch", Some("p-scratch")), ("tmp", None)]);
        let gibibyte = 1_073_741_824.0;
        assert_eq!((found[0].capacity, found[1].used), (gibibyte, gibibyte));
        assert!(found[0].available() > 0.0 && found[1].available() == 0.0 && found[0].inodes_used() > 0.0);
    }
}
