//! Between v1, which knows one CPU target, and v2.
//!
//! What v1 has no field for travels in annotations, as JSON in v1's own form
//! of metrics, so that an object written back through v1 loses nothing.

use api_meta::{Map, Object, Value, json};

use crate::fields::{Fields, FieldsExt};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The metrics beyond CPU that a v1 object carries, in v1's form.
pub(super) fn metrics_annotation(object: &Object) -> Option<Vec<Value>> {
    serde_json::from_str(object.annotation(METRICS)?).ok()
}

pub(super) fn to_v2(mut object: Object) -> Object {
    let carried: Vec<Value> = metrics_annotation(&object).unwrap_or_default().iter().map(metric_to_v2).collect();
    let current = take_annotation(&mut object, CURRENT_METRICS);
    let conditions = take_annotation(&mut object, CONDITIONS);
    let behavior = take_annotation(&mut object, BEHAVIOR);
    take_annotation(&mut object, METRICS);

    let spec = object.made("spec");
    let mut metrics = Vec::new();
    if let Some(percentage) = spec.remove("targetCPUUtilizationPercentage").filter(|v| !v.is_null()) {
        metrics.push(json!({
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percentage}},
        }));
    }
    metrics.extend(carried);
    if !metrics.is_empty() {
        spec.set("metrics", metrics);
    }
    if let Some(behavior) = behavior {
        spec.set("behavior", behavior);
    }

    let status = object.made("status");
    let mut current: Vec<Value> =
        current.and_then(|c| c.as_array().cloned()).unwrap_or_default().iter().map(current_to_v2).collect();
    if let Some(percentage) = status.remove("currentCPUUtilizationPercentage").filter(|v| !v.is_null()) {
        current.insert(
            0,
            json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percentage}}}),
        );
    }
    status.insert("currentMetrics".into(), if current.is_empty() { Value::Null } else { current.into() });
    if let Some(conditions) = conditions {
        status.set("conditions", conditions);
    }
    object
}

pub(super) fn to_v1(mut object: Object) -> Object {
    let spec = object.made("spec");
    let (mut percentage, mut carried) = (None, Vec::new());
    for metric in spec.remove("metrics").as_ref().and_then(Value::as_array).into_iter().flatten() {
        match cpu_utilization(&metric["resource"], "target") {
            Some(value) if percentage.is_none() => percentage = Some(value),
            _ => carried.push(metric_to_v1(metric)),
        }
    }
    if let Some(percentage) = percentage {
        spec.set("targetCPUUtilizationPercentage", percentage);
    }
    let behavior = spec.remove("behavior").filter(|b| !b.is_null());

    let status = object.made("status");
    let (mut current_percentage, mut current) = (None, Vec::new());
    for metric in status.remove("currentMetrics").as_ref().and_then(Value::as_array).into_iter().flatten() {
        match cpu_utilization(&metric["resource"], "current") {
            Some(value) if current_percentage.is_none() => current_percentage = Some(value),
            _ => current.push(current_to_v1(metric)),
        }
    }
    if let Some(percentage) = current_percentage {
        status.set("currentCPUUtilizationPercentage", percentage);
    }
    status.or_set("currentReplicas", 0);
    let conditions = status.remove("conditions").filter(|c| c.as_array().is_some_and(|list| !list.is_empty()));

    put_annotation(&mut object, METRICS, (!carried.is_empty()).then(|| carried.into()));
    put_annotation(&mut object, CURRENT_METRICS, (!current.is_empty()).then(|| current.into()));
    put_annotation(&mut object, CONDITIONS, conditions);
    put_annotation(&mut object, BEHAVIOR, behavior);
    object
}

fn cpu_utilization(resource: &Value, side: &str) -> Option<Value> {
    let value = &resource[side]["averageUtilization"];
    (resource["name"] == "cpu" && !value.is_null()).then(|| value.clone())
}

fn take_annotation(object: &mut Object, key: &str) -> Option<Value> {
    object.annotation(key)?;
    let annotations = object.metadata_mut().made("annotations");
    let text = annotations.remove(key)?;
    if annotations.is_empty() {
        object.metadata_mut().remove("annotations");
    }
    serde_json::from_str(text.as_str()?).ok()
}

fn put_annotation(object: &mut Object, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.metadata_mut().made("annotations").set(key, value.to_string());
    }
}

