//! A node with what its pods take, kept up to date as pods come and go.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;

use crate::meta::{labels, name};

use super::{
    pod_info::PodInfo,
    resources::{Resources, milli},
};

/// Upstream's labels for where a node is.
pub(super) const ZONE: &str = "topology.kubernetes.io/zone";
pub(super) const REGION: &str = "topology.kubernetes.io/region";
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";

#[derive(Clone, Debug, Default)]
pub(super) struct NodeInfo {
    pub(super) name: Arc<str>,
    /// Nothing when pods are bound to a node that is not there, or not known yet.
    pub(super) node: Option<Arc<Node>>,
    pub(super) allocatable: Resources,
    /// How many pods it takes.
    pub(super) slots: usize,
    pub(super) requested: Resources,
    pub(super) assumed_use: Resources,
    pub(super) pods: Vec<Arc<PodInfo>>,
}

impl NodeInfo {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    pub(super) fn set(&mut self, node: Option<Arc<Node>>) {
        let allocatable = node.as_ref().and_then(|node| node.status.as_ref()?.allocatable.as_ref());
        let slots = allocatable.and_then(|map| milli(&map.get("pods")?.0)).map_or(0, |amount| amount / 1000);
        self.slots = usize::try_from(slots).unwrap_or(0);
        self.allocatable = Resources::from_map(allocatable);
        self.node = node;
    }

    pub(super) fn add(&mut self, pod: &Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.assumed_use.add(&pod.assumed_use);
        self.pods.push(pod.clone());
    }

    /// Takes a pod off, if it is there.
    pub(super) fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let at = self.pods.iter().position(|pod| &*pod.uid == uid)?;
        let pod = self.pods.remove(at);
        self.requested.take(&pod.requests);
        self.assumed_use.take(&pod.assumed_use);
        Some(pod)
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        labels(&**self.node.as_ref()?).get(key).map(String::as_str)
    }

    /// Region and zone, by which nodes take turns.
    pub(super) fn zone(&self) -> (&str, &str) {
        (self.label(REGION).unwrap_or_default(), self.label(ZONE).unwrap_or_default())
    }
}

/// Whether two states of a node are the same to the scheduler: heartbeats change nothing that matters here.
pub(super) fn places_like(old: &Node, new: &Node) -> bool {
    old.spec == new.spec
        && old.metadata.labels == new.metadata.labels
        && name(old) == name(new)
        && old.status.as_ref().map(|s| &s.allocatable) == new.status.as_ref().map(|s| &s.allocatable)
}
