//! What a Job may say and what may change.

use std::collections::BTreeSet;

use api_meta::{FieldErrors, FieldPath, LabelSelector, Object, Value, json};

use super::{CONTROLLER_UID, JOB_NAME, OLD_CONTROLLER_UID, OLD_JOB_NAME};
use crate::fields::{Fields, FieldsExt};
use crate::pod_template::{self, validate_selected, validate_template};
use crate::table::part;
use crate::validate::{immutable, is_selector, label_selector, not_negative, one_of_if_any, unsupported};

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

pub(super) fn validate(object: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let spec = part(object, "spec");
    generated_selector(&mut errors, object, spec, &path);
    selecting_spec(&mut errors, spec, &path);
    errors
}

/// Upstream's `ValidateJobSpec`.
fn selecting_spec(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    job_spec(errors, spec, path);
    let selector = spec.value("selector");
    if selector.is_null() {
        errors.required(&path.child("selector"), "");
    } else {
        label_selector(errors, selector, &path.child("selector"));
    }
    if is_selector(selector) {
        validate_selected(errors, part(spec, "template"), selector, &path.child("template"));
    }
}

/// The spec of a Job that is yet to be made: it has no selector.
pub(crate) fn validate_template_spec(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    job_spec(errors, spec, path);
    if spec.says("selector") {
        errors.invalid(&path.child("selector"), spec.value("selector").clone(), "`selector` will be auto-generated");
    }
    if spec.flag("manualSelector") {
        unsupported(errors, &path.child("manualSelector"), true, &["nil", "false"]);
    }
}

/// A selector that the server made selects this Job's Pods and no others.
fn generated_selector(errors: &mut FieldErrors, object: &Object, spec: &Fields, path: &FieldPath) {
    if spec.flag("manualSelector") {
        return;
    }
    if object.uid().is_empty() {
        errors.required(&FieldPath::new("metadata").child("uid"), "");
    }
    let labels = pod_template::labels(part(spec, "template"));
    let label_path = path.children(&["template", "metadata", "labels"]);
    let expected = [
        (OLD_CONTROLLER_UID, object.uid()),
        (OLD_JOB_NAME, object.name()),
        (CONTROLLER_UID, object.uid()),
        (JOB_NAME, object.name()),
    ];
    for (key, value) in expected {
        let found = labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        match found {
            None => errors.required(&label_path.child(key), format!("must be '{value}'")),
            Some(found) if found != value => {
                let shown = labels.cloned().map_or(Value::Null, Value::Object);
                errors.invalid(&label_path.child(key), shown, format!("must be '{value}'"));
            }
            Some(_) => {}
        }
    }
    let own: Fields = expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    let selector = spec.value("selector");
    if is_selector(selector) && !LabelSelector::from_object(Some(selector)).matches(Some(&own)) {
        errors.invalid(&path.child("selector"), selector.clone(), "`selector` not auto-generated");
    }
}

fn job_spec(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    not_negative(
        errors,
        spec,
        path,
        &[
            "parallelism",
            "completions",
            "activeDeadlineSeconds",
            "backoffLimit",
            "ttlSecondsAfterFinished",
            "backoffLimitPerIndex",
            "maxFailedIndexes",
        ],
    );
    let mode = spec.text("completionMode");
    let indexed = mode == "Indexed";
    one_of_if_any(errors, spec, "completionMode", path, &["NonIndexed", "Indexed"]);
    if indexed && !spec.says("completions") {
        errors.required(&path.child("completions"), format!("when completion mode is {mode}"));
    }
    let only_indexed = "requires indexed completion mode";
    if !indexed {
        for key in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(number) = spec.int(key) {
                errors.invalid(&path.child(key), number, only_indexed);
            }
        }
        if let Some(policy) = spec.fields("successPolicy") {
            errors.invalid(&path.child("successPolicy"), json!({"Rules": policy.value("rules")}), only_indexed);
        }
    }
    if let Some(policy) = spec.fields("podFailurePolicy") {
        failure_policy(errors, spec, policy, &path.child("podFailurePolicy"));
    }
    one_of_if_any(errors, spec, "podReplacementPolicy", path, &["Failed", "TerminatingOrFailed"]);
    let template = part(spec, "template");
    validate_template(errors, template, &path.child("template"));
    restart_policy(errors, spec, part(template, "spec"), &path.children(&["template", "spec", "restartPolicy"]));
}

