//! Which nodes get or lose a pod of a DaemonSet; no IO.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, DaemonSetStatus},
    core::v1::{Affinity, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration},
};

use crate::{
    meta::{controller_reference, count, is_deleting, labels, name, namespace, nonzero},
    pods, scheduler,
    workloads::{deployment, revisions::HASH},
};

#[derive(Default)]
pub(super) struct Plan {
    pub(super) create: Vec<Pod>,
    pub(super) delete: Vec<Arc<Pod>>,
}

/// What daemons always tolerate (upstream: `AddOrUpdateDaemonPodTolerations`).
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

fn tolerate(spec: &mut PodSpec) {
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
}

/// The spec of the set's pods, bound for no node yet.
fn pod_spec(set: &DaemonSet) -> PodSpec {
    let mut spec = set.spec.as_ref().and_then(|spec| spec.template.spec.clone()).unwrap_or_default();
    tolerate(&mut spec);
    spec
}

/// Whether a pod should be on the node, and whether one that is there may stay.
fn wants(spec: &PodSpec, node: &Node) -> (bool, bool) {
    if !scheduler::matches_node(spec, node) {
        return (false, false);
    }
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let refused = |effect: &str| taints.iter().any(|t| t.effect == effect && !scheduler::tolerates(tolerations, t));
    let may_stay = !refused("NoExecute");
    (may_stay && !refused("NoSchedule"), may_stay)
}

/// The node a pod is on or bound for.
fn node_of(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = &spec.node_name {
        return Some(node);
    }
    let required =
        spec.affinity.as_ref()?.node_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_ref()?;
    let field = required.node_selector_terms.first()?.match_fields.as_ref()?.first()?;
    field.values.as_ref()?.first().map(String::as_str)
}

fn by_node(children: &[Arc<Pod>]) -> BTreeMap<&str, Vec<&Arc<Pod>>> {
    let mut by_node: BTreeMap<&str, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in children {
        by_node.entry(node_of(pod).unwrap_or_default()).or_default().push(pod);
    }
    by_node
}

pub(super) fn plan(set: &DaemonSet, hash: &str, nodes: &[Arc<Node>], children: &[Arc<Pod>], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let spec = pod_spec(set);
    let mut by_node = by_node(children);
    for node in nodes {
        let present = by_node.remove(name(&**node)).unwrap_or_default();
        let (should_run, may_stay) = wants(&spec, node);
        let mut kept = 0;
        for pod in present {
            if is_deleting(&**pod) {
                // Its place is taken until it is gone.
                kept += 1;
            } else if !may_stay || pods::is_finished(pod) || kept > 0 {
                plan.delete.push(pod.clone());
            } else {
                kept += 1;
            }
        }
        if should_run && kept == 0 {
            plan.create.push(pod(set, &spec, name(&**node), hash));
        }
    }
    // Pods on nodes that are gone.
    plan.delete.extend(by_node.into_values().flatten().filter(|pod| !is_deleting(&***pod)).cloned());
    if plan.create.is_empty() && plan.delete.is_empty() {
        plan.delete = outdated(set, hash, nodes, children, now);
    }
    plan
}

/// Pods of an older revision that may go now without making more than `maxUnavailable` nodes unavailable.
fn outdated(set: &DaemonSet, hash: &str, nodes: &[Arc<Node>], children: &[Arc<Pod>], now: Timestamp) -> Vec<Arc<Pod>> {
    let Some(spec) = &set.spec else { return Vec::new() };
    let strategy = spec.update_strategy.as_ref();
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
        return Vec::new();
    }
    let pod_spec = pod_spec(set);
    let desired = count(nodes.iter().filter(|node| wants(&pod_spec, node).0).count());
    let limit = strategy.and_then(|strategy| strategy.rolling_update.as_ref()).and_then(|r| r.max_unavailable.as_ref());
    let limit = limit.map_or(1, |limit| deployment::scaled(limit, desired, true)).max(1);
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let is_up = |pod: &Arc<Pod>| !is_deleting(&**pod) && pods::is_available(pod, min_ready, now);
    let up = count(children.iter().filter(|pod| is_up(pod)).count());
    let mut room = usize::try_from(limit - (desired - up).max(0)).unwrap_or(0);
    let old = |pod: &&Arc<Pod>| !is_deleting(&***pod) && labels(&***pod).get(HASH).is_none_or(|held| held != hash);
    let mut chosen: Vec<Arc<Pod>> = children.iter().filter(old).filter(|pod| !is_up(pod)).cloned().collect();
    for pod in children.iter().filter(old).filter(|pod| is_up(pod)) {
        if room == 0 {
            break;
        }
        room -= 1;
        chosen.push(pod.clone());
    }
    chosen
}

fn pod(set: &DaemonSet, spec: &PodSpec, node: &str, hash: &str) -> Pod {
    let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = pods::from_template(&template, namespace(set), controller_reference(set));
    let mut spec = spec.clone();
    bind(&mut spec, node);
    pod.spec = Some(spec);
    pod.metadata.generate_name = Some(format!("{}-", name(set)));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(HASH.to_owned(), hash.to_owned());
    if let Some(generation) = set.metadata.generation {
        labels.insert("pod-template-generation".to_owned(), generation.to_string());
    }
    pod
}

