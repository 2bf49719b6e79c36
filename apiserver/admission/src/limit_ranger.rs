//! Gives containers the amounts that a namespace's LimitRanges name, and holds Pods and claims to their bounds.

mod constraints;

use std::sync::Arc;

use api_meta::{Map, Object, Quantity, Status, Value, json};
use api_quota::Amounts;
use async_trait::async_trait;

use crate::attributes::{Attributes, Operation};
use crate::plugin::Plugin;

pub(crate) struct LimitRanger;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

#[async_trait]
impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        // Containers of a Pod that exists change through a resize alone.
        let pods = attributes.creates("", "pods")
            || (attributes.operation == Operation::Update
                && attributes.is_of("", "pods")
                && attributes.subresource == "resize");
        let claims = matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.is("", "persistentvolumeclaims");
        (pods || claims) && attributes.old.is_none_or(|old| old.deletion_timestamp().is_none())
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        if attributes.is_of("", "pods") {
            for range in ranges(attributes)? {
                fill_in(&range, object);
            }
        }
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
        let check = if attributes.is_of("", "pods") { constraints::check_pod } else { constraints::check_claim };
        for range in ranges(attributes)? {
            check(&range, object).map_err(|why| attributes.forbidden(object, why))?;
        }
        Ok(())
    }
}

fn ranges(attributes: &Attributes<'_>) -> Result<Vec<Object>, Status> {
    let served = attributes.registry.catalog().find("", "v1", "limitranges").ok_or_else(Status::no_such_resource)?;
    let entries = served.collection.as_ref().map(|c: &Arc<_>| c.list(attributes.namespace)).unwrap_or_default();
    entries.iter().map(|entry| entry.object().map_err(Status::internal)).collect()
}

pub(crate) fn limits(range: &Object) -> impl Iterator<Item = &Value> {
    range.at(&["spec", "limits"]).and_then(Value::as_array).into_iter().flatten()
}

/// The amounts that containers get which name none; of several limits the last one counts.
fn defaults(range: &Object) -> (Amounts, Amounts) {
    let (mut requests, mut maxima) = (Amounts::default(), Amounts::default());
    for limit in limits(range).filter(|limit| limit["type"] == "Container") {
        requests.0.extend(Amounts::of(limit.get("defaultRequest")).0);
        maxima.0.extend(Amounts::of(limit.get("default")).0);
    }
    (requests, maxima)
}

fn fill_in(range: &Object, pod: &mut Object) {
    let (requests, maxima) = defaults(range);
    if requests.is_empty() && maxima.is_empty() {
        return;
    }
    let mut notes = Vec::new();
    for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
        if pod.at(&["spec", list]).is_none() {
            continue;
        }
        let containers = pod.at_mut(&["spec", list]).as_array_mut().into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            let limited = fill_in_list(container, "limits", &maxima);
            let requested = fill_in_list(container, "requests", &requests);
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            for (names, kind) in [(requested, "request"), (limited, "limit")] {
                if !names.is_empty() {
                    notes.push(format!("{} {kind} for {what} {name}", names.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        *pod.at_mut(&["metadata", "annotations", ANNOTATION]) = note.into();
    }
}

/// The names that were not there and now are.
fn fill_in_list(container: &mut Map<String, Value>, list: &str, amounts: &Amounts) -> Vec<String> {
    let missing: Vec<(&String, &Quantity)> = amounts
        .0
        .iter()
        .filter(|(name, _)| container.get("resources").and_then(|r| r.get(list)?.get(&***name)).is_none())
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let resources = container.entry("resources").or_insert_with(|| json!({}));
    if !resources.is_object() {
        *resources = json!({});
    }
    for (name, amount) in &missing {
        resources[list][name.as_str()] = amount.to_string().into();
    }
    missing.into_iter().map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(resources: Value, expect: Value, note: Option<&str>) {
        let range = Object::try_from(json!({"spec": {"limits": [
            {"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}}]}}));
        let mut pod =
            Object::try_from(json!({"spec": {"containers": [{"name": "a", "resources": resources}]}})).unwrap();
        fill_in(&range.unwrap(), &mut pod);
        assert_eq!(pod.at(&["spec", "containers"]).unwrap()[0]["resources"], expect);
        assert_eq!(pod.annotation(ANNOTATION), note);
    }

    #[test]
    fn gives_what_is_not_said() {
        let both = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}});
        let note = "LimitRanger plugin set: cpu request for container a; cpu, memory limit for container a";
        check(json!({}), both.clone(), Some(note));
        check(Value::Null, both, Some(note));
    }

    #[test]
    fn keeps_what_is_said() {
        let said = json!({"limits": {"cpu": "2", "memory": "2"}, "requests": {"cpu": "2"}});
        check(said.clone(), said, None);
        check(
            json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}),
            json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "2"}}),
            Some("LimitRanger plugin set: memory limit for container a"),
        );
    }
}
