//! Chooses a node for a pod, or says in upstream's words why there is none. No IO.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Taint};

use crate::meta::name;

use super::{
    NodeUsage,
    affinity::{matches_node, preference, tolerates},
    resources::{Resources, requests},
};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Bind(String),
    Unschedulable(String),
}

/// Whether taking other pods away could help, which decides the second half of upstream's message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hope {
    None,
    Preemption,
}

pub(super) fn decide(pod: &Pod, nodes: &[Arc<Node>], usage: impl Fn(&str) -> NodeUsage) -> Verdict {
    let Some(spec) = &pod.spec else { return Verdict::Unschedulable("pod has no spec".to_owned()) };
    if nodes.is_empty() {
        return Verdict::Unschedulable("no nodes available to schedule pods".to_owned());
    }
    let asked = requests(pod);
    let mut best: Option<(i64, &str)> = None;
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut hopeless = 0;
    for node in nodes {
        let used = usage(name(&**node));
        match refusals(spec, &asked, node, &used) {
            (why, _) if why.is_empty() => {
                let score = score(spec, &asked, node, &used);
                // The first by name among equals keeps decisions repeatable.
                if best.is_none_or(|(top, _)| score > top) {
                    best = Some((score, name(&**node)));
                }
            }
            (why, hope) => {
                hopeless += usize::from(hope == Hope::None);
                for reason in why {
                    *reasons.entry(reason).or_insert(0) += 1;
                }
            }
        }
    }
    match best {
        Some((_, node)) => Verdict::Bind(node.to_owned()),
        None => Verdict::Unschedulable(message(nodes.len(), &reasons, hopeless)),
    }
}

fn refusals(spec: &PodSpec, asked: &Resources, node: &Node, used: &NodeUsage) -> (Vec<String>, Hope) {
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let node_spec = node.spec.clone().unwrap_or_default();
    let unschedulable = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    if node_spec.unschedulable == Some(true) && !tolerates(tolerations, &unschedulable) {
        return (vec!["node(s) were unschedulable".to_owned()], Hope::None);
    }
    let taints = node_spec.taints.unwrap_or_default();
    let hard = |taint: &&Taint| taint.effect != "PreferNoSchedule" && !tolerates(tolerations, taint);
    if let Some(taint) = taints.iter().find(hard) {
        let value = taint.value.as_deref().unwrap_or_default();
        return (vec![format!("node(s) had untolerated taint {{{}: {value}}}", taint.key)], Hope::None);
    }
    if !matches_node(spec, node) {
        return (vec!["node(s) didn't match Pod's node affinity/selector".to_owned()], Hope::None);
    }
    let allocatable = Resources::from_map(node.status.as_ref().and_then(|status| status.allocatable.as_ref()));
    let mut why = Vec::new();
    if (i128::from(used.pods) + 1) * 1000 > allocatable.get("pods") {
        why.push("Too many pods".to_owned());
    }
    for (resource, amount) in asked.0.iter().filter(|(_, amount)| **amount > 0) {
        if used.requested.get(resource) + amount > allocatable.get(resource) {
            why.push(format!("Insufficient {resource}"));
        }
    }
    (why, Hope::Preemption)
}

/// Least allocated first, weighed with preferred affinity and soft taints; between 0 and a few hundred.
fn score(spec: &PodSpec, asked: &Resources, node: &Node, used: &NodeUsage) -> i64 {
    let allocatable = Resources::from_map(node.status.as_ref().and_then(|status| status.allocatable.as_ref()));
    let free = |resource: &str| {
        let all = allocatable.get(resource).max(1);
        let left = (all - used.requested.get(resource) - asked.get(resource)).max(0);
        i64::try_from(left * 100 / all).unwrap_or(0)
    };
    let slots = i64::try_from(allocatable.get("pods") / 1000).unwrap_or(0).max(1);
    // Pods without requests still spread, by the number of pods.
    let balance = (free("cpu") + free("memory")) * 10 / 2 + (slots - used.pods).max(0) * 1000 / slots;
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let soft = taints.iter().filter(|t| t.effect == "PreferNoSchedule" && !tolerates(tolerations, t)).count();
    balance + preference(spec, node) * 20 - i64::try_from(soft).unwrap_or(0) * 3000
}

fn message(nodes: usize, reasons: &BTreeMap<String, usize>, hopeless: usize) -> String {
    let mut listed: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    listed.sort();
    let mut preemption = Vec::new();
    if nodes > hopeless {
        preemption.push(format!("{} No preemption victims found for incoming pod", nodes - hopeless));
    }
    if hopeless > 0 {
        preemption.push(format!("{hopeless} Preemption is not helpful for scheduling"));
    }
    format!(
        "0/{nodes} nodes are available: {}. preemption: 0/{nodes} nodes are available: {}.",
        listed.join(", "),
        preemption.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(name: &str, extra: Value) -> Arc<Node> {
        let mut value = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {},
            "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"}}});
        if let Value::Object(spec) = extra {
            value["spec"] = Value::Object(spec);
        }
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn pod(spec: Value) -> Pod {
        let mut value = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main"}]}});
        for (key, part) in spec.as_object().unwrap() {
            value["spec"][key] = part.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    #[track_caller]
    fn refused(pod: &Pod, nodes: &[Arc<Node>], expect: &str) {
        let verdict = decide(pod, nodes, |_| NodeUsage::default());
        assert_eq!(verdict, Verdict::Unschedulable(expect.to_owned()));
    }

    #[test]
    fn no_nodes() {
        refused(&pod(json!({})), &[], "no nodes available to schedule pods");
    }

    #[test]
    fn node_selector() {
        let nodes = [node("a", json!({})), node("b", json!({}))];
        refused(
            &pod(json!({"nodeSelector": {"no": "node"}})),
            &nodes,
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. \
             preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
        );
    }

    #[test]
    fn too_large_and_cordoned() {
        let nodes = [node("a", json!({})), node("b", json!({"unschedulable": true}))];
        let large = pod(json!({"containers": [{"name": "main", "resources": {"requests": {"cpu": "3"}}}]}));
        refused(
            &large,
            &nodes,
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. preemption: 0/2 nodes are \
             available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.",
        );
    }

    #[test]
    fn taints_are_respected() {
        let tainted = [node("a", json!({"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}))];
        refused(
            &pod(json!({})),
            &tainted,
            "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}. \
             preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        );
        let tolerant = pod(json!({"tolerations": [{"key": "gpu", "operator": "Exists"}]}));
        assert_eq!(decide(&tolerant, &tainted, |_| NodeUsage::default()), Verdict::Bind("a".to_owned()));
    }

    #[test]
    fn the_least_allocated_node_wins() {
        let nodes = [node("a", json!({})), node("b", json!({}))];
        let busy = |name: &str| NodeUsage { pods: i64::from(name == "a") * 5, ..NodeUsage::default() };
        assert_eq!(decide(&pod(json!({})), &nodes, busy), Verdict::Bind("b".to_owned()));
    }
}
