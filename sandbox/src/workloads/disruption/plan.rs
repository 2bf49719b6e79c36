//! The status of one budget, given its pods.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        core::v1::Pod,
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
    },
    apimachinery::pkg::{
        apis::meta::v1::{Condition, LabelSelector, OwnerReference, Time},
        util::intstr::IntOrString,
    },
};

use crate::{
    clock::left,
    meta::{controller_of, count, is_deleting, labels, name, seconds},
    pods,
};

use super::super::deployment::scaled;

/// A pod whose eviction was granted this long ago and that is still here will not go (upstream: `DeletionTimeout`).
const EVICTION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

pub(super) struct Plan {
    pub(super) status: PodDisruptionBudgetStatus,
    /// When a granted eviction runs out.
    pub(super) again: Option<Duration>,
    /// Whether pods that no controller manages were left out of a count that depends on controllers.
    pub(super) unmanaged: bool,
    /// Pods that should be gone by now.
    pub(super) overdue: Vec<Arc<Pod>>,
}

/// Gives a pod's controller by its uid, and how many pods that wants; or why that cannot be told.
pub(super) type Scale<'a> = &'a dyn Fn(&OwnerReference) -> Result<Option<(String, i32)>, String>;

/// What a budget's status should be, or why that cannot be told.
pub(super) fn plan(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    scale: Scale<'_>,
    now: Timestamp,
) -> Result<Plan, String> {
    let old = budget.status.clone().unwrap_or_default();
    let overdue = overdue(old.disrupted_pods.as_ref(), pods, now);
    let granted = still_granted(old.disrupted_pods, pods, now);
    let healthy =
        pods.iter().filter(|pod| !is_deleting(&***pod) && !granted.contains_key(name(&***pod)) && pods::is_ready(pod));
    let healthy = count(healthy.count());
    let (expected, desired, unmanaged) = wanted(budget, pods, scale)?;
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let again = granted.values().map(|at| left(at.0, EVICTION_TIMEOUT, now));
    let (allows, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    Ok(Plan {
        again: again.min(),
        unmanaged,
        overdue,
        status: PodDisruptionBudgetStatus {
            conditions: Some(vec![condition(budget, allows, reason, "", now)]),
            current_healthy: healthy,
            desired_healthy: desired,
            disrupted_pods: (!granted.is_empty()).then_some(granted),
            disruptions_allowed: allowed,
            expected_pods: expected,
            observed_generation: budget.metadata.generation,
        },
    })
}

/// What of a pod its budgets count, and what decides which those are.
#[derive(PartialEq)]
pub(super) struct Counted<'a> {
    labels: &'a BTreeMap<String, String>,
    controller: Option<&'a OwnerReference>,
    ready: bool,
    going: bool,
}

pub(super) fn counted(pod: &Pod) -> Counted<'_> {
    Counted {
        labels: labels(pod),
        controller: controller_of(&pod.metadata),
        ready: pods::is_ready(pod),
        going: is_deleting(pod),
    }
}

/// Nothing may be evicted while the count cannot be told.
pub(super) fn failed(budget: &PodDisruptionBudget, why: &str, now: Timestamp) -> PodDisruptionBudgetStatus {
    PodDisruptionBudgetStatus {
        conditions: Some(vec![condition(budget, "False", "SyncFailed", why, now)]),
        disruptions_allowed: 0,
        ..budget.status.clone().unwrap_or_default()
    }
}

/// A selector as upstream's events print it.
pub(super) fn printed(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".to_owned() };
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}: {value},"));
    let expressions = selector.match_expressions.iter().flatten().map(|wanted| {
        let values = wanted.values.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
        format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", wanted.key, wanted.operator)
    });
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{}}},}}",
        labels.collect::<String>(),
        expressions.collect::<String>()
    )
}

/// Those whose eviction was granted long ago and came to nothing.
fn overdue(old: Option<&BTreeMap<String, Time>>, pods: &[Arc<Pod>], now: Timestamp) -> Vec<Arc<Pod>> {
    let is_overdue = |pod: &&Arc<Pod>| {
        let granted = old.and_then(|granted| granted.get(name(&***pod)));
        !is_deleting(&***pod) && granted.is_some_and(|at| left(at.0, EVICTION_TIMEOUT, now).is_zero())
    };
    pods.iter().filter(is_overdue).cloned().collect()
}

