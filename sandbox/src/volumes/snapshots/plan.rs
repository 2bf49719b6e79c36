//! What becomes of a snapshot and of its content (upstream: `snapshot-controller` and `csi-snapshotter`).

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{PersistentVolume, PersistentVolumeClaim},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Time},
};

use crate::{
    events::reference,
    meta::{annotation, is_deleting, name, namespace, seconds, uid},
    volumes::{
        DRIVER,
        facts::{claim_phase, csi_of, is_bound_to},
    },
};

use super::api::{
    ContentSource, VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent, VolumeSnapshotContentSpec,
    VolumeSnapshotStatus,
};

/// On a snapshot that volumes may be restored from.
const AS_SOURCE: &str = "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection";
/// On a snapshot whose content goes with it.
const BOUND: &str = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection";
pub(super) const OF_CONTENT: &str = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection";
/// On a claim that a snapshot is being made of.
pub(super) const OF_CLAIM: &str = "snapshot.storage.kubernetes.io/pvc-as-source-protection";
pub(super) const BEING_DELETED: &str = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted";
pub(super) const DEFAULT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";

/// What a snapshot's step depends on.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) claim: Option<Arc<PersistentVolumeClaim>>,
    pub(super) volume: Option<Arc<PersistentVolume>>,
    /// The content of the name that [`content_name`] says.
    pub(super) content: Option<Arc<VolumeSnapshotContent>>,
    pub(super) classes: Vec<Arc<VolumeSnapshotClass>>,
    /// Whether a volume is being restored from it.
    pub(super) restoring: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum SnapshotStep {
    Settled,
    Fail {
        reason: &'static str,
        message: String,
    },
    Finalizers(Vec<String>),
    TakeClass(String),
    /// The claim must stay until the snapshot is made.
    HoldClaim,
    Create(Box<VolumeSnapshotContent>),
    /// A content that exists learns which snapshot it belongs to.
    BindContent,
    Report(VolumeSnapshotStatus),
    /// It is to go, but a volume is being restored from it.
    InUse,
    Leave {
        mark_content: bool,
        delete_content: bool,
        finalizers: Vec<String>,
    },
}

/// The content that belongs to a snapshot: the one it is bound to or names, or the one to be made for it.
pub(super) fn content_name(snapshot: &VolumeSnapshot) -> String {
    let bound = snapshot.status.as_ref().and_then(|status| status.bound_volume_snapshot_content_name.clone());
    let named = snapshot.spec.source.volume_snapshot_content_name.clone();
    bound.or(named).unwrap_or_else(|| format!("snapcontent-{}", uid(snapshot)))
}

pub(super) fn is_ready(snapshot: &VolumeSnapshot) -> bool {
    snapshot
        .status
        .as_ref()
        .is_some_and(|status| status.ready_to_use == Some(true) && status.bound_volume_snapshot_content_name.is_some())
}

fn belongs(content: &VolumeSnapshotContent, snapshot: &VolumeSnapshot) -> bool {
    let of = &content.spec.volume_snapshot_ref;
    of.name.as_deref() == Some(name(snapshot))
        && of.namespace.as_deref() == Some(namespace(snapshot))
        && of.uid.as_deref().is_none_or(|of| of.is_empty() || of == uid(snapshot))
}

pub(super) fn snapshot(snapshot: &VolumeSnapshot, seen: &Seen) -> SnapshotStep {
    if is_deleting(snapshot) {
        return leave(snapshot, seen);
    }
    if is_ready(snapshot) {
        return match &seen.content {
            None => fail("SnapshotContentMissing", "VolumeSnapshotContent is missing"),
            Some(content) if !belongs(content, snapshot) => {
                fail("SnapshotMisbound", "VolumeSnapshotContent is not bound to the VolumeSnapshot correctly")
            }
            Some(_) => hold(snapshot, seen).unwrap_or(SnapshotStep::Settled),
        };
    }
    let step = match &snapshot.spec.source.volume_snapshot_content_name {
        Some(named) => existing(named, snapshot, seen),
        None => made(snapshot, seen),
    };
    match step {
        SnapshotStep::Fail { .. } => step,
        _ => hold(snapshot, seen).unwrap_or(step),
    }
}

fn fail(reason: &'static str, message: impl Into<String>) -> SnapshotStep {
    SnapshotStep::Fail { reason, message: message.into() }
}

/// The finalizers that a snapshot lacks.
fn hold(snapshot: &VolumeSnapshot, seen: &Seen) -> Option<SnapshotStep> {
    let held = snapshot.metadata.finalizers.clone().unwrap_or_default();
    let bound = snapshot.status.as_ref().is_some_and(|status| status.bound_volume_snapshot_content_name.is_some());
    let goes_along = seen.content.as_ref().is_some_and(|content| content.spec.deletion_policy == "Delete");
    let wanted = [(AS_SOURCE, true), (BOUND, bound && goes_along)];
    let missing = wanted.iter().filter(|(finalizer, wanted)| *wanted && !held.iter().any(|held| held == finalizer));
    let missing: Vec<String> = missing.map(|(finalizer, _)| (*finalizer).to_owned()).collect();
    (!missing.is_empty()).then(|| SnapshotStep::Finalizers(held.into_iter().chain(missing).collect()))
}

