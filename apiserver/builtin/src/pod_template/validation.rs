//! What a Pod's spec may say, in a Pod and in a template (upstream: `ValidatePodSpec`).

mod affinity;
mod container;
mod handlers;
mod resources;
mod security;
mod volumes;

use api_meta::validation::{annotations, is_label_value, is_qualified_name};
use api_meta::{FieldErrors, FieldPath, LabelSelector, Value};

use super::labels as template_labels;
use crate::fields::{Fields, FieldsExt};
use crate::table::part;
use crate::validate::{
    each_wrong, is_empty_selector, label, label_selector, labels, one_of, one_of_if_any, qualified, subdomain,
    unsupported,
};

pub(crate) use resources::{is_hugepages, resource_amount, resource_name};
pub(crate) use volumes::{class_name, validate_source};

const MISMATCH: &str = "`selector` does not match template `labels`";

/// The template of a controller: its metadata and its spec.
pub(crate) fn validate_template(errors: &mut FieldErrors, template: &Fields, path: &FieldPath) {
    let metadata = part(template, "metadata");
    labels(errors, metadata.value("labels"), &path.child("labels"));
    errors.extend(annotations(metadata.get("annotations"), &path.child("annotations")));
    validate_spec(errors, part(template, "spec"), &path.child("spec"));
    if !part(template, "spec").items("ephemeralContainers").is_empty() {
        errors.forbidden(
            &path.children(&["spec", "ephemeralContainers"]),
            "ephemeral containers not allowed in pod template",
        );
    }
}

/// The Pods of a template must be selected by the one that makes them.
pub(crate) fn validate_selected(errors: &mut FieldErrors, template: &Fields, selector: &Value, path: &FieldPath) {
    let labels = template_labels(template);
    if !LabelSelector::from_object(Some(selector)).matches(labels) {
        let value = labels.cloned().map_or(Value::Null, Value::Object);
        errors.invalid(&path.children(&["metadata", "labels"]), value, MISMATCH);
    }
}

/// Pods that are to run for ever.
pub(crate) fn validate_restarts_always(errors: &mut FieldErrors, template: &Fields, owner: &str, path: &FieldPath) {
    let (spec, path) = (part(template, "spec"), path.child("spec"));
    if spec.text("restartPolicy") != "Always" {
        unsupported(errors, &path.child("restartPolicy"), spec.text("restartPolicy"), &["Always"]);
    }
    if spec.says("activeDeadlineSeconds") {
        errors.forbidden(
            &path.child("activeDeadlineSeconds"),
            format!("activeDeadlineSeconds in {owner} is not Supported"),
        );
    }
}

/// The selector of a controller: it must be there and select something.
pub(crate) fn validate_required_selector(errors: &mut FieldErrors, selector: &Value, owner: &str, path: &FieldPath) {
    if selector.is_null() {
        errors.required(path, "");
        return;
    }
    label_selector(errors, selector, path);
    if is_empty_selector(selector) {
        errors.invalid(path, selector.clone(), format!("empty selector is invalid for {owner}"));
    }
}

pub(crate) fn validate_spec(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let known = volumes::validate(errors, spec, &path.child("volumes"));
    container::validate_all(errors, spec, &known, path);
    one_of(errors, spec, "restartPolicy", path, &["Always", "OnFailure", "Never"]);
    one_of(errors, spec, "dnsPolicy", path, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    labels(errors, spec.value("nodeSelector"), &path.child("nodeSelector"));
    security::validate_pod(errors, spec, &path.child("securityContext"));
    for (index, secret) in spec.each("imagePullSecrets") {
        if secret.text("name").is_empty() {
            errors.required(&path.child("imagePullSecrets").index(index).child("name"), "");
        }
    }
    if let Some(wanted) = spec.fields("affinity") {
        affinity::validate(errors, wanted, &path.child("affinity"));
    }
    dns_config(errors, spec, path);
    for (index, gate) in spec.each("readinessGates") {
        qualified(
            errors,
            &path.child("readinessGates").index(index).child("conditionType"),
            gate.text("conditionType"),
        );
    }
    scheduling_gates(errors, spec, &path.child("schedulingGates"));
    for (index, constraint) in spec.each("topologySpreadConstraints") {
        spread(errors, constraint, &path.child("topologySpreadConstraints").index(index));
    }
    for key in ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"] {
        if !spec.text(key).is_empty() {
            subdomain(errors, &path.child(key), spec.text(key));
        }
    }
    if let Some(seconds) = spec.int("activeDeadlineSeconds")
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        errors.invalid(&path.child("activeDeadlineSeconds"), seconds, "must be between 1 and 2147483647, inclusive");
    }
    for key in ["hostname", "subdomain"] {
        if !spec.text(key).is_empty() {
            label(errors, &path.child(key), spec.text(key));
        }
    }
    for (index, toleration) in spec.each("tolerations") {
        validate_toleration(errors, toleration, &path.child("tolerations").index(index));
    }
    for (index, alias) in spec.each("hostAliases") {
        let path = path.child("hostAliases").index(index);
        crate::validate::ip(errors, alias.text("ip"), &path.child("ip"));
        for (index, name) in alias.texts("hostnames").enumerate() {
            subdomain(errors, &path.child("hostnames").index(index), name);
        }
    }
    one_of_if_any(errors, spec, "preemptionPolicy", path, &["PreemptLowerPriority", "Never"]);
}

