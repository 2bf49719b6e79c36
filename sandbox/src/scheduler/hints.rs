//! What changes may help a waiting pod (upstream: queueing hints). A change that is not listed helps nobody.

use k8s_openapi::api::core::v1::Node;

use crate::cache::Key;

use super::{
    node_affinity,
    node_info::NodeInfo,
    pod_affinity::meets_all,
    pod_info::PodInfo,
    ports,
    refusal::{Plugin, Plugins},
    resources,
    state::State,
    taints,
};

#[derive(Clone, Copy)]
pub(super) enum Change<'a> {
    /// A node came, or changed in a way that matters.
    Node(usize),
    NodeGone,
    /// A pod came onto a node, or changed there.
    Placed(&'a PodInfo),
    /// A pod left a node, or no longer waits for room there.
    Left {
        pod: &'a PodInfo,
        node: usize,
    },
    Claim(&'a Key),
    /// Volumes or storage classes.
    Storage,
    /// Labels of a namespace.
    Namespace,
}

/// Whether the change may help the pod, which these plugins refused.
pub(super) fn helps(state: &State, change: Change<'_>, pod: &PodInfo, refused_by: Plugins) -> bool {
    let by = |plugin| refused_by.contains(plugin);
    match change {
        Change::Node(slot) => {
            let info = &state.nodes[slot];
            let Some(node) = &info.node else { return false };
            by(Plugin::PodTopologySpread) || could_take(pod, info, node)
        }
        Change::NodeGone => by(Plugin::PodTopologySpread),
        Change::Placed(other) => {
            by(Plugin::InterPodAffinity) && is_company(state, pod, other)
                || by(Plugin::PodTopologySpread) && is_spread_with(pod, other)
        }
        Change::Left { pod: other, node } => {
            by(Plugin::NodeResourcesFit) && has_room(pod, &state.nodes[node])
                || by(Plugin::NodePorts) && ports::conflict(pod, other)
                || by(Plugin::VolumeRestrictions) && shares_claim(pod, other)
                || by(Plugin::PodTopologySpread) && is_spread_with(pod, other)
                || by(Plugin::InterPodAffinity)
                    && (is_company(state, pod, other) || keep_apart(state, pod, other) || keep_apart(state, other, pod))
        }
        Change::Claim(key) => pod.claims.iter().any(|claim| claim.key == *key),
        Change::Storage => by(Plugin::VolumeBinding) || by(Plugin::VolumeZone),
        Change::Namespace => by(Plugin::InterPodAffinity),
    }
}

/// Whether the node, without its pods, could take the pod.
fn could_take(pod: &PodInfo, info: &NodeInfo, node: &Node) -> bool {
    let empty = NodeInfo {
        allocatable: info.allocatable.clone(),
        slots: info.slots,
        name: info.name.clone(),
        ..NodeInfo::default()
    };
    taints::filter_unschedulable(pod.spec(), node).is_ok()
        && taints::filter(pod.spec(), node).is_ok()
        && node_affinity::matches_node(pod.spec(), node)
        && resources::filter(pod, &empty).is_ok()
}

/// Whether the pod has room, if need be once less important pods have left.
fn has_room(pod: &PodInfo, info: &NodeInfo) -> bool {
    if resources::filter(pod, info).is_ok() {
        return true;
    }
    if info.pods.iter().all(|other| other.priority >= pod.priority) {
        return false;
    }
    let mut rest = info.clone();
    for other in info.pods.iter().filter(|other| other.priority < pod.priority) {
        rest.remove(&other.uid);
    }
    resources::filter(pod, &rest).is_ok()
}

fn shares_claim(pod: &PodInfo, other: &PodInfo) -> bool {
    pod.claims.iter().any(|claim| other.claims.iter().any(|taken| taken.key == claim.key))
}

fn is_spread_with(pod: &PodInfo, other: &PodInfo) -> bool {
    let mut hard = pod.spreads.iter().filter(|spread| spread.hard);
    pod.namespace() == other.namespace() && hard.any(|spread| spread.matches(other.labels()))
}

fn is_company(state: &State, pod: &PodInfo, other: &PodInfo) -> bool {
    let of_namespace = state.namespace_labels(other.namespace());
    let near = &pod.terms.affinity;
    !near.is_empty() && meets_all(near, other.namespace(), of_namespace, other.labels())
}

fn keep_apart(state: &State, pod: &PodInfo, other: &PodInfo) -> bool {
    let of_namespace = state.namespace_labels(other.namespace());
    let mut away = pod.terms.anti_affinity.iter();
    away.any(|term| term.matches(other.namespace(), of_namespace, other.labels()))
}
