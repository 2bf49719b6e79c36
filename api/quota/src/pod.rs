//! What one Pod uses of a quota, what a quota requires of it, and the scopes that it is in.

use std::collections::{BTreeMap, BTreeSet};

use api_meta::{LabelSelector, Object, Quantity, Requirement, Value};
use jiff::{SignedDuration, Timestamp};

use crate::Amounts;
use crate::resources::{containers, pod_limits, pod_requests};
use crate::scope::{Operator, Scope};

const NAMES: [&str; 11] = [
    "count/pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];

/// Where a quota limits these, every container must state them: a mistake of old that upstream keeps.
const MUST_BE_STATED: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

pub(crate) fn measures(name: &str) -> bool {
    NAMES.contains(&name)
        || ["hugepages-", "requests.hugepages-"].iter().any(|prefix| name.starts_with(prefix))
        || (name.starts_with("requests.") && !is_native(name))
}

/// Kubernetes' own resources carry no domain, or its own.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A Pod that has ended is still an object, and no more than that.
pub(crate) fn usage(pod: &Object, now: Timestamp) -> Amounts {
    let mut usage = Amounts::default();
    usage.set("count/pods", Quantity::whole(1));
    if is_charged(pod, now) {
        usage.add(&compute(&pod_requests(pod, true), &pod_limits(pod, true)));
    }
    usage
}

fn is_charged(pod: &Object, now: Timestamp) -> bool {
    if matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed")) {
        return false;
    }
    let overdue = pod.deletion_grace_period_seconds().and_then(|grace| {
        let deletion: Timestamp = pod.deletion_timestamp()?.parse().ok()?;
        deletion.checked_add(SignedDuration::from_secs(grace)).ok()
    });
    // A lost node must not keep others from taking the place.
    overdue.is_none_or(|at| now <= at)
}

