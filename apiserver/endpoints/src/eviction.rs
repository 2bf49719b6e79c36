//! `pods/eviction`: a deletion that asks the disruption budgets first.

use api_meta::{Cause, Details, LabelSelector, Object, Reason, Status, Value, now_seconds};
use apiserver_admission::Operation;
use apiserver_registry::{DeleteOptions, Preconditions, Swapped};
use http::Response;

use crate::binding::created;
use crate::body::Body;
use crate::context::Call;
use crate::fields;
use crate::options::{Validation, WriteOptions, unclassified};
use crate::update::RACES;

pub(crate) async fn create(call: &Call<'_>, body: Body) -> Result<Response<Body>, Status> {
    let options = WriteOptions::parse(call.query, "CreateOptions", call.user_agent())?;
    let mut eviction = fields::read_kind(call, body, "policy", "v1", "Eviction", Validation::Ignore).await?;
    if !eviction.name().is_empty() && eviction.name() != call.target.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let sent = options.sent_as("CreateOptions");
    let write = call.attributes(Operation::Create, &call.target.name, None, (&sent, options.dry_run));
    call.admit(&write, &mut eviction).await?;
    let pod = call.registry().get(call.served, &call.target.namespace, &call.target.name).await?;
    let wanted = delete_options(&eviction, options.dry_run);
    if !ignores_budgets(&pod.object) {
        take_from_budget(call, &pod.object, wanted.dry_run).await?;
    }
    call.registry().delete(call.served, pod, &wanted).await?;
    created()
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

/// Finished, unscheduled and already leaving Pods disturb nobody.
fn ignores_budgets(pod: &Object) -> bool {
    matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed" | "Pending"))
        || pod.deletion_timestamp().is_some()
}

async fn take_from_budget(call: &Call<'_>, pod: &Object, dry_run: bool) -> Result<(), Status> {
    let Some(budgets) = call.registry().catalog().find("policy", "v1", "poddisruptionbudgets") else { return Ok(()) };
    let Some(collection) = &budgets.collection else { return Ok(()) };
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
    let Some(mut budget) = covering.pop() else { return Ok(()) };
    for _ in 0..RACES {
        if spares(&budget.object, pod) {
            return Ok(());
        }
        let new = disrupted(&budget.object, pod.name())?;
        if dry_run {
            return Ok(());
        }
        match call.registry().replace(&budgets, &budget, new).await? {
            Swapped::Done(_) | Swapped::Lost(None) => return Ok(()),
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

/// The budget with one disruption fewer left.
fn disrupted(budget: &Object, pod: &str) -> Result<Object, Status> {
    let number = |name: &str| budget.at(&["status", name]).and_then(Value::as_i64).unwrap_or(0);
    let refuse = |message: String| {
        let cause = Cause { reason: "DisruptionBudget".into(), message, field: String::new() };
        Status::failure(
            429,
            Reason::TooManyRequests,
            "Cannot evict pod as it would violate the pod's disruption budget.",
        )
        .with_details(Details { causes: vec![cause], ..Details::default() })
    };
    let name = budget.name();
    if number("observedGeneration") < budget.generation() {
        return Err(refuse(format!("The disruption budget {name} is still being processed by the server.")));
    }
    let allowed = number("disruptionsAllowed");
    if allowed <= 0 {
        return Err(refuse(format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            number("desiredHealthy"),
            number("currentHealthy")
        )));
    }
    let mut new = budget.clone();
    *new.at_mut(&["status", "disruptionsAllowed"]) = (allowed - 1).into();
    *new.at_mut(&["status", "disruptedPods", pod]) = now_seconds().into();
    Ok(new)
}

#[cfg(test)]
mod tests {
    use api_meta::json;

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
}