/// Evictions that were granted and have not shown yet.
fn still_granted(old: Option<BTreeMap<String, Time>>, pods: &[Arc<Pod>], now: Timestamp) -> BTreeMap<String, Time> {
    let mut granted = old.unwrap_or_default();
    granted.retain(|evicted, at| {
        !left(at.0, EVICTION_TIMEOUT, now).is_zero()
            && pods.iter().any(|pod| name(&**pod) == evicted && !is_deleting(&**pod))
    });
    granted
}

/// How many pods there should be, how many of them healthy, and whether there are some that this leaves out.
fn wanted(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], scale: Scale<'_>) -> Result<(i32, i32, bool), String> {
    let spec = budget.spec.as_ref();
    let of_controllers = || -> Result<(i32, bool), String> {
        let owners = pods.iter().filter_map(|pod| controller_of(&pod.metadata));
        let owners: BTreeMap<&str, &OwnerReference> = owners.map(|owner| (owner.uid.as_str(), owner)).collect();
        let sizes = owners.into_values().map(scale).filter_map(Result::transpose);
        let sizes = sizes.collect::<Result<HashMap<_, _>, _>>()?;
        let expected = sizes.into_values().fold(0, i32::saturating_add);
        Ok((expected, pods.iter().any(|pod| controller_of(&pod.metadata).is_none())))
    };
    let present = count(pods.len());
    Ok(match spec.map(|spec| (&spec.max_unavailable, &spec.min_available)) {
        Some((Some(unavailable), _)) => {
            let (expected, unmanaged) = of_controllers()?;
            (expected, (expected - scaled(unavailable, expected, true)).max(0), unmanaged)
        }
        Some((None, Some(IntOrString::Int(available)))) => (present, *available, false),
        Some((None, Some(available))) => {
            let (expected, unmanaged) = of_controllers()?;
            (expected, scaled(available, expected, true), unmanaged)
        }
        _ => (present, 0, false),
    })
}