fn compute(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut result = Amounts::default();
    result.set("pods", Quantity::whole(1));
    for (name, amount) in &requests.0 {
        match &**name {
            "cpu" | "memory" | "ephemeral-storage" => {
                result.set(name, *amount);
                result.set(format!("requests.{name}"), *amount);
            }
            huge if huge.starts_with("hugepages-") => {
                result.set(huge, *amount);
                result.set(format!("requests.{huge}"), *amount);
            }
            other if !is_native(other) && !other.starts_with("requests.") => {
                result.set(format!("requests.{other}"), *amount);
            }
            _ => {}
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = limits.get(name) {
            result.set(format!("limits.{name}"), amount);
        }
    }
    result
}

/// What containers leave unsaid although a quota limits it.
pub(crate) fn unstated(pod: &Object, limited: &[&str]) -> Result<(), String> {
    let required: Vec<&str> = MUST_BE_STATED.into_iter().filter(|name| limited.contains(name)).collect();
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in containers(pod, "containers").chain(containers(pod, "initContainers")) {
        let list = |name: &str| Amounts::of(container.get("resources").and_then(|r| r.get(name)));
        let stated = compute(&list("requests"), &list("limits"));
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        for resource in required.iter().filter(|resource| stated.get(resource).is_none()) {
            missing.entry(resource).or_default().insert(name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = missing
        .into_iter()
        .map(|(resource, names)| format!("{resource} for: {}", names.into_iter().collect::<Vec<_>>().join(",")))
        .collect();
    Err(format!("must specify {}", texts.join("; ")))
}

pub(crate) fn is_in(pod: &Object, scope: &Scope) -> bool {
    match &*scope.name {
        "Terminating" => is_terminating(pod),
        "NotTerminating" => !is_terminating(pod),
        "BestEffort" => is_best_effort(pod),
        "NotBestEffort" => !is_best_effort(pod),
        "PriorityClass" => {
            let class = pod.str_at(&["spec", "priorityClassName"]).filter(|name| !name.is_empty());
            match scope.operator {
                Operator::Exists => class.is_some(),
                _ => scope.selects(class),
            }
        }
        "CrossNamespacePodAffinity" => reaches_other_namespaces(pod),
        _ => false,
    }
}

fn is_terminating(pod: &Object) -> bool {
    pod.at(&["spec", "activeDeadlineSeconds"]).and_then(Value::as_i64).is_some_and(|seconds| seconds >= 0)
}

fn is_best_effort(pod: &Object) -> bool {
    if let Some(class) = pod.str_at(&["status", "qosClass"]).filter(|class| !class.is_empty()) {
        return class == "BestEffort";
    }
    let asks = |resources: Option<&Value>| {
        ["requests", "limits"].into_iter().any(|list| {
            let amounts = Amounts::of(resources.and_then(|r| r.get(list)));
            ["cpu", "memory"].into_iter().any(|name| amounts.get(name).is_some_and(|amount| !amount.is_zero()))
        })
    };
    let all = containers(pod, "containers").chain(containers(pod, "initContainers"));
    !asks(pod.at(&["spec", "resources"])) && !all.into_iter().any(|container| asks(container.get("resources")))
}

/// Whether affinity looks at Pods of other namespaces than its own.
fn reaches_other_namespaces(pod: &Object) -> bool {
    let reaches = |term: &Value| {
        term.get("namespaces").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
            || term.get("namespaceSelector").is_some_and(Value::is_object)
    };
    ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        let terms =
            |name: &str| pod.at(&["spec", "affinity", kind, name]).and_then(Value::as_array).into_iter().flatten();
        terms("requiredDuringSchedulingIgnoredDuringExecution").any(reaches)
            || terms("preferredDuringSchedulingIgnoredDuringExecution")
                .any(|weighted| weighted.get("podAffinityTerm").is_some_and(reaches))
    })
}

impl Scope {
    /// Upstream reads the requirement as one of labels, of which the object has one, or none.
    pub(crate) fn selects(&self, value: Option<&str>) -> bool {
        let key = self.name.clone();
        let requirement = match self.operator {
            Operator::In => Requirement::In(key, self.values.clone()),
            Operator::NotIn => Requirement::NotIn(key, self.values.clone()),
            Operator::Exists => Requirement::Exists(key),
            Operator::DoesNotExist => Requirement::Missing(key),
        };
        let mut selector = LabelSelector::everything();
        selector.requirements.push(requirement);
        selector.matches_with(|_| value.map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    fn pod(value: Value) -> Object {
        Object::try_from(value).unwrap()
    }

    #[track_caller]
    fn check_usage(object: Value, expect: Value) {
        let now: Timestamp = "2030-01-01T00:01:00Z".parse().unwrap();
        assert_eq!(usage(&pod(object), now), Amounts::of(Some(&expect)));
    }

    #[test]
    fn computes() {
        let resources = json!({"requests": {"cpu": "1", "example.com/gpu": "2", "hugepages-2Mi": "4Mi"}, "limits": {"memory": "1Gi"}});
        check_usage(
            json!({"spec": {"containers": [{"resources": resources}]}}),
            json!({"count/pods": 1, "pods": 1, "cpu": 1, "requests.cpu": 1, "limits.memory": "1Gi",
                "requests.example.com/gpu": 2, "hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi"}),
        );
    }

    #[test]
    fn what_has_ended_is_only_counted() {
        check_usage(json!({"status": {"phase": "Failed"}}), json!({"count/pods": 1}));
        let leaving = |at: &str| json!({"metadata": {"deletionTimestamp": at, "deletionGracePeriodSeconds": 30}});
        check_usage(leaving("2030-01-01T00:00:00Z"), json!({"count/pods": 1}));
        check_usage(leaving("2030-01-01T00:00:31Z"), json!({"count/pods": 1, "pods": 1}));
    }

    #[track_caller]
    fn check_unstated(limited: &[&str], expect: Result<(), &str>) {
        let object = pod(json!({"spec": {
            "containers": [{"name": "b", "resources": {"requests": {"cpu": "1"}}}, {"name": "a"}],
            "initContainers": [{"name": "i", "resources": {"limits": {"memory": "1"}}}]}}));
        assert_eq!(unstated(&object, limited).as_ref().map_err(|e| &**e).copied(), expect);
    }

    #[test]
    fn unsaid_resources_are_named_with_their_containers() {
        check_unstated(&["requests.cpu", "pods"], Err("must specify requests.cpu for: a,i"));
        check_unstated(&["limits.memory", "cpu"], Err("must specify cpu for: a,i; limits.memory for: a,b"));
        check_unstated(&["pods", "limits.ephemeral-storage"], Ok(()));
    }

    #[track_caller]
    fn check_scope(object: Value, name: &str, operator: Operator, values: &[&str], expect: bool) {
        let values = values.iter().map(|v| (*v).to_owned()).collect();
        assert_eq!(is_in(&pod(object), &Scope { name: name.into(), operator, values }), expect);
    }

    #[test]
    fn scopes() {
        let exists = Operator::Exists;
        check_scope(json!({"spec": {"activeDeadlineSeconds": 0}}), "Terminating", exists, &[], true);
        check_scope(json!({"spec": {}}), "NotTerminating", exists, &[], true);
        check_scope(json!({"spec": {"containers": [{}]}}), "BestEffort", exists, &[], true);
        check_scope(json!({"status": {"qosClass": "Burstable"}}), "NotBestEffort", exists, &[], true);
        let high = || json!({"spec": {"priorityClassName": "high"}});
        check_scope(high(), "PriorityClass", exists, &[], true);
        check_scope(json!({}), "PriorityClass", exists, &[], false);
        check_scope(high(), "PriorityClass", Operator::In, &["high"], true);
        check_scope(high(), "PriorityClass", Operator::NotIn, &["high"], false);
        check_scope(json!({}), "PriorityClass", Operator::NotIn, &["high"], true);
        check_scope(json!({}), "PriorityClass", Operator::DoesNotExist, &[], true);
        let far = json!({"spec": {"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"podAffinityTerm": {"namespaceSelector": {}}}]}}}});
        check_scope(far, "CrossNamespacePodAffinity", exists, &[], true);
        check_scope(json!({}), "CrossNamespacePodAffinity", exists, &[], false);
    }

    #[test]
    fn names_of_resources() {
        for name in ["pods", "requests.cpu", "hugepages-1Gi", "requests.example.com/gpu"] {
            assert!(measures(name), "{name}");
        }
        for name in ["secrets", "requests.storage", "count/secrets", "example.com/gpu", "requests.kubernetes.io/x"] {
            assert!(!measures(name), "{name}");
        }
    }
}
