//! What claims, volumes and classes say about each other, and the annotations that they say it with.

use std::{collections::BTreeMap, sync::Arc};

use api_meta::Quantity;
use k8s_openapi::{
    api::{
        core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod, Volume},
        storage::v1::StorageClass,
    },
    apimachinery::pkg::api::resource::Quantity as Amount,
};

use crate::{
    cache::Key,
    meta::{annotation, created, name, namespace, uid},
};

pub(super) const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
pub(super) const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Who is to make a volume for a claim; under both names, as upstream writes it.
pub(super) const PROVISIONERS: [&str; 2] =
    ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];
/// The scheduler's choice, for which a volume is to be made.
pub(super) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
pub(super) const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// The class, before it was a field.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// The class of a claim; empty for none.
pub(super) fn class_of(claim: &PersistentVolumeClaim) -> &str {
    let field = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    annotation(claim, CLASS).or(field).unwrap_or_default()
}

/// Whether a claim leaves its class to the cluster.
pub(super) fn leaves_class_open(claim: &PersistentVolumeClaim) -> bool {
    annotation(claim, CLASS).is_none() && claim.spec.as_ref().is_none_or(|spec| spec.storage_class_name.is_none())
}

pub(super) fn class_of_volume(volume: &PersistentVolume) -> &str {
    let field = volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    annotation(volume, CLASS).or(field).unwrap_or_default()
}

/// The volume that a claim names; empty for none.
pub(super) fn volume_of(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default()
}

pub(super) fn storage(amounts: Option<&BTreeMap<String, Amount>>) -> Quantity {
    amounts.and_then(|amounts| amounts.get("storage")).and_then(|amount| amount.0.parse().ok()).unwrap_or_default()
}

pub(super) fn requested(claim: &PersistentVolumeClaim) -> Quantity {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    storage(resources.and_then(|resources| resources.requests.as_ref()))
}

pub(super) fn capacity(volume: &PersistentVolume) -> Quantity {
    storage(volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()))
}

pub(super) fn claim_phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

pub(super) fn volume_phase(volume: &PersistentVolume) -> &str {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// The claim that a volume is bound to or reserved for.
pub(super) fn claim_ref(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume.spec.as_ref()?.claim_ref.as_ref()
}

/// Where the object of a reference is.
pub(super) fn key_of(reference: &ObjectReference) -> Key {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    Key::new(&part(&reference.namespace), &part(&reference.name))
}

/// Whether a volume is bound to a claim, or reserved for it.
pub(super) fn is_bound_to(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(reference) = claim_ref(volume) else { return false };
    reference.name.as_deref() == Some(name(claim))
        && reference.namespace.as_deref() == Some(namespace(claim))
        && reference.uid.as_deref().is_none_or(|of| of.is_empty() || of == uid(claim))
}

/// A class whose volumes are made where their first Pod goes.
pub(super) fn waits_for_consumer(class: &StorageClass) -> bool {
    class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
}

/// The class of claims that name none: the newest of those marked.
pub(super) fn default_class(classes: &[Arc<StorageClass>]) -> Option<&Arc<StorageClass>> {
    let marked = classes.iter().filter(|class| annotation(&***class, DEFAULT_CLASS) == Some("true"));
    marked.max_by(|a, b| created(&***a).cmp(&created(&***b)).then(name(&***b).cmp(name(&***a))))
}

/// Who is to make a volume for a claim.
pub(super) fn provisioner_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    PROVISIONERS.iter().rev().find_map(|key| annotation(claim, key))
}

/// The driver of a volume, and its name for the volume.
pub(super) fn csi_of(volume: &PersistentVolume) -> Option<(&str, &str)> {
    let csi = volume.spec.as_ref()?.csi.as_ref()?;
    Some((&csi.driver, &csi.volume_handle))
}

/// The claims that a Pod mounts, those made for it alone as well.
pub(super) fn claims_of(pod: &Pod) -> impl Iterator<Item = String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(move |volume| claim_name(pod, volume))
}

/// The claim behind a volume of a Pod.
pub(crate) fn claim_name(pod: &Pod, volume: &Volume) -> Option<String> {
    match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(claim), _) => Some(claim.claim_name.clone()),
        (None, Some(_)) => Some(format!("{}-{}", name(pod), volume.name)),
        (None, None) => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A claim for 1 GiB in the namespace `n`, with more in its `spec`.
    pub(in crate::volumes) fn claim(name: &str, extra: Value) -> PersistentVolumeClaim {
        let mut spec = json!({"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "resources": {"requests": {"storage": "1Gi"}}});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n", "uid": format!("uid-{name}")},
            "spec": spec, "status": {"phase": "Pending"}}))
        .unwrap()
    }

    /// An available volume of 1 GiB, with more in its `spec`.
    pub(in crate::volumes) fn volume(name: &str, extra: Value) -> PersistentVolume {
        let mut spec = json!({"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/v"}});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(json!({"metadata": {"name": name, "uid": format!("uid-{name}")}, "spec": spec,
            "status": {"phase": "Available"}}))
        .unwrap()
    }

    pub(in crate::volumes) fn class(name: &str, extra: Value) -> Arc<StorageClass> {
        let mut class = json!({"metadata": {"name": name}, "provisioner": "example.com/p"});
        class.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Arc::new(serde_json::from_value(class).unwrap())
    }

    #[test]
    fn the_newest_default_class_counts() {
        let marked = |name: &str, at: &str| {
            class(
                name,
                json!({"metadata": {"name": name, "creationTimestamp": at,
                "annotations": {DEFAULT_CLASS: "true"}}}),
            )
        };
        let classes = [
            marked("a", "2024-01-01T00:00:00Z"),
            marked("b", "2024-01-02T00:00:00Z"),
            class("c", json!({})),
            marked("d", "2024-01-02T00:00:00Z"),
        ];
        assert_eq!(default_class(&classes).map(|class| name(&**class)), Some("b"));
        assert!(default_class(&classes[2..3]).is_none());
    }

    #[test]
    fn a_reservation_by_name_is_a_binding_and_an_older_namesake_s_is_not() {
        let reserved = |uid: Value| volume("v", json!({"claimRef": {"namespace": "n", "name": "c", "uid": uid}}));
        assert!(is_bound_to(&reserved(json!(null)), &claim("c", json!({}))));
        assert!(is_bound_to(&reserved(json!("uid-c")), &claim("c", json!({}))));
        assert!(!is_bound_to(&reserved(json!("older")), &claim("c", json!({}))));
        assert!(!is_bound_to(&volume("v", json!({})), &claim("c", json!({}))));
    }
}