fn condition(budget: &PodDisruptionBudget, status: &str, reason: &str, message: &str, now: Timestamp) -> Condition {
    let old = budget.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let since = old.into_iter().find(|c| c.type_ == "DisruptionAllowed" && c.status == status);
    Condition {
        type_: "DisruptionAllowed".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: budget.metadata.generation,
        last_transition_time: since.map_or(Time(seconds(now)), |since| since.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod;
    use serde_json::json;

    const NOW: &str = "2024-01-01T01:00:00Z";

    fn budget(spec: serde_json::Value) -> PodDisruptionBudget {
        let metadata = json!({"name": "b", "namespace": "n", "generation": 2});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn members(ready: &[bool]) -> Vec<Arc<Pod>> {
        let owner =
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": true}]);
        let members = ready.iter().enumerate().map(|(i, ready)| {
            let mut member = pod(&format!("p{i}"), "Running", *ready);
            member.metadata.owner_references = Some(serde_json::from_value(owner.clone()).unwrap());
            Arc::new(member)
        });
        members.collect()
    }

    /// Expected, desired, healthy, allowed.
    #[track_caller]
    fn check(spec: serde_json::Value, ready: &[bool], size: i32, expect: [i32; 4]) {
        let scale = |owner: &OwnerReference| Ok(Some((owner.uid.clone(), size)));
        let status = plan(&budget(spec), &members(ready), &scale, NOW.parse().unwrap()).unwrap().status;
        let seen = [status.expected_pods, status.desired_healthy, status.current_healthy, status.disruptions_allowed];
        assert_eq!(seen, expect);
    }

    #[test]
    fn a_number_that_must_be_available() {
        check(json!({"minAvailable": 1}), &[true, true, false], 3, [3, 1, 2, 1]);
        check(json!({"minAvailable": 2}), &[true, false], 2, [2, 2, 1, 0]);
        check(json!({"minAvailable": 0}), &[], 0, [0, 0, 0, 0]);
    }

    #[test]
    fn shares_are_of_what_controllers_want() {
        check(json!({"minAvailable": "50%"}), &[true, true, true], 5, [5, 3, 3, 0]);
        check(json!({"maxUnavailable": "25%"}), &[true, true, true], 3, [3, 2, 3, 1]);
        check(json!({"maxUnavailable": 1}), &[true, true], 3, [3, 2, 2, 0]);
    }

    #[test]
    fn sizes_beyond_all_numbers_are_the_largest_number() {
        let mut members = members(&[true, true]);
        let mut other = (*members[1]).clone();
        other.metadata.owner_references.as_mut().unwrap()[0].uid = "other".to_owned();
        members[1] = Arc::new(other);
        let scale = |owner: &OwnerReference| Ok(Some((owner.uid.clone(), i32::MAX)));
        let plan = plan(&budget(json!({"maxUnavailable": 1})), &members, &scale, NOW.parse().unwrap()).unwrap();
        assert_eq!((plan.status.expected_pods, plan.status.disruptions_allowed), (i32::MAX, 0));
    }

    #[test]
    fn a_change_that_is_not_counted_is_not_looked_at() {
        let ready = members(&[true]).remove(0);
        let changed = |change: &dyn Fn(&mut Pod)| {
            let mut pod = (*ready).clone();
            change(&mut pod);
            counted(&pod) != counted(&ready)
        };
        assert!(!changed(&|pod| pod.status.as_mut().unwrap().message = Some("hello".to_owned())));
        assert!(changed(&|pod| pod.metadata.labels = None));
        assert!(changed(&|pod| pod.metadata.owner_references = None));
        assert!(changed(&|pod| pod.metadata.deletion_timestamp = Some(crate::meta::now())));
        assert!(changed(&|pod| pod.status = None));
    }

    #[test]
    fn a_granted_eviction_counts_until_it_shows_or_runs_out() {
        let scale = |owner: &OwnerReference| Ok(Some((owner.uid.clone(), 2)));
        let mut budget = budget(json!({"minAvailable": 1}));
        let evicted =
            json!({"p0": "2024-01-01T00:59:00Z", "gone": "2024-01-01T00:59:00Z", "p1": "2024-01-01T00:50:00Z"});
        let old = json!({"currentHealthy": 2, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 2,
            "disruptedPods": evicted});
        budget.status = Some(serde_json::from_value(old).unwrap());
        let plan = plan(&budget, &members(&[true, true]), &scale, NOW.parse().unwrap()).unwrap();
        assert_eq!((plan.status.current_healthy, plan.status.disruptions_allowed), (1, 0));
        assert_eq!(plan.status.disrupted_pods.unwrap().into_keys().collect::<Vec<_>>(), ["p0"]);
        assert_eq!(plan.again, Some(Duration::from_secs(60)));
        assert_eq!(plan.overdue.iter().map(|pod| name(&**pod)).collect::<Vec<_>>(), ["p1"]);
        let condition = &plan.status.conditions.unwrap()[0];
        assert_eq!((condition.reason.as_str(), condition.observed_generation), ("InsufficientPods", Some(2)));
    }

    #[test]
    fn what_cannot_be_counted_is_not_evicted() {
        let scale = |_: &OwnerReference| Err("jobs.batch does not implement the scale subresource".to_owned());
        let budget = budget(json!({"maxUnavailable": 1}));
        let why = plan(&budget, &members(&[true]), &scale, NOW.parse().unwrap()).err().unwrap();
        let status = failed(&budget, &why, NOW.parse().unwrap());
        let condition = &status.conditions.unwrap()[0];
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "SyncFailed"));
        assert_eq!(condition.message, why);
    }

    #[test]
    fn pods_without_a_controller_are_told_of_where_controllers_count() {
        let scale = |owner: &OwnerReference| Ok(Some((owner.uid.clone(), 1)));
        let check = |spec: serde_json::Value, expect: bool| {
            let pods = [Arc::new(pod("alone", "Running", true))];
            let plan = plan(&budget(spec), &pods, &scale, NOW.parse().unwrap()).unwrap();
            assert_eq!(plan.unmanaged, expect);
        };
        check(json!({"minAvailable": "50%"}), true);
        check(json!({"maxUnavailable": 1}), true);
        check(json!({"minAvailable": 1}), false);
    }

    #[test]
    fn a_selector_is_printed_as_upstream_does() {
        let selector: LabelSelector = serde_json::from_value(json!({"matchLabels": {"a": "b", "c": "d"},
            "matchExpressions": [{"key": "e", "operator": "In", "values": ["f", "g"]}]}))
        .unwrap();
        let expect = "&LabelSelector{MatchLabels:map[string]string{a: b,c: d,},MatchExpressions:\
            []LabelSelectorRequirement{LabelSelectorRequirement{Key:e,Operator:In,Values:[f g],},},}";
        assert_eq!(printed(Some(&selector)), expect);
    }
}
