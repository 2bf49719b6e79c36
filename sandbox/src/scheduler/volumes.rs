//! Claims and the nodes on which they can be met (upstream: `VolumeBinding`, `VolumeRestrictions`, `VolumeZone`).
//!
//! No IO: what was chosen is carried out by [`super::binding`]. Capacity that storage drivers publish, and limits of
//! attached volumes, are not looked at: simulated nodes have neither.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::core::SelectorExt;

use crate::{
    cache::Key,
    meta::{annotation, is_deleting, labels, name, namespace, uid},
};

use super::{
    node_affinity::selects,
    node_info::{NodeInfo, REGION, ZONE},
    pod_info::{Claimed, PodInfo},
    refusal::{Plugin, Refusal},
    resources::milli,
    terms::parse,
};

pub(super) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const BOUND: &str = "pv.kubernetes.io/bind-completed";
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
const EXCLUSIVE: &str = "ReadWriteOncePod";

/// Where storage objects are read from.
pub(super) trait Storage {
    fn claim(&self, key: &Key) -> Option<Arc<PersistentVolumeClaim>>;
    fn volume(&self, name: &str) -> Option<Arc<PersistentVolume>>;
    fn class(&self, name: &str) -> Option<Arc<StorageClass>>;
    fn volumes(&self) -> Vec<Arc<PersistentVolume>>;
}

/// What was decided about storage and is not in the objects yet.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// Volumes by name, each with its claim.
    volumes: HashMap<String, Key>,
    /// Claims with the node that was chosen for them.
    nodes: HashMap<Key, String>,
}

impl Promises {
    pub(super) fn make(&mut self, choice: &Choice, node: &str) {
        self.volumes.extend(choice.bind.iter().map(|(v, claim)| (name(&**v).to_owned(), Key::of(&**claim))));
        self.nodes.extend(choice.provision.iter().map(|claim| (Key::of(&**claim), node.to_owned())));
    }

    /// They were kept, or cannot be.
    pub(super) fn release(&mut self, claims: &[Claimed]) {
        for claim in claims {
            self.nodes.remove(&claim.key);
            self.volumes.retain(|_, holder| *holder != claim.key);
        }
    }
}

/// What a pod needs of storage.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// The volumes of bound claims; nothing where a volume does not exist.
    bound: Vec<Option<Arc<PersistentVolume>>>,
    unbound: Vec<Unbound>,
    /// Claims that no other pod may use at the same time.
    pub(super) exclusive: Vec<Key>,
}

/// A claim that waits for its first pod.
#[derive(Clone, Debug)]
struct Unbound {
    claim: Arc<PersistentVolumeClaim>,
    class: Arc<StorageClass>,
    /// The node that was chosen before.
    node: Option<String>,
    /// Volumes that would do, smallest first.
    candidates: Vec<Arc<PersistentVolume>>,
}

/// What a pod's claims get on its node.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) bind: Vec<(Arc<PersistentVolume>, Arc<PersistentVolumeClaim>)>,
    pub(super) provision: Vec<Arc<PersistentVolumeClaim>>,
}

impl Choice {
    pub(super) fn is_empty(&self) -> bool {
        self.bind.is_empty() && self.provision.is_empty()
    }
}

pub(super) fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    volume_name(claim).is_some() && (annotation(claim, BOUND).is_some() || phase == Some("Bound"))
}

fn volume_name(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.volume_name.as_deref().filter(|name| !name.is_empty())
}

pub(super) fn class_of(claim: &PersistentVolumeClaim) -> &str {
    let given = annotation(claim, "volume.beta.kubernetes.io/storage-class");
    given.or_else(|| claim.spec.as_ref()?.storage_class_name.as_deref()).unwrap_or_default()
}

