//! What becomes of a claim and of a volume (upstream: `PersistentVolumeController.syncClaim` and `syncVolume`).

use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};

use crate::{
    events::Notice,
    meta::{annotation, is_deleting, name, uid},
    volumes::facts::{
        BIND_COMPLETED, BOUND_BY_CONTROLLER, PROVISIONED_BY, SELECTED_NODE, claim_ref, class_of, default_class,
        is_bound_to, leaves_class_open, volume_of, waits_for_consumer,
    },
};

use super::matching::{find, mismatch};

/// What a claim's step depends on.
#[derive(Default)]
pub(super) struct Seen {
    /// The volume that the claim names.
    pub(super) named: Option<Arc<PersistentVolume>>,
    /// All volumes, for a claim that names none.
    pub(super) volumes: Vec<Arc<PersistentVolume>>,
    pub(super) classes: Vec<Arc<StorageClass>>,
    /// The Pods that use the claim and are on no node yet.
    pub(super) waiting: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub(super) enum ClaimStep {
    Bind(Arc<PersistentVolume>),
    /// Nothing to bind it to, and why.
    Wait(Option<Notice>),
    /// The cluster's default class has come since the claim was made.
    TakeClass(String),
    /// This provisioner is to make a volume.
    Provision(String),
    Lost(Notice),
}

pub(super) fn claim(claim: &PersistentVolumeClaim, seen: &Seen) -> ClaimStep {
    match (annotation(claim, BIND_COMPLETED), volume_of(claim)) {
        (Some(_), _) => bound(claim, seen),
        (None, _) if is_deleting(claim) => ClaimStep::Wait(None),
        (None, "") => unbound(claim, seen),
        (None, volume) => asking_for(volume, claim, seen),
    }
}

fn bound(claim: &PersistentVolumeClaim, seen: &Seen) -> ClaimStep {
    let lost = |reason, message: &str| ClaimStep::Lost(Notice::warning(reason, message));
    if volume_of(claim).is_empty() {
        return lost("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
    }
    let Some(volume) = &seen.named else {
        return lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    };
    match claim_ref(volume) {
        Some(holder) if holder.uid.as_deref() != Some(uid(claim)) => {
            lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
        }
        _ => ClaimStep::Bind(volume.clone()),
    }
}

fn asking_for(name: &str, claim: &PersistentVolumeClaim, seen: &Seen) -> ClaimStep {
    let Some(volume) = &seen.named else { return ClaimStep::Wait(None) };
    if is_bound_to(volume, claim) {
        return ClaimStep::Bind(volume.clone());
    }
    if claim_ref(volume).is_some() {
        let why = format!("volume \"{name}\" already bound to a different claim.");
        return ClaimStep::Wait(Some(Notice::warning("FailedBinding", why)));
    }
    match mismatch(claim, volume) {
        None => ClaimStep::Bind(volume.clone()),
        Some(why) => {
            let why = format!("Cannot bind to requested volume \"{name}\": {why}");
            ClaimStep::Wait(Some(Notice::warning("VolumeMismatch", why)))
        }
    }
}

fn unbound(claim: &PersistentVolumeClaim, seen: &Seen) -> ClaimStep {
    let class = seen.classes.iter().find(|class| name(&***class) == class_of(claim));
    let waits = class.is_some_and(|class| waits_for_consumer(class));
    if let Some(volume) = find(claim, &seen.volumes, waits) {
        return ClaimStep::Bind(volume);
    }
    if leaves_class_open(claim)
        && let Some(class) = default_class(&seen.classes)
    {
        return ClaimStep::TakeClass(name(&**class).to_owned());
    }
    if waits && annotation(claim, SELECTED_NODE).is_none() {
        return ClaimStep::Wait(Some(waiting_for(&seen.waiting)));
    }
    if class_of(claim).is_empty() {
        let why = "no persistent volumes available for this claim and no storage class is set";
        return ClaimStep::Wait(Some(Notice::normal("FailedBinding", why)));
    }
    let refused = |why: String| ClaimStep::Wait(Some(Notice::warning("ProvisioningFailed", why)));
    match class.map(|class| class.provisioner.as_str()) {
        None => refused(format!("storageclass.storage.k8s.io \"{}\" not found", class_of(claim))),
        // The plugins of that prefix are built into Kubernetes; none of them is left.
        Some(built_in) if built_in.starts_with("kubernetes.io/") => {
            refused(format!("no volume plugin matched name: {built_in}"))
        }
        Some(provisioner) => ClaimStep::Provision(provisioner.to_owned()),
    }
}

fn waiting_for(pods: &[String]) -> Notice {
    match pods {
        [] => Notice::normal("WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
        [pod] => Notice::normal("WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
        pods => Notice::normal("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", pods.join(","))),
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum VolumeStep {
    Phase(&'static str),
    /// The claim's own step completes the binding.
    WakeClaim,
    /// Its claim is gone. What the volume's policy asks of this controller fails, with a notice, or is not its affair.
    Release(Option<Notice>),
    /// Its claim found another volume.
    Unbind,
}

/// `holder` is the claim of the name in the volume's reference.
pub(super) fn volume(volume: &PersistentVolume, holder: Option<&PersistentVolumeClaim>) -> VolumeStep {
    let Some(reference) = claim_ref(volume) else { return VolumeStep::Phase("Available") };
    let Some(holder_uid) = reference.uid.as_deref().filter(|uid| !uid.is_empty()) else {
        return VolumeStep::Phase("Available");
    };
    let Some(holder) = holder.filter(|holder| uid(*holder) == holder_uid) else {
        return VolumeStep::Release(reclaim(volume));
    };
    match volume_of(holder) {
        "" => VolumeStep::WakeClaim,
        held if held == name(volume) => VolumeStep::Phase("Bound"),
        _ if is_provisioned(volume) && policy(volume) == "Delete" => VolumeStep::Release(reclaim(volume)),
        _ => VolumeStep::Unbind,
    }
}

/// Why a released volume's policy cannot be carried out here. Who provisioned a volume deletes it.
fn reclaim(volume: &PersistentVolume) -> Option<Notice> {
    match policy(volume) {
        "Recycle" => Some(Notice::warning("VolumeFailedRecycle", "No recycler plugin found for the volume!")),
        "Delete" if !is_provisioned(volume) => Some(Notice::warning(
            "VolumeFailedDelete",
            format!(
                "error getting deleter volume plugin for volume \"{}\": no deletable volume plugin matched",
                name(volume)
            ),
        )),
        _ => None,
    }
}

/// A volume without its binding. What a user reserved stays reserved, by name.
pub(super) fn unbind(volume: &PersistentVolume) -> PersistentVolume {
    let mut new = volume.clone();
    let by_controller =
        new.metadata.annotations.as_mut().is_some_and(|annotations| annotations.remove(BOUND_BY_CONTROLLER).is_some());
    if let Some(spec) = &mut new.spec {
        match &mut spec.claim_ref {
            Some(reference) if !by_controller => reference.uid = None,
            reference => *reference = None,
        }
    }
    new
}

fn policy(volume: &PersistentVolume) -> &str {
    let spec = volume.spec.as_ref();
    spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()).unwrap_or("Retain")
}

fn is_provisioned(volume: &PersistentVolume) -> bool {
    annotation(volume, PROVISIONED_BY).is_some()
}

#[cfg(test)]
mod tests;