/// Where v1 and v2 keep the same thing: v2's path, v1's name.
fn names(kind: &str) -> &'static [(&'static [&'static str], &'static str)] {
    match kind {
        "Resource" => &[
            (&["name"], "name"),
            (&["target", "averageUtilization"], "targetAverageUtilization"),
            (&["target", "averageValue"], "targetAverageValue"),
            (&["current", "averageUtilization"], "currentAverageUtilization"),
            (&["current", "averageValue"], "currentAverageValue"),
        ],
        "ContainerResource" => &[
            (&["name"], "name"),
            (&["container"], "container"),
            (&["target", "averageUtilization"], "targetAverageUtilization"),
            (&["target", "averageValue"], "targetAverageValue"),
            (&["current", "averageUtilization"], "currentAverageUtilization"),
            (&["current", "averageValue"], "currentAverageValue"),
        ],
        "Pods" => &[
            (&["metric", "name"], "metricName"),
            (&["metric", "selector"], "selector"),
            (&["target", "averageValue"], "targetAverageValue"),
            (&["current", "averageValue"], "currentAverageValue"),
        ],
        "Object" => &[
            (&["describedObject"], "target"),
            (&["metric", "name"], "metricName"),
            (&["metric", "selector"], "selector"),
            (&["target", "value"], "targetValue"),
            (&["target", "averageValue"], "averageValue"),
            (&["current", "value"], "currentValue"),
        ],
        "External" => &[
            (&["metric", "name"], "metricName"),
            (&["metric", "selector"], "metricSelector"),
            (&["target", "value"], "targetValue"),
            (&["target", "averageValue"], "targetAverageValue"),
            (&["current", "value"], "currentValue"),
            (&["current", "averageValue"], "currentAverageValue"),
        ],
        _ => &[],
    }
}

/// `ContainerResource` is in `containerResource`, and so on.
fn holder(kind: &str) -> String {
    let mut chars = kind.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_ascii_lowercase(), chars.as_str()))
}

fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, key| &value[*key])
}

fn put(fields: &mut Fields, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => fields.set(key, value),
        [key, rest @ ..] => put(fields.made(key), rest, value),
    }
}

fn metric_to_v1(metric: &Value) -> Value {
    to_v1_form(metric, "target")
}

fn current_to_v1(metric: &Value) -> Value {
    to_v1_form(metric, "current")
}

fn to_v1_form(metric: &Value, side: &str) -> Value {
    let kind = metric["type"].as_str().unwrap_or_default();
    let holder = holder(kind);
    let mut source = Map::new();
    for (path, name) in names(kind) {
        let value = at(&metric[&holder], path);
        if !value.is_null() && (path.len() == 1 || path[0] == side || path[0] == "metric") {
            source.set(name, value.clone());
        }
    }
    json!({"type": kind, holder: source})
}

fn metric_to_v2(metric: &Value) -> Value {
    to_v2_form(metric, "target")
}

fn current_to_v2(metric: &Value) -> Value {
    to_v2_form(metric, "current")
}

fn to_v2_form(metric: &Value, side: &str) -> Value {
    let kind = metric["type"].as_str().unwrap_or_default();
    let holder = holder(kind);
    let old = &metric[&holder];
    let mut source = Map::new();
    for (path, name) in names(kind) {
        let value = &old[*name];
        if !value.is_null() && (path.len() == 1 || path[0] == side || path[0] == "metric") {
            put(&mut source, path, value.clone());
        }
    }
    if side == "target" {
        let target = source.made("target");
        let type_ = match () {
            () if target.says("averageUtilization") => "Utilization",
            () if target.says("averageValue") => "AverageValue",
            () => "Value",
        };
        target.set("type", type_);
    }
    json!({"type": kind, holder: source})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2() -> Object {
        Object::try_from(json!({
            "metadata": {"name": "a"},
            "spec": {
                "maxReplicas": 3,
                "metrics": [
                    {"type": "Resource",
                     "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                    {"type": "Object", "object": {
                        "describedObject": {"kind": "Service", "name": "s"},
                        "metric": {"name": "hits"},
                        "target": {"type": "Value", "value": "10"}}},
                    {"type": "External", "external": {
                        "metric": {"name": "queue", "selector": {"matchLabels": {"a": "b"}}},
                        "target": {"type": "AverageValue", "averageValue": "5"}}},
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
            },
            "status": {
                "desiredReplicas": 2,
                "currentReplicas": 1,
                "currentMetrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 40}}},
                    {"type": "Object", "object": {
                        "describedObject": {"kind": "Service", "name": "s"},
                        "metric": {"name": "hits"},
                        "current": {"value": "9"}}},
                ],
                "conditions": [{"type": "AbleToScale", "status": "True"}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn v1_shows_the_cpu_target() {
        let v1 = to_v1(v2());
        assert_eq!(v1.at(&["spec", "targetCPUUtilizationPercentage"]), Some(&json!(50)));
        assert_eq!(v1.at(&["status", "currentCPUUtilizationPercentage"]), Some(&json!(40)));
        assert_eq!(v1.at(&["spec", "metrics"]), None);
        let carried: Vec<Value> = metrics_annotation(&v1).unwrap();
        assert_eq!(carried[0]["object"]["metricName"], "hits");
    }

    #[test]
    fn there_and_back() {
        assert_eq!(to_v2(to_v1(v2())), v2());
    }
}
