//! `pods/eviction`: a deletion that asks the disruption budgets first.

use api_meta::{Cause, Details, GroupResource, LabelSelector, Object, Reason, Status, Value, json, now_seconds};
use apiserver_admission::Operation;
use apiserver_registry::{Current, DeleteOptions, Preconditions, Swapped};
use http::Response;

use crate::binding::created;
use crate::body::Body;
use crate::context::Call;
use crate::options::{Validation, WriteOptions, unclassified};
use crate::update::RACES;
use crate::{conditions, fields};

pub(crate) async fn create(call: &Call<'_>, body: Body) -> Result<Response<Body>, Status> {
    let options = WriteOptions::parse(call.query, "CreateOptions", call.user_agent())?;
    let mut eviction = fields::read_kind(call, body, "policy", "v1", "Eviction", Validation::Ignore).await?;
    if !eviction.name().is_empty() && eviction.name() != call.target.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let sent = options.sent_as("CreateOptions");
    let write = call.attributes(Operation::Create, &call.target.name, None, (&sent, options.dry_run));
    call.admit(&write, &mut eviction).await?;
    let wanted = delete_options(&eviction, options.dry_run);
    let may_retry = wanted.preconditions.resource_version.is_none();
    for _ in 0..RACES {
        let pod = call.registry().get(call.served, &call.target.namespace, &call.target.name).await?;
        if !ignores_budgets(&pod.object) {
            return by_budget(call, pod, &wanted).await;
        }
        let standing = if is_over(&pod.object) { Standing::Any } else { Standing::This };
        match leave(call, pod, &wanted, standing).await {
            // It runs now, so that its budget has a say.
            Err(status) if status.reason == Reason::Conflict && may_retry => {}
            left => return left.and_then(|()| created()),
        }
    }
    Err(Status::modified(&call.served.group_resource(), &call.target.name))
}

async fn by_budget(call: &Call<'_>, pod: Current, wanted: &DeleteOptions) -> Result<Response<Body>, Status> {
    let (standing, budget) = match take_from_budget(call, &pod.object, wanted.dry_run).await? {
        Answer::Spared(budget) => (Standing::This, budget),
        Answer::Granted => (Standing::Any, String::new()),
    };
    match leave(call, pod, wanted, standing).await {
        Err(status)
            if status.reason == Reason::Conflict
                && standing == Standing::This
                && wanted.preconditions.resource_version.is_none() =>
        {
            Err(processing(&budget))
        }
        left => left.and_then(|()| created()),
    }
}

/// For which states of a Pod a decision holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Any,
    /// Only as it was seen: it may have become ready since, and counts then.
    This,
}

/// Says on the Pod why it goes, and deletes it.
async fn leave(call: &Call<'_>, pod: Current, wanted: &DeleteOptions, standing: Standing) -> Result<(), Status> {
    let (registry, served) = (call.registry(), call.served);
    let mut wanted = wanted.clone();
    if wanted.dry_run {
        return registry.delete(served, pod, &wanted).await.map(drop);
    }
    let mut current = pod;
    for _ in 0..RACES {
        wanted.preconditions.check(served, &current.object)?;
        match registry.replace(served, &current, disrupted(&current.object)).await? {
            Swapped::Done(told) => {
                if standing == Standing::This || wanted.preconditions.resource_version.is_some() {
                    wanted.preconditions.resource_version = Some(told.resource_version().to_owned());
                }
                let pod = registry.get_cached(served, told.namespace(), told.name())?;
                return registry.delete(served, pod, &wanted).await.map(drop);
            }
            Swapped::Lost(Some(newer)) if standing == Standing::Any => current = *newer,
            Swapped::Lost(Some(_)) => break,
            Swapped::Lost(None) => return Err(Status::not_found(&served.group_resource(), &call.target.name)),
        }
    }
    Err(Status::modified(&served.group_resource(), &call.target.name))
}

/// The Pod with word of its end (upstream: `DisruptionTarget`).
fn disrupted(pod: &Object) -> Object {
    let mut told = pod.clone();
    let condition = json!({"type": "DisruptionTarget", "status": "True", "lastProbeTime": null, "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting"});
    conditions::set(&mut told, condition);
    told
}

