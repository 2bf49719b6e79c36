//! A Pod costs what its runtime class says it costs, and runs where that class can.

use api_meta::{Object, Status, Value};
use api_quota::Amounts;
use async_trait::async_trait;

use crate::attributes::Attributes;
use crate::plugin::Plugin;

pub(crate) struct RuntimeClass;

#[async_trait]
impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.creates("", "pods")
    }

    async fn mutate(&self, attributes: &Attributes<'_>, pod: &mut Object) -> Result<(), Status> {
        let Some(class) = class_of(attributes, pod)? else { return Ok(()) };
        if let Some(fixed) = overhead(&class) {
            if given(pod).is_some() {
                check_overhead(Some(fixed), pod).map_err(|why| attributes.forbidden(pod, why))?;
            }
            *pod.at_mut(&["spec", "overhead"]) = fixed.clone();
        }
        if let Some(scheduling) = class.get("scheduling").filter(|scheduling| scheduling.is_object()) {
            schedule(scheduling, pod).map_err(|why| attributes.forbidden(pod, why))?;
        }
        Ok(())
    }

    async fn validate(&self, attributes: &Attributes<'_>, pod: &Object) -> Result<(), Status> {
        let class = class_of(attributes, pod)?;
        check_overhead(class.as_ref().and_then(overhead), pod).map_err(|why| attributes.forbidden(pod, why))
    }
}

fn class_of(attributes: &Attributes<'_>, pod: &Object) -> Result<Option<Object>, Status> {
    let Some(name) = pod.str_at(&["spec", "runtimeClassName"]).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let registry = attributes.registry;
    let classes =
        registry.catalog().find("node.k8s.io", "v1", "runtimeclasses").ok_or_else(Status::no_such_resource)?;
    let found = registry.get_cached(&classes, "", name);
    let why = || format!("pod rejected: RuntimeClass {name:?} not found");
    Ok(Some(found.map_err(|_| attributes.forbidden(pod, why()))?.object))
}

fn overhead(class: &Object) -> Option<&Value> {
    class.at(&["overhead", "podFixed"]).filter(|fixed| fixed.is_object())
}

fn given(pod: &Object) -> Option<&Value> {
    pod.at(&["spec", "overhead"]).filter(|overhead| overhead.is_object())
}

fn check_overhead(fixed: Option<&Value>, pod: &Object) -> Result<(), String> {
    let given = given(pod);
    match fixed {
        Some(fixed) if given.is_some() && Amounts::of(given) == Amounts::of(Some(fixed)) => Ok(()),
        Some(_) => Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".to_owned()),
        None if given.is_none() => Ok(()),
        None => Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned()),
    }
}

fn schedule(scheduling: &Value, pod: &mut Object) -> Result<(), String> {
    for (key, wanted) in scheduling.get("nodeSelector").and_then(Value::as_object).into_iter().flatten() {
        let has = pod.at_mut(&["spec", "nodeSelector", key]);
        if !has.is_null() && has != wanted {
            let [has, wanted] = [&*has, wanted].map(|value| value.as_str().unwrap_or_default());
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {has}"
            ));
        }
        *has = wanted.clone();
    }
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let all = [list(pod.at(&["spec", "tolerations"])), list(scheduling.get("tolerations"))].concat();
    if !all.is_empty() {
        *pod.at_mut(&["spec", "tolerations"]) = without_covered(&all).into();
    }
    Ok(())
}

/// Each toleration that no other covers (upstream: `MergeTolerations`); of equal ones the first.
fn without_covered(all: &[Value]) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for (at, toleration) in all.iter().enumerate() {
        let earlier = kept.iter().any(|other| covers(other, toleration));
        let later = all.iter().skip(at + 1).any(|other| other != toleration && covers(other, toleration));
        if !earlier && !later {
            kept.push(toleration.clone());
        }
    }
    kept
}

fn covers(wide: &Value, narrow: &Value) -> bool {
    if wide == narrow {
        return true;
    }
    let text =
        |toleration: &Value, field: &str| toleration.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let same = |field: &str| text(wide, field) == text(narrow, field);
    let exists = text(wide, "operator") == "Exists";
    let every_key = exists && text(wide, "key").is_empty();
    let every_effect = text(wide, "effect").is_empty();
    if !(every_key || same("key")) || !(every_effect || same("effect")) {
        return false;
    }
    let seconds = |toleration: &Value| toleration.get("tolerationSeconds").and_then(Value::as_i64);
    if text(wide, "effect") == "NoExecute"
        && let Some(most) = seconds(wide)
        && seconds(narrow).is_none_or(|seconds| seconds > most)
    {
        return false;
    }
    exists || (["", "Equal"].contains(&text(wide, "operator").as_str()) && same("operator") && same("value"))
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[test]
    fn tolerations_that_another_covers_are_left_out() {
        let exists = json!({"key": "a", "operator": "Exists"});
        let equal = json!({"key": "a", "operator": "Equal", "value": "v", "effect": "NoSchedule"});
        let other = json!({"key": "b", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5});
        let longer = json!({"key": "b", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9});
        let everything = json!({"operator": "Exists"});
        let kept = |all: &[&Value]| -> Value {
            without_covered(&all.iter().map(|one| (*one).clone()).collect::<Vec<_>>()).into()
        };
        assert_eq!(kept(&[&equal, &exists]), json!([exists]));
        assert_eq!(kept(&[&exists, &equal, &exists]), json!([exists]));
        assert_eq!(kept(&[&other, &longer]), json!([longer]));
        assert_eq!(kept(&[&exists, &other]), json!([exists, other]));
        assert_eq!(kept(&[&exists, &other, &everything]), json!([everything]));
    }
}