/// Looks at a pod's claims before any node is asked. An error names the plugin that refuses and says why.
pub(super) fn wanted(pod: &PodInfo, storage: &dyn Storage, promises: &Promises) -> Result<Wanted, (Plugin, String)> {
    let mut wanted = Wanted::default();
    let refuse = |why| (Plugin::VolumeBinding, why);
    let mut immediate = false;
    for claimed in &pod.claims {
        let claim = usable(pod, claimed, storage).map_err(refuse)?;
        let modes = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
        if modes.iter().any(|mode| mode == EXCLUSIVE) {
            wanted.exclusive.push(claimed.key.clone());
        }
        if is_bound(&claim) {
            wanted.bound.push(volume_name(&claim).and_then(|name| storage.volume(name)));
            continue;
        }
        let class = storage.class(class_of(&claim));
        match class.filter(|class| waits(class) && volume_name(&claim).is_none()) {
            Some(class) => {
                let candidates = candidates(&claim, storage, promises);
                let chosen = annotation(&*claim, SELECTED_NODE).map(str::to_owned);
                let node = chosen.or_else(|| promises.nodes.get(&claimed.key).cloned());
                wanted.unbound.push(Unbound { claim, class, node, candidates });
            }
            None => immediate = true,
        }
    }
    if immediate {
        return Err(refuse("pod has unbound immediate PersistentVolumeClaims".to_owned()));
    }
    // Small claims first, so that they do not take what a larger one needs.
    wanted.unbound.sort_by_key(|unbound| requested(&unbound.claim));
    Ok(wanted)
}

fn waits(class: &StorageClass) -> bool {
    class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
}

fn usable(pod: &PodInfo, claimed: &Claimed, storage: &dyn Storage) -> Result<Arc<PersistentVolumeClaim>, String> {
    let claim_name = &claimed.key.name;
    let Some(claim) = storage.claim(&claimed.key) else {
        return Err(if claimed.ephemeral {
            format!("waiting for ephemeral volume controller to create the persistentvolumeclaim \"{claim_name}\"")
        } else {
            format!("persistentvolumeclaim \"{claim_name}\" not found")
        });
    };
    if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") {
        let volume = volume_name(&claim).unwrap_or_default();
        return Err(format!(
            "persistentvolumeclaim \"{claim_name}\" bound to non-existent persistentvolume \"{volume}\""
        ));
    }
    if is_deleting(&*claim) {
        return Err(format!("persistentvolumeclaim \"{claim_name}\" is being deleted"));
    }
    let owners = claim.metadata.owner_references.as_deref().unwrap_or_default();
    if claimed.ephemeral && !owners.iter().any(|owner| *owner.uid == *pod.uid && owner.controller == Some(true)) {
        let (claim, pod) = (&claimed.key, &pod.key);
        return Err(format!("PVC {claim:?} was not created for pod {pod:?} (pod is not owner)"));
    }
    Ok(claim)
}

fn requested(claim: &PersistentVolumeClaim) -> i128 {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    requests.and_then(|requests| milli(&requests.get("storage")?.0)).unwrap_or(0)
}

fn capacity(volume: &PersistentVolume) -> i128 {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref());
    capacity.and_then(|capacity| milli(&capacity.get("storage")?.0)).unwrap_or(0)
}

fn candidates(claim: &PersistentVolumeClaim, storage: &dyn Storage, promises: &Promises) -> Vec<Arc<PersistentVolume>> {
    let key = Key::of(claim);
    let free =
        |volume: &Arc<PersistentVolume>| promises.volumes.get(name(&**volume)).is_none_or(|holder| *holder == key);
    let mut found: Vec<_> = storage.volumes().into_iter().filter(|v| free(v) && could_serve(v, claim)).collect();
    // What is kept for the claim comes before anything else.
    found.sort_by_key(|volume| (!is_kept_for(volume, claim), capacity(volume), name(&**volume).to_owned()));
    found
}

fn is_kept_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let holder = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    holder.is_some_and(|holder| {
        holder.name.as_deref() == Some(name(claim))
            && holder.namespace.as_deref() == Some(namespace(claim))
            && holder.uid.as_deref().is_none_or(|holder| holder.is_empty() || holder == uid(claim))
    })
}

