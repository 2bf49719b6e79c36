//! Which nodes get or lose a pod of a DaemonSet; no IO.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, DaemonSetStatus},
    core::v1::{Affinity, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration},
};

use crate::{
    clock::left,
    events::Notice,
    meta::{annotation, controller_reference, created, is_deleting, name, namespace, nonzero, uid},
    pods, scheduler,
    workloads::revisions::HASH,
};

use super::rollout;

/// No more pods than this are created or deleted at once for one set.
const BURST: usize = 250;
/// The first wait before a pod that failed on a node is deleted once more; each further one doubles it.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15 * 60);

#[derive(Default)]
pub(super) struct Plan {
    pub(super) create: Vec<Pod>,
    pub(super) delete: Vec<Arc<Pod>>,
    pub(super) events: Vec<Notice>,
    pub(super) again: Option<Duration>,
}

/// When pods of one generation of a set failed last, node by node, and for how long no other that does is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    uid: String,
    generation: Option<i64>,
    by_node: HashMap<String, (Timestamp, Duration)>,
}

impl Failures {
    /// Those of an earlier generation, or of a set that had this one's name, say nothing of it.
    pub(super) fn of(self, set: &DaemonSet) -> Self {
        let generation = set.metadata.generation;
        if (self.uid.as_str(), self.generation) == (uid(set), generation) {
            return self;
        }
        Self { uid: uid(set).to_owned(), generation, ..Self::default() }
    }