fn dns_config(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let (config, path) = (spec.fields("dnsConfig"), path.child("dnsConfig"));
    if spec.text("dnsPolicy") == "None" {
        match config {
            None => errors.required(&path, "must provide `dnsConfig` when `dnsPolicy` is None"),
            Some(config) if config.items("nameservers").is_empty() => errors.required(
                &path.child("nameservers"),
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            ),
            Some(_) => {}
        }
    }
    let Some(config) = config else { return };
    if config.items("nameservers").len() > 3 {
        errors.invalid(
            &path.child("nameservers"),
            config.value("nameservers").clone(),
            "must not have more than 3 nameservers",
        );
    }
    for (index, server) in config.texts("nameservers").enumerate() {
        crate::validate::ip(errors, server, &path.child("nameservers").index(index));
    }
    for (index, option) in config.each("options") {
        if option.text("name").is_empty() {
            errors.required(&path.child("options").index(index), "must not be empty");
        }
    }
}

fn scheduling_gates(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let mut seen = Vec::new();
    for (index, gate) in spec.each("schedulingGates") {
        let (name, path) = (gate.text("name"), path.index(index));
        each_wrong(errors, &path, name, is_qualified_name(name));
        if seen.contains(&name) {
            errors.duplicate(&path, name);
        }
        seen.push(name);
    }
}

fn spread(errors: &mut FieldErrors, constraint: &Fields, path: &FieldPath) {
    let skew = constraint.int("maxSkew").unwrap_or_default();
    if skew <= 0 {
        errors.invalid(&path.child("maxSkew"), skew, "must be greater than zero");
    }
    if constraint.text("topologyKey").is_empty() {
        errors.required(&path.child("topologyKey"), "can not be empty");
    } else {
        qualified(errors, &path.child("topologyKey"), constraint.text("topologyKey"));
    }
    let unsatisfiable = constraint.text("whenUnsatisfiable");
    if !["DoNotSchedule", "ScheduleAnyway"].contains(&unsatisfiable) {
        unsupported(errors, &path.child("whenUnsatisfiable"), unsatisfiable, &["DoNotSchedule", "ScheduleAnyway"]);
    }
    if let Some(domains) = constraint.int("minDomains") {
        if domains <= 0 {
            errors.invalid(&path.child("minDomains"), domains, "must be greater than zero");
        }
        if unsatisfiable != "DoNotSchedule" {
            errors.invalid(
                &path.child("minDomains"),
                domains,
                format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {unsatisfiable}"),
            );
        }
    }
    label_selector(errors, constraint.value("labelSelector"), &path.child("labelSelector"));
}

fn validate_toleration(errors: &mut FieldErrors, toleration: &Fields, path: &FieldPath) {
    let (key, operator) = (toleration.text("key"), toleration.text("operator"));
    if !key.is_empty() {
        qualified(errors, &path.child("key"), key);
    } else if operator != "Exists" {
        errors.invalid(
            &path.child("operator"),
            operator,
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        );
    }
    let effect = toleration.text("effect");
    if toleration.says("tolerationSeconds") && effect != "NoExecute" {
        errors.invalid(&path.child("effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    let value = toleration.text("value");
    match operator {
        "Equal" | "" => {
            let wrong = is_label_value(value);
            if !wrong.is_empty() {
                errors.invalid(&path.child("operator"), value, wrong.join(";"));
            }
        }
        "Exists" if !value.is_empty() => {
            errors.invalid(&path.child("operator"), value, "value must be empty when `operator` is 'Exists'");
        }
        "Exists" => {}
        other => unsupported(errors, &path.child("operator"), other, &["Equal", "Exists"]),
    }
    if !effect.is_empty() && !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        unsupported(errors, &path.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
    }
}