/// The scheduler places it, but nowhere else.
fn bind(spec: &mut PodSpec, node: &str) {
    let field = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let required = &mut spec
        .affinity
        .get_or_insert_with(Affinity::default)
        .node_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution;
    let terms = required.take().map(|given| given.node_selector_terms).unwrap_or_default();
    let terms = if terms.is_empty() { vec![NodeSelectorTerm::default()] } else { terms };
    let bound = terms.into_iter().map(|term| NodeSelectorTerm { match_fields: Some(vec![field.clone()]), ..term });
    *required = Some(NodeSelector { node_selector_terms: bound.collect() });
}

pub(super) fn status(
    set: &DaemonSet,
    hash: &str,
    nodes: &[Arc<Node>],
    children: &[Arc<Pod>],
    now: Timestamp,
) -> DaemonSetStatus {
    let spec = pod_spec(set);
    let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let by_node = by_node(children);
    let mut status = DaemonSetStatus {
        observed_generation: set.metadata.generation,
        collision_count: set.status.as_ref().and_then(|status| status.collision_count),
        conditions: set.status.as_ref().and_then(|status| status.conditions.clone()),
        ..DaemonSetStatus::default()
    };
    let (mut updated, mut available) = (0, 0);
    for node in nodes {
        let pod = by_node.get(name(&**node)).and_then(|pods| pods.first());
        if !wants(&spec, node).0 {
            status.number_misscheduled += i32::from(pod.is_some());
            continue;
        }
        status.desired_number_scheduled += 1;
        let Some(pod) = pod else { continue };
        status.current_number_scheduled += 1;
        status.number_ready += i32::from(pods::is_ready(pod));
        available += i32::from(pods::is_available(pod, min_ready, now));
        updated += i32::from(labels(&***pod).get(HASH).is_some_and(|held| held == hash));
    }
    status.number_available = nonzero(available);
    status.updated_number_scheduled = nonzero(updated);
    status.number_unavailable = nonzero(status.desired_number_scheduled - available);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod as a_pod;
    use serde_json::{Value, json};

    fn set() -> DaemonSet {
        serde_json::from_value(json!({"metadata": {"name": "d", "namespace": "n", "uid": "u", "generation": 1},
            "spec": {"selector": {"matchLabels": {"app": "demo"}},
                     "template": {"metadata": {"labels": {"app": "demo"}}, "spec": {"containers": [{"name": "main"}]}}}}))
        .unwrap()
    }

    fn node(name: &str, spec: Value) -> Arc<Node> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap())
    }

    fn on(node: &str, ready: bool, hash: &str) -> Arc<Pod> {
        let mut pod = a_pod(&format!("on-{node}"), "Running", ready);
        pod.spec.as_mut().unwrap().node_name = Some(node.to_owned());
        pod.metadata.labels.as_mut().unwrap().insert(HASH.to_owned(), hash.to_owned());
        Arc::new(pod)
    }

    #[test]
    fn every_node_gets_one_even_a_cordoned_one() {
        let nodes = [
            node("a", json!({})),
            node(
                "b",
                json!({"unschedulable": true,
            "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}),
            ),
            node("c", json!({"taints": [{"key": "gpu", "effect": "NoSchedule"}]})),
        ];
        let plan = plan(&set(), "h", &nodes, &[], Timestamp::now());
        let bound: Vec<_> = plan.create.iter().map(|pod| node_of(pod).unwrap().to_owned()).collect();
        assert_eq!(bound, ["a", "b"]);
        assert!(scheduler::matches_node(plan.create[0].spec.as_ref().unwrap(), &nodes[0]));
        assert!(!scheduler::matches_node(plan.create[0].spec.as_ref().unwrap(), &nodes[1]));
    }

    #[test]
    fn pods_on_lost_nodes_go() {
        let plan =
            plan(&set(), "h", &[node("a", json!({}))], &[on("a", true, "h"), on("gone", true, "h")], Timestamp::now());
        assert_eq!(plan.delete.iter().map(|pod| name(&**pod)).collect::<Vec<_>>(), ["on-gone"]);
    }

    #[test]
    fn an_update_takes_one_node_at_a_time() {
        let nodes = [node("a", json!({})), node("b", json!({}))];
        let first = plan(&set(), "new", &nodes, &[on("a", true, "old"), on("b", true, "old")], Timestamp::now());
        assert_eq!(first.delete.len(), 1);
        let waiting = plan(&set(), "new", &nodes, &[on("a", false, "new"), on("b", true, "old")], Timestamp::now());
        assert!(waiting.delete.is_empty());
    }

    #[test]
    fn status_counts_nodes() {
        let nodes = [node("a", json!({})), node("b", json!({}))];
        let status = status(&set(), "h", &nodes, &[on("a", true, "h")], Timestamp::now());
        let seen = (status.desired_number_scheduled, status.number_ready, status.number_unavailable);
        assert_eq!(seen, (2, 1, Some(1)));
    }
}