    /// How long to wait yet; if not at all, the next one waits for longer.
    fn wait(&mut self, node: &str, now: Timestamp) -> Duration {
        let before = self.by_node.get(node).copied();
        // One that is long past is forgotten.
        let before = before.filter(|(at, _)| now.duration_since(*at).unsigned_abs() <= LONGEST * 2);
        if let Some((at, wait)) = before {
            let left = SignedDuration::try_from(wait).map_or(Duration::ZERO, |wait| left(at, wait, now));
            if !left.is_zero() {
                return left;
            }
        }
        let wait = before.map_or(SHORTEST, |(_, wait)| (wait * 2).min(LONGEST));
        self.by_node.insert(node.to_owned(), (now, wait));
        Duration::ZERO
    }
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

/// And those that use the node's own network.
const TOLERATED_BY_HOST: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

fn tolerate(spec: &mut PodSpec) {
    let by_host = (spec.host_network == Some(true)).then_some(TOLERATED_BY_HOST);
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED.into_iter().chain(by_host) {
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
    let elsewhere = spec.node_name.as_deref().is_some_and(|wanted| !wanted.is_empty() && wanted != name(node));
    if elsewhere || !scheduler::matches_node(spec, node) {
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

/// What is on each node or bound for it: first what is bound, then the oldest.
fn by_node(children: &[Arc<Pod>]) -> BTreeMap<&str, Vec<&Arc<Pod>>> {
    let mut by_node: BTreeMap<&str, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in children.iter().filter(|pod| !(is_deleting(&***pod) && pods::is_finished(pod))) {
        by_node.entry(node_of(pod).unwrap_or_default()).or_default().push(pod);
    }
    let is_bound = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    for pods in by_node.values_mut() {
        pods.sort_by_key(|pod| (!is_bound(pod), created(&***pod), name(&***pod).to_owned()));
    }
    by_node
}

pub(super) fn plan(
    set: &DaemonSet,
    hash: &str,
    nodes: &[Arc<Node>],
    children: &[Arc<Pod>],
    failures: &mut Failures,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let spec = pod_spec(set);
    let mut by_node = by_node(children);
    let mut needy: Vec<&str> = Vec::new();
    // Every node that is there, and whether it should have a pod.
    let mut runs: HashMap<&str, bool> = HashMap::with_capacity(nodes.len());
    for node in nodes {
        let (should_run, may_stay) = wants(&spec, node);
        let node = name(&**node);
        runs.insert(node, should_run);
        let Some(present) = by_node.get(node) else {
            needy.extend(should_run.then_some(node));
            continue;
        };
        let staying: Vec<_> = present.iter().copied().filter(|pod| !is_deleting(&***pod)).collect();
        if !may_stay {
            plan.delete.extend(staying.into_iter().cloned());
            continue;
        }
        let (ended, running): (Vec<_>, Vec<_>) = staying.into_iter().partition(|pod| pods::is_finished(pod));
        ended.into_iter().for_each(|pod| bury(pod, node, failures, now, &mut plan));
        if !rollout::surges(set) {
            plan.delete.extend(running.into_iter().skip(1).cloned());
        } else if running.is_empty() {
            needy.extend(should_run.then_some(node));
        } else {
            pair(set, hash, running, now, &mut plan.delete);
        }
    }
    // Of those that are on nodes that are gone the nodes' controllers take care.
    let lost = by_node.iter().filter(|(at, _)| !runs.contains_key(*at));
    let unbound = lost
        .flat_map(|(_, pods)| pods)
        .filter(|pod| pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) && !is_deleting(&****pod));
    plan.delete.extend(unbound.map(|pod| (*pod).clone()));

    if needy.is_empty() && plan.delete.is_empty() && rollout::is_rolling(set) {
        for (node, _) in runs.iter().filter(|(_, should_run)| **should_run) {
            by_node.entry(*node).or_default();
        }
        let step = rollout::step(set, hash, &by_node, |node| runs.get(node) == Some(&true), now);
        (needy, plan.delete) = (step.create, step.delete);
    }
    plan.create = needy.into_iter().take(BURST).map(|node| pod(set, &spec, node, hash)).collect();
    plan.delete.truncate(BURST);
    plan
}

/// Has a pod that ended deleted, so that another takes its place; one that failed only after a while.
fn bury(pod: &Arc<Pod>, node: &str, failures: &mut Failures, now: Timestamp, plan: &mut Plan) {
    let what = format!("daemon pod {}/{} on node {node}", namespace(&**pod), name(&**pod));
    let notice = if pods::phase(pod) == "Failed" {
        let wait = failures.wait(node, now);
        if !wait.is_zero() {
            plan.again = plan.again.into_iter().chain([wait]).min();
            return;
        }
        Notice::warning("FailedDaemonPod", format!("Found failed {what}, will try to kill it"))
    } else {
        Notice::normal("SucceededDaemonPod", format!("Found succeeded {what}, will try to delete it"))
    };
    plan.events.push(notice);
    plan.delete.push(pod.clone());
}

/// Leaves a node one pod of the new template and one of the old, until the new one serves or the old one does not.
fn pair(set: &DaemonSet, hash: &str, running: Vec<&Arc<Pod>>, now: Timestamp, delete: &mut Vec<Arc<Pod>>) {
    let (new, old): (Vec<_>, Vec<_>) = running.into_iter().partition(|pod| rollout::is_updated(pod, hash));
    delete.extend(new.iter().skip(1).chain(old.iter().skip(1)).map(|pod| (*pod).clone()));
    if let (Some(new), Some(old)) = (new.first(), old.first()) {
        let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        if !pods::is_ready(old) || pods::is_available(new, min_ready, now) {
            delete.push((*old).clone());
        }
    }
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
    if let Some(generation) = annotation(set, "deprecated.daemonset.template.generation") {
        labels.insert("pod-template-generation".to_owned(), generation.to_owned());
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
    let term = NodeSelectorTerm { match_fields: Some(vec![field]), ..NodeSelectorTerm::default() };
    // In the place of the template's own terms: that the node meets those is known.
    spec.affinity
        .get_or_insert_with(Affinity::default)
        .node_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution = Some(NodeSelector { node_selector_terms: vec![term] });
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
        updated += i32::from(rollout::is_updated(pod, hash));
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

    fn planned(nodes: &[Arc<Node>], children: &[Arc<Pod>]) -> Plan {
        plan(&set(), "h", nodes, children, &mut Failures::default(), Timestamp::now())
    }

    fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
        pods.iter().map(|pod| name(&**pod)).collect()
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
        let plan = planned(&nodes, &[]);
        let bound: Vec<_> = plan.create.iter().map(|pod| node_of(pod).unwrap().to_owned()).collect();
        assert_eq!(bound, ["a", "b"]);
        assert!(scheduler::matches_node(plan.create[0].spec.as_ref().unwrap(), &nodes[0]));
        assert!(!scheduler::matches_node(plan.create[0].spec.as_ref().unwrap(), &nodes[1]));
    }

    #[test]
    fn pods_bound_for_lost_nodes_go() {
        let mut bound = (*on("gone", true, "h")).clone();
        let spec = pod(&set(), &pod_spec(&set()), "gone", "h").spec;
        (bound.spec, bound.metadata.name) = (spec, Some("bound".to_owned()));
        let children = [on("a", true, "h"), on("gone", true, "h"), Arc::new(bound)];
        assert_eq!(names(&planned(&[node("a", json!({}))], &children).delete), ["bound"]);
    }

    #[test]
    fn the_oldest_stays() {
        let mut young = (*on("a", true, "h")).clone();
        young.metadata.name = Some("young".to_owned());
        young.metadata.creation_timestamp = Some(crate::meta::now());
        let children = [Arc::new(young), on("a", true, "h")];
        assert_eq!(names(&planned(&[node("a", json!({}))], &children).delete), ["young"]);
    }

    #[test]
    fn with_surge_a_node_keeps_both_pods_until_one_of_them_is_of_no_use() {
        let mut set = set();
        set.spec.as_mut().unwrap().update_strategy =
            serde_json::from_value(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})).unwrap();
        let check = |old_ready: bool, new_ready: bool, expect: &[&str]| {
            let mut old = (*on("a", old_ready, "old")).clone();
            old.metadata.name = Some("old".to_owned());
            let children = [Arc::new(old), on("a", new_ready, "new")];
            let nodes = [node("a", json!({}))];
            let plan = plan(&set, "new", &nodes, &children, &mut Failures::default(), Timestamp::now());
            assert_eq!(names(&plan.delete), expect);
        };
        check(true, false, &[]);
        check(true, true, &["old"]);
        check(false, false, &["old"]);
    }

    #[test]
    fn a_pod_that_ended_is_told_of_and_deleted_the_failed_one_not_at_once_again() {
        let mut ended = (*on("a", false, "h")).clone();
        let mut failures = Failures::default();
        let mut at = |second: i64, phase: &str| {
            ended.status.as_mut().unwrap().phase = Some(phase.to_owned());
            let now = Timestamp::from_second(1_700_000_000 + second).unwrap();
            let nodes = [node("a", json!({}))];
            let plan = plan(&set(), "h", &nodes, &[Arc::new(ended.clone())], &mut failures, now);
            let told = plan.events.into_iter().map(|notice| notice.message).next();
            (plan.delete.len(), told, plan.again)
        };
        let message = "Found failed daemon pod n/on-a on node a, will try to kill it";
        assert_eq!(at(0, "Failed"), (1, Some(message.to_owned()), None));
        assert_eq!(at(0, "Failed"), (0, None, Some(Duration::from_secs(1))));
        assert_eq!(at(1, "Failed").0, 1);
        assert_eq!(at(2, "Failed"), (0, None, Some(Duration::from_secs(1))));
        let message = "Found succeeded daemon pod n/on-a on node a, will try to delete it";
        assert_eq!(at(2, "Succeeded"), (1, Some(message.to_owned()), None));
        assert!(failures.of(&set()).by_node.is_empty(), "another generation begins anew");
    }

    #[test]
    fn a_namesake_begins_anew() {
        let mut set = set();
        let mut failures = Failures::default().of(&set);
        failures.wait("a", Timestamp::now());
        failures = failures.of(&set);
        assert!(!failures.by_node.is_empty());
        set.metadata.uid = Some("another".to_owned());
        assert!(failures.of(&set).by_node.is_empty());
    }

    #[test]
    fn the_nodes_own_network_needs_one_toleration_more() {
        let mut set = set();
        let count = |set: &DaemonSet| pod_spec(set).tolerations.unwrap().len();
        assert_eq!(count(&set), 6);
        set.spec.as_mut().unwrap().template.spec.as_mut().unwrap().host_network = Some(true);
        assert_eq!(count(&set), 7);
    }

    #[test]
    fn status_counts_nodes() {
        let nodes = [node("a", json!({})), node("b", json!({}))];
        let status = status(&set(), "h", &nodes, &[on("a", true, "h")], Timestamp::now());
        let seen = (status.desired_number_scheduled, status.number_ready, status.number_unavailable);
        assert_eq!(seen, (2, 1, Some(1)));
    }
}
