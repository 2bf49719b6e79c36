//! Which taints a node has because of its conditions; no IO.

use k8s_openapi::{
    api::core::v1::{Node, Taint},
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::nodes::condition::{condition, readiness};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Conditions of a node that keep pods away while they hold.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];

/// Whether pods are to leave a node that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evictions {
    /// They are.
    Go,
    /// Not now: too many nodes are not ready, or another of the zone was just the last.
    Wait,
    /// None of all the nodes is ready, so there is no better place.
    Stop,
}

/// The taint that a node's readiness calls for.
fn of_readiness(node: &Node) -> Option<&'static str> {
    match readiness(node) {
        "False" => Some(NOT_READY),
        "Unknown" => Some(UNREACHABLE),
        _ => None,
    }
}

fn no_schedule(node: &Node) -> Vec<&'static str> {
    let holds = |kind: &str| condition(node, kind).is_some_and(|condition| condition.status == "True");
    let mut keys: Vec<_> = of_readiness(node).into_iter().collect();
    keys.extend(PRESSURES.iter().filter(|(kind, _)| holds(kind)).map(|(_, key)| *key));
    if node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)) {
        keys.push(UNSCHEDULABLE);
    }
    keys
}

/// Whether a taint follows from conditions, and so is put on and taken off here alone.
fn is_ours(taint: &Taint) -> bool {
    let key = taint.key.as_str();
    let of_readiness = [NOT_READY, UNREACHABLE].contains(&key);
    match taint.effect.as_str() {
        "NoExecute" => of_readiness,
        "NoSchedule" => of_readiness || key == UNSCHEDULABLE || PRESSURES.iter().any(|(_, pressure)| *pressure == key),
        _ => false,
    }
}

/// Whether the node's pods are to leave and it does not say so yet.
pub(super) fn wants_eviction(node: &Node) -> bool {
    of_readiness(node)
        .is_some_and(|key| !taints(node).iter().any(|taint| taint.key == key && taint.effect == "NoExecute"))
}

fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

/// The node with the taints it should have; nothing if it has them.
pub(super) fn tainted(node: &Node, evictions: Evictions, now: &Time) -> Option<Node> {
    let mut wanted: Vec<(&str, &str)> = no_schedule(node).into_iter().map(|key| (key, "NoSchedule")).collect();
    let evicting = of_readiness(node).filter(|_| match evictions {
        Evictions::Go => true,
        // Who was told to leave is not called back, also when a node that was not ready is unreachable now.
        Evictions::Wait => taints(node).iter().any(|taint| taint.effect == "NoExecute" && is_ours(taint)),
        Evictions::Stop => false,
    });
    wanted.extend(evicting.map(|key| (key, "NoExecute")));
    let mut kept: Vec<Taint> = taints(node).to_vec();
    kept.retain(|taint| !is_ours(taint) || wanted.contains(&(taint.key.as_str(), taint.effect.as_str())));
    for (key, effect) in wanted {
        if !kept.iter().any(|taint| taint.key == key && taint.effect == effect) {
            let (key, effect) = (key.to_owned(), effect.to_owned());
            kept.push(Taint { key, effect, value: None, time_added: Some(now.clone()) });
        }
    }
    if kept == taints(node) {
        return None;
    }
    let mut changed = node.clone();
    changed.spec.get_or_insert_default().taints = (!kept.is_empty()).then_some(kept);
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    fn now() -> Time {
        Time(Timestamp::from_second(7).unwrap())
    }

    fn node(ready: &str, others: &[&str], spec: Value) -> Node {
        let mut conditions = vec![json!({"type": "Ready", "status": ready})];
        conditions.extend(others.iter().map(|kind| json!({"type": kind, "status": "True"})));
        serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}}))
            .unwrap()
    }

    /// The taints that the node ends up with, without `node.kubernetes.io/`.
    #[track_caller]
    fn check(node: &Node, evictions: Evictions, expect: &[&str]) {
        let changed = tainted(node, evictions, &now());
        let taints = taints(changed.as_ref().unwrap_or(node));
        let short = |taint: &Taint| {
            format!("{}:{}", taint.key.strip_prefix("node.kubernetes.io/").unwrap_or(&taint.key), taint.effect)
        };
        assert_eq!(taints.iter().map(short).collect::<Vec<_>>(), expect);
        if let Some(changed) = changed {
            assert!(tainted(&changed, evictions, &now()).is_none(), "it settles");
        }
    }

    #[test]
    fn readiness_taints() {
        check(&node("True", &[], json!({})), Evictions::Go, &[]);
        check(&node("False", &[], json!({})), Evictions::Go, &["not-ready:NoSchedule", "not-ready:NoExecute"]);
        check(&node("Unknown", &[], json!({})), Evictions::Go, &["unreachable:NoSchedule", "unreachable:NoExecute"]);
        check(&node("Unknown", &[], json!({})), Evictions::Wait, &["unreachable:NoSchedule"]);
        check(&node("Unknown", &[], json!({})), Evictions::Stop, &["unreachable:NoSchedule"]);
    }

    #[test]
    fn pressures_and_cordons_keep_pods_away() {
        let pressed = node("True", &["MemoryPressure", "DiskPressure", "PIDPressure"], json!({}));
        check(
            &pressed,
            Evictions::Go,
            &["memory-pressure:NoSchedule", "disk-pressure:NoSchedule", "pid-pressure:NoSchedule"],
        );
        check(&node("True", &[], json!({"unschedulable": true})), Evictions::Go, &["unschedulable:NoSchedule"]);
    }

    /// Tainted by somebody, and by us with these effects.
    fn marked(effects: &[&str]) -> Value {
        let mut taints = vec![json!({"key": "hot", "effect": "NoExecute"})];
        taints.extend(effects.iter().map(|effect| json!({"key": UNREACHABLE, "effect": effect})));
        json!({"taints": taints})
    }

    #[test]
    fn recovery_takes_off_ours_and_no_others() {
        check(&node("True", &[], marked(&["NoSchedule", "NoExecute"])), Evictions::Go, &["hot:NoExecute"]);
    }

    #[test]
    fn one_reason_takes_the_place_of_the_other() {
        let expect = &["hot:NoExecute", "not-ready:NoSchedule", "not-ready:NoExecute"];
        for evictions in [Evictions::Go, Evictions::Wait] {
            check(&node("False", &[], marked(&["NoSchedule", "NoExecute"])), evictions, expect);
        }
        let stopped = &["hot:NoExecute", "not-ready:NoSchedule"];
        check(&node("False", &[], marked(&["NoSchedule", "NoExecute"])), Evictions::Stop, stopped);
    }

    #[test]
    fn taints_say_since_when() {
        let changed = tainted(&node("Unknown", &[], json!({})), Evictions::Go, &now()).unwrap();
        assert!(taints(&changed).iter().all(|taint| taint.time_added == Some(now())));
    }
}
