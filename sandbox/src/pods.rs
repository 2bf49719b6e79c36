//! What all workload controllers know about pods.

use std::{cmp::Ordering, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::core::v1::{Pod, PodCondition, PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
};

use crate::{
    clock::left,
    meta::{annotation, created, is_deleting},
};

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

pub(crate) fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Counts for its controller: neither finished nor going away.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && !is_deleting(pod)
}

pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// A condition to be put on a pod: of its generation, and dated by the one it replaces unless the status differs.
pub(crate) fn dated(pod: &Pod, told: PodCondition, now: Time) -> PodCondition {
    let before = condition(pod, &told.type_).filter(|before| before.status == told.status);
    let since = before.and_then(|before| before.last_transition_time.clone());
    PodCondition {
        observed_generation: pod.metadata.generation,
        last_transition_time: Some(since.unwrap_or(now)),
        ..told
    }
}

/// The condition that says that a pod is made to go, and why.
pub(crate) const DISRUPTION_TARGET: &str = "DisruptionTarget";

pub(crate) fn disruption(pod: &Pod, reason: &str, message: &str, now: Time) -> PodCondition {
    let told = PodCondition {
        type_: DISRUPTION_TARGET.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        ..PodCondition::default()
    };
    dated(pod, told, now)
}

/// The pod with a condition in the place of the one of its type.
pub(crate) fn with_condition(pod: &Pod, told: PodCondition) -> Pod {
    let mut pod = pod.clone();
    let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    match conditions.iter_mut().find(|before| before.type_ == told.type_) {
        Some(before) => *before = told,
        None => conditions.push(told),
    }
    pod
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    condition(pod, "Ready").filter(|ready| ready.status == "True")?.last_transition_time.as_ref().map(|time| time.0)
}

pub(crate) fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    available_in(pod, min_ready_seconds, now) == Some(Duration::ZERO)
}

/// How long until a ready pod counts as available; `None` if it is not ready.
pub(crate) fn available_in(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Option<Duration> {
    if !is_ready(pod) {
        return None;
    }
    if min_ready_seconds <= 0 {
        return Some(Duration::ZERO);
    }
    Some(left(ready_since(pod)?, SignedDuration::from_secs(i64::from(min_ready_seconds)), now))
}

/// When a controller should look again because a ready pod of its becomes available by the mere passing of time.
pub(crate) fn next_available<'a>(
    pods: impl IntoIterator<Item = &'a Pod>,
    min_ready_seconds: i32,
    now: Timestamp,
) -> Option<Duration> {
    pods.into_iter().filter_map(|pod| available_in(pod, min_ready_seconds, now)).filter(|wait| !wait.is_zero()).min()
}

/// A pod made from a template for `owner`. The caller names it.
pub(crate) fn from_template(template: &PodTemplateSpec, namespace: &str, owner: OwnerReference) -> Pod {
    let given = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            labels: given.labels,
            annotations: given.annotations,
            finalizers: given.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Which of two pods a controller deletes first (upstream: `controller.ActivePods`): the one with less to lose.
pub(crate) fn deletion_order(a: &Pod, b: &Pod) -> Ordering {
    deletion_order_in(a, b, |_| 0)
}

/// The same when it is known how many of their like there are where the pods run: of those that are equal otherwise
/// the one in the larger crowd.
pub(crate) fn deletion_order_in(a: &Pod, b: &Pod, crowd: impl Fn(&Pod) -> usize) -> Ordering {
    let assigned = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let rank = |pod: &Pod| match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let cost = |pod: &Pod| {
        annotation(pod, "controller.kubernetes.io/pod-deletion-cost")
            .and_then(|text| text.parse::<i32>().ok())
            .unwrap_or(0)
    };
    assigned(a)
        .cmp(&assigned(b))
        .then(rank(a).cmp(&rank(b)))
        .then(is_ready(a).cmp(&is_ready(b)))
        .then(cost(a).cmp(&cost(b)))
        .then(crowd(b).cmp(&crowd(a)))
        .then(ready_since(b).cmp(&ready_since(a)))
        .then(restarts(b).cmp(&restarts(a)))
        .then(created(b).cmp(&created(a)))
}

pub(crate) fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|status| status.restart_count).max().unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A pod in a given state, for the plans' tests.
    pub(crate) fn pod(name: &str, phase: &str, ready: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "n", "uid": format!("uid-{name}"), "labels": {"app": "demo"},
                         "creationTimestamp": "2024-01-01T00:00:00Z"},
            "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "registry.example/app:1"}]},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": if ready {"True"} else {"False"},
                       "lastTransitionTime": "2024-01-01T00:00:10Z"}]}
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_is_available_after_being_ready_long_enough() {
        let ready = pod("a", "Running", true);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(available_in(&ready, 30, at("2024-01-01T00:00:20Z")), Some(Duration::from_secs(20)));
        assert!(is_available(&ready, 30, at("2024-01-01T00:00:40Z")));
        assert!(!is_available(&pod("b", "Running", false), 0, at("2024-01-01T00:00:40Z")));
    }

    #[test]
    fn a_disruption_is_dated_by_its_first_word() {
        let at = |second: i64| Time(Timestamp::from_second(second).unwrap());
        let first = with_condition(&pod("a", "Running", true), disruption(&pod("a", "Running", true), "X", "x", at(1)));
        let again = with_condition(&first, disruption(&first, "Y", "y", at(2)));
        let told = condition(&again, DISRUPTION_TARGET).unwrap();
        assert_eq!((told.reason.as_deref(), told.last_transition_time.clone()), (Some("Y"), Some(at(1))));
        assert_eq!(again.status.unwrap().conditions.unwrap().len(), 2, "beside the one that was there");
    }

    #[test]
    fn the_pod_with_less_to_lose_goes_first() {
        let mut pods =
            [pod("ready", "Running", true), pod("starting", "Running", false), pod("pending", "Pending", false)];
        pods.sort_by(deletion_order);
        assert_eq!(pods.each_ref().map(|pod| pod.metadata.name.as_deref().unwrap()), ["pending", "starting", "ready"]);
    }
}