/// A snapshot that existed before.
fn existing(named: &str, snapshot: &VolumeSnapshot, seen: &Seen) -> SnapshotStep {
    let Some(content) = &seen.content else {
        return fail("SnapshotContentMissing", "VolumeSnapshotContent is missing");
    };
    if content.spec.source.snapshot_handle.is_none() {
        let why = "VolumeSnapshotContent is dynamically provisioned while expecting a pre-provisioned one";
        return fail("SnapshotContentMismatch", why);
    }
    if !belongs(content, snapshot) {
        let why = format!("VolumeSnapshotContent [{named}] is bound to a different snapshot");
        return fail("SnapshotContentMisbound", why);
    }
    if content.spec.volume_snapshot_ref.uid.as_deref() != Some(uid(snapshot)) {
        return SnapshotStep::BindContent;
    }
    report(snapshot, content)
}

/// A snapshot that is to be made from a claim.
fn made(snapshot: &VolumeSnapshot, seen: &Seen) -> SnapshotStep {
    if let Some(content) = &seen.content {
        if !belongs(content, snapshot) {
            let why = format!("VolumeSnapshotContent [{}] is bound to a different snapshot", name(&**content));
            return fail("SnapshotContentMisbound", why);
        }
        return report(snapshot, content);
    }
    let Some(class) = &snapshot.spec.volume_snapshot_class_name else {
        return match default_class(snapshot, seen) {
            Ok(class) => SnapshotStep::TakeClass(class),
            Err(why) => {
                fail("SetDefaultSnapshotClassFailed", format!("Failed to set default snapshot class with error {why}"))
            }
        };
    };
    let Some(class) = seen.classes.iter().find(|known| name(&***known) == class) else {
        let missing = format!("volumesnapshotclass.snapshot.storage.k8s.io \"{class}\" not found");
        return fail("GetSnapshotClassFailed", format!("Failed to get snapshot class with error {missing}"));
    };
    let failed = |why: String| {
        fail("SnapshotContentCreationFailed", format!("Failed to create snapshot content with error {why}"))
    };
    let Some(claim) = &seen.claim else {
        let of = name(snapshot);
        return failed(format!(
            "snapshot controller failed to update {of} on API server: cannot get claim from snapshot"
        ));
    };
    let volume = match source_volume(snapshot, seen) {
        Ok(volume) => volume,
        Err(why) => {
            return failed(format!("failed to get input parameters to create snapshot {}: {why:?}", name(snapshot)));
        }
    };
    let Some((_, handle)) = csi_of(volume) else {
        return failed(format!("cannot find CSI PersistentVolumeSource for volume {}", name(volume)));
    };
    if !claim.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == OF_CLAIM) {
        if is_deleting(&**claim) {
            let of = name(&**claim);
            let why = "cannot add finalizer on claim because it is being deleted";
            return failed(format!("snapshot controller failed to update {of} on API server: {why}"));
        }
        return SnapshotStep::HoldClaim;
    }
    SnapshotStep::Create(Box::new(content_for(snapshot, class, volume, handle)))
}

fn content_for(
    snapshot: &VolumeSnapshot,
    class: &VolumeSnapshotClass,
    volume: &PersistentVolume,
    handle: &str,
) -> VolumeSnapshotContent {
    let spec = VolumeSnapshotContentSpec {
        deletion_policy: class.deletion_policy.clone(),
        driver: class.driver.clone(),
        source: ContentSource { volume_handle: Some(handle.to_owned()), snapshot_handle: None },
        source_volume_mode: volume.spec.as_ref().and_then(|spec| spec.volume_mode.clone()),
        volume_snapshot_class_name: Some(name(class).to_owned()),
        volume_snapshot_ref: reference(snapshot),
    };
    let mut content = VolumeSnapshotContent::new(&content_name(snapshot), spec);
    content.metadata.finalizers = Some(vec![OF_CONTENT.to_owned()]);
    content
}

/// The default class of the driver of the volume that is to be copied.
fn default_class(snapshot: &VolumeSnapshot, seen: &Seen) -> Result<String, String> {
    let volume = source_volume(snapshot, seen)?;
    let Some((driver, _)) = csi_of(volume) else {
        let (space, of) = (namespace(snapshot), name(snapshot));
        return Err(format!("snapshotting non-CSI volumes is not supported, snapshot:{space}/{of}"));
    };
    let marked = |class: &&Arc<VolumeSnapshotClass>| {
        annotation(&***class, DEFAULT_CLASS) == Some("true") && class.driver == driver
    };
    let found: Vec<_> = seen.classes.iter().filter(marked).collect();
    match found.as_slice() {
        [only] => Ok(name(&***only).to_owned()),
        [] => Err("cannot find default snapshot class".to_owned()),
        many => Err(format!("{} default snapshot classes were found", many.len())),
    }
}