fn delete_options(eviction: &Object, dry_run: bool) -> DeleteOptions {
    let text = |path: &[&str]| eviction.str_at(path).map(str::to_owned);
    let in_body = eviction
        .at(&["deleteOptions", "dryRun"])
        .and_then(Value::as_array)
        .is_some_and(|values| values.iter().any(|v| v == "All"));
    DeleteOptions {
        grace_period_seconds: eviction.at(&["deleteOptions", "gracePeriodSeconds"]).and_then(Value::as_i64),
        propagation: None,
        preconditions: Preconditions {
            uid: text(&["deleteOptions", "preconditions", "uid"]),
            resource_version: text(&["deleteOptions", "preconditions", "resourceVersion"]),
        },
        dry_run: dry_run || in_body,
    }
}

/// Finished, leaving and pending Pods disturb nobody.
fn ignores_budgets(pod: &Object) -> bool {
    is_over(pod) || pod.str_at(&["status", "phase"]) == Some("Pending")
}

fn is_over(pod: &Object) -> bool {
    matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed")) || pod.deletion_timestamp().is_some()
}

/// What budgets say to a Pod's going.
enum Answer {
    Granted,
    /// It does not count for the budget of this name.
    Spared(String),
}

async fn take_from_budget(call: &Call<'_>, pod: &Object, dry_run: bool) -> Result<Answer, Status> {
    let budgets = call.registry().catalog().find("policy", "v1", "poddisruptionbudgets");
    let budgets = budgets.ok_or_else(Status::no_such_resource)?;
    let Some(collection) = &budgets.collection else { return Ok(Answer::Granted) };
    let mut covering = Vec::new();
    for entry in collection.list(pod.namespace()) {
        let budget = call.registry().get_cached(&budgets, entry.namespace(), entry.name())?;
        let selector = LabelSelector::from_object(budget.object.at(&["spec", "selector"]));
        if selector.matches(pod.labels()) {
            covering.push(budget);
        }
    }
    if covering.len() > 1 {
        return Err(unclassified(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ));
    }
    let Some(mut budget) = covering.pop() else { return Ok(Answer::Granted) };
    for _ in 0..RACES {
        if spares(&budget.object, pod) {
            return Ok(Answer::Spared(budget.object.name().to_owned()));
        }
        let new = lessened(&budget.object, pod.name())?;
        if dry_run {
            return Ok(Answer::Granted);
        }
        match call.registry().replace(&budgets, &budget, new).await? {
            Swapped::Done(_) | Swapped::Lost(None) => return Ok(Answer::Granted),
            Swapped::Lost(Some(newer)) => budget = *newer,
        }
    }
    Err(Status::modified(&budgets.group_resource(), budget.object.name()))
}

/// Whether a Pod goes without asking the budget: one that is not ready counts for nothing there. By default that needs
/// enough others that are healthy, so that an application which is down already can recover.
fn spares(budget: &Object, pod: &Object) -> bool {
    let conditions = pod.at(&["status", "conditions"]).and_then(Value::as_array).into_iter().flatten();
    if conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True") {
        return false;
    }
    let number = |name: &str| budget.at(&["status", name]).and_then(Value::as_i64).unwrap_or(0);
    match budget.str_at(&["spec", "unhealthyPodEvictionPolicy"]) {
        Some("AlwaysAllow") => true,
        _ => number("desiredHealthy") > 0 && number("currentHealthy") >= number("desiredHealthy"),
    }
}

/// So many evictions may be granted that nobody has seen the end of (upstream: `MaxDisruptedPodSize`).
const GRANTED: usize = 2000;

