//! A pod with what the scheduler reads of it, parsed once for each change.

use std::sync::{Arc, LazyLock};

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use crate::{
    cache::Key,
    meta::{is_deleting, labels, name, namespace, uid},
    pods,
};

use super::{
    ports::{self, HostPort},
    resources::{Resources, assumed_use, requests},
    terms::{Labels, Spread, Terms},
};

#[derive(Debug)]
pub(super) struct PodInfo {
    pub(super) pod: Arc<Pod>,
    pub(super) uid: Arc<str>,
    pub(super) key: Key,
    pub(super) priority: i32,
    pub(super) requests: Resources,
    pub(super) assumed_use: Resources,
    pub(super) ports: Vec<HostPort>,
    pub(super) terms: Terms,
    pub(super) spreads: Vec<Spread>,
    /// The claims it mounts, by name.
    pub(super) claims: Vec<Claimed>,
}

/// A claim that a pod mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) key: Key,
    /// Made for this pod alone.
    pub(super) ephemeral: bool,
}

impl PodInfo {
    pub(super) fn new(pod: &Arc<Pod>) -> Self {
        Self {
            uid: uid(&**pod).into(),
            key: Key::of(&**pod),
            priority: pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0),
            requests: requests(pod),
            assumed_use: assumed_use(pod),
            ports: ports::of_pod(pod),
            terms: Terms::of(pod),
            spreads: Spread::all_of(pod),
            claims: claims(pod),
            pod: pod.clone(),
        }
    }

    pub(super) fn spec(&self) -> &PodSpec {
        static EMPTY: LazyLock<PodSpec> = LazyLock::new(PodSpec::default);
        self.pod.spec.as_ref().unwrap_or(&EMPTY)
    }

    pub(super) fn labels(&self) -> &Labels {
        labels(&*self.pod)
    }

    pub(super) fn namespace(&self) -> &str {
        &self.key.namespace
    }

    pub(super) fn is_terminating(&self) -> bool {
        is_deleting(&*self.pod)
    }

    pub(super) fn is_gated(&self) -> bool {
        self.spec().scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty())
    }

    /// The node that was promised to it while victims leave.
    pub(super) fn nominated_node(&self) -> Option<&str> {
        self.pod.status.as_ref()?.nominated_node_name.as_deref().filter(|name| !name.is_empty())
    }

    /// Whether nothing that placement depends on differs.
    pub(super) fn places_like(&self, new: &Pod) -> bool {
        self.pod.spec == new.spec
            && self.pod.metadata.labels == new.metadata.labels
            && self.is_terminating() == is_deleting(new)
            && pods::is_finished(&self.pod) == pods::is_finished(new)
    }
}

pub(super) fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

fn claims(pod: &Pod) -> Vec<Claimed> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => Some(Claimed { key: Key::new(namespace(pod), &claim.claim_name), ephemeral: false }),
            (None, Some(_)) => {
                let name = format!("{}-{}", name(pod), volume.name);
                Some(Claimed { key: Key::new(namespace(pod), &name), ephemeral: true })
            }
            (None, None) => None,
        })
        .collect()
}
