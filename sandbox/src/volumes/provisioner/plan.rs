//! Which volume is made for a claim (upstream: `external-provisioner`), and when one goes.

use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use serde_json::{Value, json};

use crate::{
    events::reference,
    meta::{annotation, is_deleting, labels, name, uid},
    volumes::{
        DRIVER,
        facts::{
            PROVISIONED_BY, SELECTED_NODE, claim_phase, class_of, csi_of, is_bound_to, provisioner_of, requested,
            volume_of, volume_phase, waits_for_consumer,
        },
        snapshots::{VolumeSnapshot, VolumeSnapshotContent},
    },
};

pub(in crate::volumes) const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

/// What the claim is to begin with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// The files of a volume, by its name.
    Volume(String),
    /// The files of a snapshot, by its handle.
    Snapshot(String),
}

/// Whether a volume is to be made for a claim now.
pub(super) fn is_asked(claim: &PersistentVolumeClaim, class: Option<&StorageClass>) -> bool {
    let waits = class.is_some_and(waits_for_consumer) && annotation(claim, SELECTED_NODE).is_none_or(str::is_empty);
    provisioner_of(claim) == Some(DRIVER)
        && volume_of(claim).is_empty()
        && !is_deleting(claim)
        && class.is_some_and(|class| class.provisioner == DRIVER)
        && !waits
}

pub(super) fn volume_name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", uid(claim))
}

/// The volume for a claim; `node` is where its first Pod goes.
pub(super) fn volume(claim: &PersistentVolumeClaim, class: &StorageClass, node: Option<&Node>) -> Value {
    let name = volume_name(claim);
    let spec = claim.spec.clone().unwrap_or_default();
    let mode = spec.volume_mode.as_deref().unwrap_or("Filesystem");
    let mut source = json!({
        "driver": DRIVER,
        "volumeHandle": name,
        "volumeAttributes": {"storage.kubernetes.io/csiProvisionerIdentity": DRIVER},
    });
    if mode == "Filesystem" {
        source["fsType"] = json!("ext4");
    }
    let mut claim_ref = json!(reference(claim));
    claim_ref["resourceVersion"] = json!(claim.metadata.resource_version);
    let mut volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "finalizers": [FINALIZER],
            "annotations": {
                PROVISIONED_BY: DRIVER,
                "volume.kubernetes.io/provisioner-deletion-secret-name": "",
                "volume.kubernetes.io/provisioner-deletion-secret-namespace": "",
            },
        },
        "spec": {
            "capacity": {"storage": requested(claim).to_string()},
            "accessModes": spec.access_modes,
            "volumeMode": mode,
            "persistentVolumeReclaimPolicy": class.reclaim_policy.as_deref().unwrap_or("Delete"),
            "storageClassName": class_of(claim),
            "mountOptions": class.mount_options,
            "claimRef": claim_ref,
            "csi": source,
        },
    });
    if let Some((key, value)) = node.and_then(topology) {
        let terms = json!([{"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}]);
        volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": terms}});
    }
    volume
}

/// From where a volume made for this node can be reached: its zone, or it alone where there are none.
fn topology(node: &Node) -> Option<(&'static str, &str)> {
    [ZONE, HOST].into_iter().find_map(|key| Some((key, labels(node).get(key)?.as_str())))
}

/// What a claim names as its source, by kind and name.
pub(super) fn named_source(claim: &PersistentVolumeClaim) -> Option<(&str, &str)> {
    let spec = claim.spec.as_ref()?;
    if let Some(source) = &spec.data_source_ref {
        return Some((&source.kind, &source.name));
    }
    spec.data_source.as_ref().map(|source| (source.kind.as_str(), source.name.as_str()))
}

/// What a clone begins with, or why it cannot be made.
pub(super) fn clone_source(
    claim: &PersistentVolumeClaim,
    origin: Option<&PersistentVolumeClaim>,
    volume: Option<&PersistentVolume>,
) -> Result<Source, String> {
    let of = named_source(claim).map_or("", |(_, name)| name);
    let Some(origin) = origin else {
        let space = claim.metadata.namespace.as_deref().unwrap_or_default();
        let missing = format!("persistentvolumeclaim \"{of}\" not found");
        return Err(format!("error getting PVC {of} (namespace \"{space}\") from api server: {missing}"));
    };
    if claim_phase(origin) != "Bound" {
        return Err(format!("the PVC DataSource {of} must have a status of Bound.  Got {}", claim_phase(origin)));
    }
    if is_deleting(origin) {
        return Err(format!("the PVC DataSource {of} is currently being deleted"));
    }
    let (wanted, held) = (requested(claim), requested(origin));
    if wanted < held {
        return Err(format!(
            "error, new PVC request must be greater than or equal in size to the specified PVC data source, requested \
             {} but source is {}",
            wanted.value(),
            held.value()
        ));
    }
    volume
        .filter(|volume| csi_of(volume).is_some_and(|(driver, _)| driver == DRIVER) && is_bound_to(volume, origin))
        .map(|volume| Source::Volume(name(volume).to_owned()))
        .ok_or_else(|| "claim in dataSource not bound or invalid".to_owned())
}

/// What a restored volume begins with, or why it cannot be made.
pub(super) fn snapshot_source(
    claim: &PersistentVolumeClaim,
    snapshot: Option<&VolumeSnapshot>,
    content: Option<&VolumeSnapshotContent>,
) -> Result<Source, String> {
    let of = named_source(claim).map_or("", |(_, name)| name);
    let Some(snapshot) = snapshot else {
        let missing = format!("volumesnapshots.snapshot.storage.k8s.io \"{of}\" not found");
        return Err(format!("error getting snapshot {of} from api server: {missing}"));
    };
    if is_deleting(snapshot) {
        return Err(format!("snapshot {of} is being deleted"));
    }
    let status = snapshot.status.clone().unwrap_or_default();
    if status.bound_volume_snapshot_content_name.is_none() {
        return Err(format!("snapshot {of} not bound"));
    }
    if status.ready_to_use != Some(true) {
        return Err(format!("snapshot {of} is not Ready"));
    }
    let handle = content.and_then(|content| content.status.as_ref()?.snapshot_handle.clone());
    let handle = handle.ok_or_else(|| format!("snapshot handle {of} is not available"))?;
    let least = status.restore_size.as_ref().and_then(|size| size.0.parse::<api_meta::Quantity>().ok());
    match least.filter(|least| requested(claim) < *least) {
        None => Ok(Source::Snapshot(handle)),
        Some(least) => Err(format!(
            "requested volume size {} is less than the size {} for the source snapshot {of}",
            requested(claim).value(),
            least.value()
        )),
    }
}

/// What becomes of a volume that this provisioner made.
#[derive(Debug, PartialEq)]
pub(super) enum VolumeStep {
    Settled,
    /// Nobody needs it any more: the volume goes, and then its object.
    Delete,
    /// The volume is the user's to keep: nothing holds its object.
    LetGo,
    /// The volume is to be deleted before its object goes.
    Hold,
}

pub(super) fn volume_step(volume: &PersistentVolume) -> VolumeStep {
    let held = volume.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    if annotation(volume, PROVISIONED_BY) != Some(DRIVER) {
        return VolumeStep::Settled;
    }
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    match (policy, volume_phase(volume)) {
        (Some("Delete"), "Released") => VolumeStep::Delete,
        (Some("Delete"), "Bound") if !held && !is_deleting(volume) => VolumeStep::Hold,
        (Some("Delete"), _) => VolumeStep::Settled,
        _ if held => VolumeStep::LetGo,
        _ => VolumeStep::Settled,
    }
}

#[cfg(test)]
mod tests;