fn could_serve(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let (Some(offered), Some(asked)) = (&volume.spec, &claim.spec) else { return false };
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".to_owned());
    let enough = capacity(volume) >= requested(claim) && mode(&offered.volume_mode) == mode(&asked.volume_mode);
    if is_deleting(volume) || !enough {
        return false;
    }
    if is_kept_for(volume, claim) {
        return true;
    }
    let modes = offered.access_modes.as_deref().unwrap_or_default();
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let selected = match &asked.selector {
        Some(selector) => parse(selector).is_some_and(|selector| selector.matches(labels(volume))),
        None => true,
    };
    phase == Some("Available")
        && offered.claim_ref.is_none()
        && selected
        && offered.storage_class_name.as_deref().unwrap_or_default() == class_of(claim)
        && asked.access_modes.iter().flatten().all(|mode| modes.contains(mode))
}

impl Wanted {
    /// Whether no other pod uses what this one must have alone; `others` counts the users of its exclusive claims.
    pub(super) fn filter_exclusive(others: i64) -> Result<(), Refusal> {
        const REASON: &str = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode \
                              already in-use by another pod";
        if others > 0 { Err(Refusal::for_now(Plugin::VolumeRestrictions, REASON)) } else { Ok(()) }
    }

    /// What the claims would get on the node, or why they cannot be met there.
    pub(super) fn choose(&self, info: &NodeInfo) -> Result<Choice, Refusal> {
        let Some(node) = &info.node else { return Ok(Choice::default()) };
        let mut refusal = Refusal { plugin: Plugin::VolumeBinding, resolvable: false, reasons: Vec::new() };
        if self.bound.iter().flatten().any(|volume| !reachable(volume, node)) {
            refusal.reasons.push("node(s) didn't match PersistentVolume's node affinity".into());
        }
        let choice = self.choose_unbound(node);
        if choice.is_none() {
            refusal.reasons.push("node(s) didn't find available persistent volumes to bind".into());
        }
        if self.bound.iter().any(Option::is_none) {
            let reason = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
            refusal.reasons.push(reason.into());
        }
        choice.filter(|_| refusal.reasons.is_empty()).ok_or(refusal)
    }

    fn choose_unbound(&self, node: &Node) -> Option<Choice> {
        let mut choice = Choice::default();
        for unbound in &self.unbound {
            let chosen = unbound.node.as_deref();
            if chosen.is_some_and(|chosen| chosen != name(node)) {
                return None;
            }
            let taken = |volume: &Arc<PersistentVolume>| choice.bind.iter().any(|(v, _)| name(&**v) == name(&**volume));
            let mut fitting = unbound.candidates.iter().filter(|volume| !taken(volume) && reachable(volume, node));
            match fitting.next().filter(|_| chosen.is_none()) {
                Some(volume) => choice.bind.push((volume.clone(), unbound.claim.clone())),
                None if provisions(&unbound.class, node) => choice.provision.push(unbound.claim.clone()),
                None => return None,
            }
        }
        Some(choice)
    }

    /// Volumes that are bound to a zone must be used there.
    pub(super) fn filter_zone(&self, info: &NodeInfo) -> Result<(), Refusal> {
        let fits = |volume: &Arc<PersistentVolume>| {
            [ZONE, REGION].into_iter().all(|key| match (labels(&**volume).get(key), info.label(key)) {
                (Some(zones), Some(here)) => zones.split("__").any(|zone| zone == here),
                (Some(_), None) => info.zone() == ("", ""),
                (None, _) => true,
            })
        };
        if self.bound.iter().flatten().all(fits) {
            return Ok(());
        }
        Err(Refusal::for_good(Plugin::VolumeZone, "node(s) had no available volume zone"))
    }
}

fn reachable(volume: &PersistentVolume, node: &Node) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    affinity.is_none_or(|required| selects(required, node))
}

fn provisions(class: &StorageClass, node: &Node) -> bool {
    let topologies = class.allowed_topologies.as_deref().unwrap_or_default();
    let allowed = topologies.is_empty()
        || topologies.iter().any(|term| {
            let mut wanted = term.match_label_expressions.iter().flatten();
            wanted.all(|label| labels(node).get(&label.key).is_some_and(|value| label.values.contains(value)))
        });
    allowed && !class.provisioner.is_empty() && class.provisioner != NO_PROVISIONER
}

#[cfg(test)]
mod tests;
