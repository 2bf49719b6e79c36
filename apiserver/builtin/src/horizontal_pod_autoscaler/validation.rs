//! What an autoscaler may say, in v2's form (upstream: `apis/autoscaling/validation`).

use api_meta::{FieldErrors, FieldPath, Object};

use crate::fields::{Fields, FieldsExt};
use crate::table::{int, part};
use crate::validate::{amount, one_of, one_of_if_any};

const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];

pub(super) fn validate(object: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let spec = part(object, "spec");
    let (min, max) = (spec.int("minReplicas"), int(spec, "maxReplicas"));
    if let Some(min) = min.filter(|&min| min < 1) {
        errors.invalid(&path.child("minReplicas"), min, "must be greater than or equal to 1");
    }
    if max < 1 {
        errors.invalid(&path.child("maxReplicas"), max, "must be greater than 0");
    }
    if min.is_some_and(|min| max < min) {
        errors.invalid(&path.child("maxReplicas"), max, "must be greater than or equal to `minReplicas`");
    }
    let target = part(spec, "scaleTargetRef");
    for key in ["kind", "name"] {
        match target.text(key) {
            "" => errors.required(&path.child("scaleTargetRef").child(key), ""),
            text => {
                for wrong in api_meta::validation::is_path_segment(text) {
                    errors.invalid(&path.child("scaleTargetRef").child(key), text, wrong);
                }
            }
        }
    }
    for (index, metric) in spec.each("metrics") {
        validate_metric(&mut errors, metric, &path.child("metrics").index(index));
    }
    if let Some(behavior) = spec.fields("behavior") {
        for direction in ["scaleUp", "scaleDown"] {
            if let Some(rules) = behavior.fields(direction) {
                validate_rules(&mut errors, rules, &path.child("behavior").child(direction));
            }
        }
    }
    errors
}

/// The field that a type of metric fills.
fn holder(type_: &str) -> &'static str {
    match type_ {
        "ContainerResource" => "containerResource",
        "External" => "external",
        "Object" => "object",
        "Pods" => "pods",
        _ => "resource",
    }
}

fn validate_metric(errors: &mut FieldErrors, metric: &Fields, path: &FieldPath) {
    let type_ = metric.text("type");
    if type_.is_empty() {
        errors.required(&path.child("type"), "must specify a metric source type");
        return;
    }
    if !TYPES.contains(&type_) {
        one_of(errors, metric, "type", path, &TYPES);
        return;
    }
    let kind = holder(type_);
    for other in TYPES.iter().map(|t| holder(t)).filter(|other| *other != kind && metric.says(other)) {
        errors.forbidden(&path.child(other), "must populate the given metric source only");
    }
    let Some(source) = metric.fields(kind) else {
        errors.required(&path.child(kind), "must populate information for the given metric source");
        return;
    };
    let path = path.child(kind);
    match kind {
        "resource" | "containerResource" => {
            if source.text("name").is_empty() {
                errors.required(&path.child("name"), "must specify a resource name");
            }
            if kind == "containerResource" && source.text("container").is_empty() {
                errors.required(&path.child("container"), "must specify a container");
            }
        }
        _ => {
            if part(source, "metric").text("name").is_empty() {
                errors.required(&path.children(&["metric", "name"]), "must specify a metric name");
            }
        }
    }
    validate_target(errors, part(source, "target"), kind, &path.child("target"));
}

fn validate_target(errors: &mut FieldErrors, target: &Fields, kind: &str, path: &FieldPath) {
    match target.text("type") {
        "" => errors.required(&path.child("type"), "must specify a metric target type"),
        _ => one_of(errors, target, "type", path, &["Utilization", "Value", "AverageValue"]),
    }
    if let Some(percent) = target.int("averageUtilization").filter(|&p| p < 1) {
        errors.invalid(&path.child("averageUtilization"), percent, "must be greater than 0");
    }
    for key in ["value", "averageValue"] {
        if target.says(key)
            && let Some(quantity) = amount(&mut FieldErrors::new(), target.value(key), path)
            && (quantity.is_zero() || quantity.is_negative())
        {
            errors.invalid(&path.child(key), quantity.to_string(), "must be positive");
        }
    }
    let has = |key: &str| target.says(key);
    match kind {
        "resource" | "containerResource" => match (has("averageUtilization"), has("averageValue")) {
            (true, true) => errors
                .forbidden(&path.child("averageValue"), "may not set both a target raw value and a target utilization"),
            (false, false) => errors.required(
                &path.child("averageUtilization"),
                "must set either a target raw value or a target utilization",
            ),
            _ => {}
        },
        "pods" if !has("averageValue") => {
            errors.required(&path.child("averageValue"), "must specify a positive target averageValue");
        }
        "object" | "external" if !has("value") && !has("averageValue") => {
            errors.required(&path.child("averageValue"), "must set either a target value or averageValue");
        }
        "external" if has("value") && has("averageValue") => {
            errors.forbidden(&path.child("value"), "may not set both a target value for metric and a per-pod target");
        }
        _ => {}
    }
}

fn validate_rules(errors: &mut FieldErrors, rules: &Fields, path: &FieldPath) {
    const LONGEST_WINDOW: i64 = 3600;
    const LONGEST_PERIOD: i64 = 1800;
    if let Some(window) = rules.int("stabilizationWindowSeconds") {
        let path = path.child("stabilizationWindowSeconds");
        if window < 0 {
            errors.invalid(&path, window, "must be greater than or equal to zero");
        } else if window > LONGEST_WINDOW {
            errors.invalid(&path, window, format!("must be less than or equal to {LONGEST_WINDOW}"));
        }
    }
    one_of_if_any(errors, rules, "selectPolicy", path, &["Disabled", "Max", "Min"]);
    if rules.items("policies").is_empty() {
        errors.required(&path.child("policies"), "must specify at least one Policy");
    }
    for (index, policy) in rules.each("policies") {
        let path = path.child("policies").index(index);
        one_of(errors, policy, "type", &path, &["Percent", "Pods"]);
        let (value, period) = (int(policy, "value"), int(policy, "periodSeconds"));
        if value <= 0 {
            errors.invalid(&path.child("value"), value, "must be greater than zero");
        }
        if period <= 0 {
            errors.invalid(&path.child("periodSeconds"), period, "must be greater than zero");
        } else if period > LONGEST_PERIOD {
            errors.invalid(
                &path.child("periodSeconds"),
                period,
                format!("must be less than or equal to {LONGEST_PERIOD}"),
            );
        }
    }
}