fn source_volume<'a>(snapshot: &VolumeSnapshot, seen: &'a Seen) -> Result<&'a PersistentVolume, String> {
    let named = snapshot.spec.source.persistent_volume_claim_name.as_deref().unwrap_or_default();
    let Some(claim) = &seen.claim else {
        let missing = format!("persistentvolumeclaim \"{named}\" not found");
        return Err(format!("failed to retrieve PVC {named} from the lister: {missing:?}"));
    };
    if claim_phase(claim) != "Bound" {
        return Err(format!("the PVC {named} is not yet bound to a PV, will not attempt to take a snapshot"));
    }
    let volume = seen.volume.as_deref().filter(|volume| is_bound_to(volume, claim));
    volume.ok_or_else(|| "claim in dataSource not bound or invalid".to_owned())
}

/// A snapshot's status, as its content has it.
fn report(snapshot: &VolumeSnapshot, content: &VolumeSnapshotContent) -> SnapshotStep {
    let said = content.status.clone().unwrap_or_default();
    let at = said.creation_time.and_then(|at| Timestamp::from_nanosecond(at.into()).ok());
    let status = VolumeSnapshotStatus {
        bound_volume_snapshot_content_name: Some(name(content).to_owned()),
        creation_time: at.map(|at| Time(seconds(at))),
        error: said.error,
        ready_to_use: Some(said.ready_to_use == Some(true)),
        restore_size: said.restore_size.map(|bytes| Quantity(binary(bytes))),
    };
    if snapshot.status.as_ref() == Some(&status) { SnapshotStep::Settled } else { SnapshotStep::Report(status) }
}

/// Bytes with the largest unit that leaves a whole number, as quantities are written.
fn binary(bytes: i64) -> String {
    let (mut number, mut units) = (bytes, ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter());
    let mut unit = units.next().copied().unwrap_or_default();
    while number != 0
        && number % 1024 == 0
        && let Some(larger) = units.next()
    {
        (number, unit) = (number / 1024, larger);
    }
    format!("{number}{unit}")
}

fn leave(snapshot: &VolumeSnapshot, seen: &Seen) -> SnapshotStep {
    let held = snapshot.metadata.finalizers.clone().unwrap_or_default();
    if !held.iter().any(|held| held == AS_SOURCE || held == BOUND) {
        return SnapshotStep::Settled;
    }
    let content = seen.content.as_deref().filter(|content| belongs(content, snapshot));
    if content.is_some() && seen.restoring {
        return SnapshotStep::InUse;
    }
    let goes_along = content.is_some_and(|content| content.spec.deletion_policy == "Delete");
    // With a content that goes along it waits until that is gone.
    let finalizers = held.into_iter().filter(|held| held != AS_SOURCE && (held != BOUND || goes_along)).collect();
    SnapshotStep::Leave {
        mark_content: content.is_some_and(|content| annotation(content, BEING_DELETED).is_none()),
        delete_content: goes_along && content.is_some_and(|content| !is_deleting(content)),
        finalizers,
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum ContentStep {
    Settled,
    Hold,
    /// A snapshot of the volume of this handle is to be made.
    Take(String),
    /// The snapshot of this handle is said to exist.
    Look(String),
    /// Its object may go, and this snapshot with it.
    Remove(Option<String>),
}

pub(super) fn content(content: &VolumeSnapshotContent) -> ContentStep {
    let source = &content.spec.source;
    let held = content.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == OF_CONTENT);
    if content.spec.driver != DRIVER {
        return ContentStep::Settled;
    }
    let status = content.status.clone().unwrap_or_default();
    if is_deleting(content) {
        let unbound = source.snapshot_handle.is_some() && content.spec.volume_snapshot_ref.uid.is_none();
        return match held && (unbound || annotation(content, BEING_DELETED).is_some()) {
            true => ContentStep::Remove(status.snapshot_handle.filter(|_| content.spec.deletion_policy == "Delete")),
            false => ContentStep::Settled,
        };
    }
    if !held {
        return ContentStep::Hold;
    }
    match (status.ready_to_use, &source.volume_handle, &source.snapshot_handle) {
        (Some(true), ..) => ContentStep::Settled,
        (_, Some(volume), _) => ContentStep::Take(volume.clone()),
        (_, None, Some(snapshot)) => ContentStep::Look(snapshot.clone()),
        (_, None, None) => ContentStep::Settled,
    }
}

#[cfg(test)]
mod tests;
