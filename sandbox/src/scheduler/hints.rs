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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::*;
    use crate::scheduler::scene::{Scene, asks, pod};

    fn app(name: &str, spec: Value) -> Arc<Pod> {
        pod(name, json!({"app": name}), spec)
    }

    fn apart_from(app: &str) -> Value {
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}}]}}})
    }

    fn near(app: &str) -> Value {
        json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}}]}}})
    }

    fn spread_with(app: &str) -> Value {
        json!({"topologySpreadConstraints": [{"topologyKey": "kubernetes.io/hostname", "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": app}}}]})
    }

    /// Whether `other`'s leaving an otherwise empty node helps a pod that `by` refused.
    #[track_caller]
    fn check_left(waiting: Value, by: Plugin, other: &Arc<Pod>, expect: bool) {
        let scene = Scene::with_nodes(1);
        let (waiting, other) = (PodInfo::new(&app("w", waiting)), PodInfo::new(other));
        assert_eq!(helps(&scene.state, Change::Left { pod: &other, node: 0 }, &waiting, by.into()), expect);
    }

    #[track_caller]
    fn check_placed(waiting: Value, by: Plugin, other: &Arc<Pod>, expect: bool) {
        let scene = Scene::with_nodes(1);
        let (waiting, other) = (PodInfo::new(&app("w", waiting)), PodInfo::new(other));
        assert_eq!(helps(&scene.state, Change::Placed(&other), &waiting, by.into()), expect);
    }

    #[test]
    fn pods_that_leave() {
        let plain = app("o", json!({}));
        check_left(json!({"containers": asks("1")}), Plugin::NodeResourcesFit, &plain, true);
        check_left(json!({"containers": asks("3")}), Plugin::NodeResourcesFit, &plain, false);
        check_left(json!({"containers": asks("1")}), Plugin::NodeAffinity, &plain, false);
        check_left(apart_from("o"), Plugin::InterPodAffinity, &plain, true);
        check_left(apart_from("x"), Plugin::InterPodAffinity, &plain, false);
        check_left(json!({}), Plugin::InterPodAffinity, &app("o", apart_from("w")), true);
        check_left(spread_with("o"), Plugin::PodTopologySpread, &plain, true);
        check_left(spread_with("x"), Plugin::PodTopologySpread, &plain, false);
        let port = json!({"containers": [{"name": "main", "ports": [{"containerPort": 80, "hostPort": 80}]}]});
        check_left(port.clone(), Plugin::NodePorts, &app("o", port.clone()), true);
        check_left(port, Plugin::NodePorts, &plain, false);
    }

    #[test]
    fn pods_that_come() {
        let plain = app("o", json!({}));
        check_placed(near("o"), Plugin::InterPodAffinity, &plain, true);
        check_placed(near("x"), Plugin::InterPodAffinity, &plain, false);
        check_placed(spread_with("o"), Plugin::PodTopologySpread, &plain, true);
        check_placed(json!({"containers": asks("1")}), Plugin::NodeResourcesFit, &plain, false);
    }

    #[test]
    fn room_counts_less_important_pods_as_room() {
        let mut scene = Scene::with_nodes(1);
        scene.run("a", &app("low", json!({"priority": 1, "containers": asks("2")})));
        let gone = PodInfo::new(&app("o", json!({})));
        let check = |priority: i32| {
            let waiting = PodInfo::new(&app("w", json!({"priority": priority, "containers": asks("1")})));
            let change = Change::Left { pod: &gone, node: 0 };
            helps(&scene.state, change, &waiting, Plugin::NodeResourcesFit.into())
        };
        assert!(check(2));
        assert!(!check(1));
    }

    #[test]
    fn nodes_that_come_or_change() {
        let mut scene = Scene::default();
        let taint = json!({"taints": [{"key": "k", "effect": "NoSchedule"}]});
        scene.node("a", json!({}), json!({})).node("b", taint, json!({}));
        let check = |slot: usize, spec: Value, by: Plugin| {
            helps(&scene.state, Change::Node(slot), &PodInfo::new(&app("w", spec)), by.into())
        };
        assert!(check(0, json!({}), Plugin::NodeResourcesFit));
        assert!(!check(1, json!({}), Plugin::NodeResourcesFit));
        assert!(!check(0, json!({"containers": asks("3")}), Plugin::NodeResourcesFit));
        assert!(!check(0, json!({"nodeSelector": {"no": "node"}}), Plugin::NodeAffinity));
        assert!(check(1, json!({}), Plugin::PodTopologySpread), "it may be another domain");
    }

    #[test]
    fn claims_help_those_who_mount_them() {
        let scene = Scene::with_nodes(1);
        let volumes = json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]});
        let waiting = PodInfo::new(&app("w", volumes));
        let check = |namespace: &str, name: &str| {
            let key = Key::new(namespace, name);
            helps(&scene.state, Change::Claim(&key), &waiting, Plugin::VolumeBinding.into())
        };
        assert!(check("n", "c"));
        assert!(!check("n", "d"));
        assert!(!check("m", "c"));
    }
}