/// A Job's Pods end, so they cannot restart for ever.
fn restart_policy(errors: &mut FieldErrors, spec: &Fields, pod: &Fields, path: &FieldPath) {
    match pod.text("restartPolicy") {
        "" | "Always" => errors.required(path, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if spec.says("podFailurePolicy") => {
            errors.invalid(path, "OnFailure", "only \"Never\" is supported when podFailurePolicy is specified");
        }
        "OnFailure" | "Never" => {}
        other => unsupported(errors, path, other, &["OnFailure", "Never"]),
    }
}

fn failure_policy(errors: &mut FieldErrors, spec: &Fields, policy: &Fields, path: &FieldPath) {
    let containers: BTreeSet<_> = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| part(part(spec, "template"), "spec").each(list).map(|(_, c)| c.text("name")))
        .collect();
    for (index, rule) in policy.each("rules") {
        let path = path.child("rules").index(index);
        match rule.text("action") {
            "" => errors.required(&path.child("action"), format!("valid values: {}", quoted(&ACTIONS))),
            "FailIndex" if !spec.says("backoffLimitPerIndex") => {
                errors.invalid(&path.child("action"), "FailIndex", "requires the backoffLimitPerIndex to be set")
            }
            action if ACTIONS.contains(&action) => {}
            action => unsupported(errors, &path.child("action"), action, &ACTIONS),
        }
        let conditions = rule.items("onPodConditions");
        match (rule.fields("onExitCodes"), conditions.is_empty()) {
            (Some(codes), true) => exit_codes(errors, codes, &containers, &path.child("onExitCodes")),
            (Some(_), false) => {
                errors.invalid(&path, "<nil>", "specifying both OnExitCodes and OnPodConditions is not supported")
            }
            (None, true) => {
                errors.invalid(&path, "<nil>", "specifying one of OnExitCodes and OnPodConditions is required")
            }
            (None, false) => {}
        }
        for (index, pattern) in rule.each("onPodConditions") {
            let path = path.child("onPodConditions").index(index);
            crate::validate::qualified(errors, &path.child("type"), pattern.text("type"));
            crate::validate::one_of(errors, pattern, "status", &path, &["False", "True", "Unknown"]);
        }
    }
}

fn exit_codes(errors: &mut FieldErrors, codes: &Fields, containers: &BTreeSet<&str>, path: &FieldPath) {
    crate::validate::one_of(errors, codes, "operator", path, &["In", "NotIn"]);
    let container = codes.text("containerName");
    if !container.is_empty() && !containers.contains(container) {
        errors.invalid(
            &path.child("containerName"),
            container,
            "must be one of the container or initContainer names in the pod template",
        );
    }
    let values = codes.items("values");
    let path = path.child("values");
    if values.is_empty() {
        errors.invalid(&path, codes.value("values").clone(), "at least one value is required");
    }
    let mut seen = BTreeSet::new();
    for (index, value) in values.iter().enumerate() {
        let Some(code) = value.as_i64() else { continue };
        if codes.text("operator") == "In" && code == 0 {
            errors.invalid(&path.index(index), code, "must not be 0 for the In operator");
        }
        if !seen.insert(code) {
            errors.duplicate(&path.index(index), code);
        }
    }
    if !values.windows(2).all(|pair| pair[0].as_i64() <= pair[1].as_i64()) {
        errors.invalid(&path, codes.value("values").clone(), "must be ordered");
    }
}

fn quoted(values: &[&str]) -> String {
    values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(", ")
}

pub(super) fn validate_update(new: &Object, old: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let (new, before) = (part(new, "spec"), part(old, "spec"));
    // Said of the new state alone already; upstream says it again.
    selecting_spec(&mut errors, new, &path);
    let elastic = new.text("completionMode") == "Indexed"
        && new.value("completions") == new.value("parallelism")
        && before.value("completions") == before.value("parallelism");
    if !elastic {
        immutable(&mut errors, new.value("completions"), before.value("completions"), &path.child("completions"));
    }
    immutable(&mut errors, new.value("selector"), before.value("selector"), &path.child("selector"));
    let started = part(old, "status").says("startTime");
    if template_as_fixed(new, before, started) != *part(before, "template") {
        errors.invalid(&path.child("template"), new.value("template").clone(), crate::validate::IMMUTABLE);
    }
    for key in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        immutable(&mut errors, new.value(key), before.value(key), &path.child(key));
    }
    errors
}

/// The new template with everything put back that a suspended Job may still change: where its Pods run.
fn template_as_fixed(new: &Fields, old: &Fields, started: bool) -> Fields {
    let mut template = part(new, "template").clone();
    if !old.flag("suspend") || started {
        return template;
    }
    let before = part(old, "template");
    for key in ["labels", "annotations"] {
        let value = part(before, "metadata").value(key).clone();
        restore(template.made("metadata"), key, value);
    }
    for key in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
        let value = part(before, "spec").value(key).clone();
        restore(template.made("spec"), key, value);
    }
    template
}

fn restore(fields: &mut Fields, key: &str, value: Value) {
    if value.is_null() {
        fields.remove(key);
    } else {
        fields.set(key, value);
    }
}