/// The budget with one disruption fewer left.
fn lessened(budget: &Object, pod: &str) -> Result<Object, Status> {
    let number = |name: &str| budget.at(&["status", name]).and_then(Value::as_i64).unwrap_or(0);
    let name = budget.name();
    if number("observedGeneration") < budget.generation() {
        return Err(processing(name));
    }
    let forbidden = |why: &str| Err(Status::forbidden(&GroupResource::new("policy", "poddisruptionbudget"), name, why));
    let allowed = number("disruptionsAllowed");
    if allowed < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    if budget.at(&["status", "disruptedPods"]).and_then(Value::as_object).is_some_and(|pods| pods.len() > GRANTED) {
        return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if allowed == 0 {
        let (wanted, healthy) = (number("desiredHealthy"), number("currentHealthy"));
        let why = format!("The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently");
        return Err(refused(why, 0));
    }
    let mut new = budget.clone();
    *new.at_mut(&["status", "disruptionsAllowed"]) = (allowed - 1).into();
    *new.at_mut(&["status", "disruptedPods", pod]) = now_seconds().into();
    if allowed == 1 {
        let condition = json!({"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods",
            "message": "", "observedGeneration": number("observedGeneration")});
        conditions::set(&mut new, condition);
    }
    Ok(new)
}

/// What the budget says is not known yet.
fn processing(budget: &str) -> Status {
    refused(format!("The disruption budget {budget} is still being processed by the server."), 10)
}

fn refused(why: String, retry_after_seconds: u32) -> Status {
    let cause = Cause { reason: "DisruptionBudget".into(), message: why, field: String::new() };
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    Status::failure(429, Reason::TooManyRequests, message).with_details(Details {
        causes: vec![cause],
        retry_after_seconds,
        ..Details::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ready: &str, policy: Value, [current, desired]: [i64; 2], expect: bool) {
        let pod = json!({"status": {"conditions": [{"type": "Ready", "status": ready}]}});
        let budget = json!({"spec": {"unhealthyPodEvictionPolicy": policy},
            "status": {"currentHealthy": current, "desiredHealthy": desired}});
        let object = |value: Value| Object::try_from(value).unwrap();
        assert_eq!(spares(&object(budget), &object(pod)), expect);
    }

    #[test]
    fn ready_pods_ask_the_budget() {
        check("True", json!("AlwaysAllow"), [2, 1], false);
    }

    #[test]
    fn pods_that_are_not_ready_go_while_enough_others_are() {
        check("False", Value::Null, [2, 2], true);
        check("False", json!("IfHealthyBudget"), [1, 2], false);
        check("False", Value::Null, [0, 0], false);
        check("False", json!("AlwaysAllow"), [0, 2], true);
    }

    fn budget(allowed: i64, observed: i64) -> Object {
        let status = json!({"disruptionsAllowed": allowed, "observedGeneration": observed, "desiredHealthy": 2,
            "currentHealthy": 2, "conditions": [{"type": "DisruptionAllowed", "status": "True", "lastTransitionTime": "x"}]});
        Object::try_from(json!({"metadata": {"name": "b", "generation": 2}, "status": status})).unwrap()
    }

    #[test]
    fn what_is_granted_is_taken_from_the_budget() {
        let two = lessened(&budget(2, 2), "p").unwrap().to_value()["status"].clone();
        assert_eq!((&two["disruptionsAllowed"], &two["conditions"][0]["status"]), (&json!(1), &json!("True")));
        assert!(two["disruptedPods"]["p"].is_string());
        let last = lessened(&budget(1, 2), "p").unwrap().to_value()["status"].clone();
        let condition = &last["conditions"][0];
        assert_eq!((&condition["reason"], &condition["observedGeneration"]), (&json!("InsufficientPods"), &json!(2)));
        assert_ne!(condition["lastTransitionTime"], "x");
    }

    #[test]
    fn what_cannot_be_granted_is_said() {
        let refused = |budget: Object| {
            let status = lessened(&budget, "p").unwrap_err();
            (status.code, status.details.map_or(0, |details| details.retry_after_seconds))
        };
        assert_eq!(refused(budget(0, 2)), (429, 0));
        assert_eq!(refused(budget(1, 1)), (429, 10));
        assert_eq!(refused(budget(-1, 2)), (403, 0));
        let mut full = budget(1, 2);
        *full.at_mut(&["status", "disruptedPods"]) = (0..=GRANTED).map(|at| (at.to_string(), json!("x"))).collect();
        assert_eq!(refused(full), (403, 0));
    }

    #[test]
    fn who_goes_is_told_why_and_since_when() {
        let pod = Object::try_from(json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "Ready"}]}}))
            .unwrap();
        let told = disrupted(&pod);
        assert_eq!(disrupted(&told), told);
        let conditions = told.to_value()["status"]["conditions"].clone();
        assert_eq!(
            (&conditions[0]["type"], &conditions[1]["reason"]),
            (&json!("Ready"), &json!("EvictionByEvictionAPI"))
        );
    }
}
