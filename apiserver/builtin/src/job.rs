//! `Job`.

mod validation;

use api_meta::{FieldErrors, Map, Object, Value, json, parse_time};
use apiserver_model::{Column, Operation, Strategy, human_duration};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt, fill};
use crate::pod_template::{self, default_template, template_warnings};
use crate::table::{self, age, int, is_true, part};

pub(crate) const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
pub(crate) const JOB_NAME: &str = "batch.kubernetes.io/job-name";
pub(crate) const OLD_CONTROLLER_UID: &str = "controller-uid";
pub(crate) const OLD_JOB_NAME: &str = "job-name";

pub(crate) use validation::validate_template_spec;

pub(crate) struct Jobs;

impl Strategy for Jobs {
    fn default(&self, object: &mut Object) {
        object.made("status");
        default_job_spec(object.made("spec"));
        labels_of_template(object);
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.set("status", json!({}));
        object.set_generation(1);
        if !object.made("spec").flag("manualSelector") {
            generate_selector(object);
        }
        labels_of_template(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("batch/jobs")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (part(object, "spec"), part(object, "status"));
        let succeeded = int(status, "succeeded");
        let completions = match (spec.int("completions"), int(spec, "parallelism")) {
            (Some(wanted), _) => format!("{succeeded}/{wanted}"),
            (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
            (None, _) => format!("{succeeded}/1"),
        };
        let [containers, images] = table::containers(part(spec, "template"));
        vec![
            object.name().into(),
            state(object, status).into(),
            completions.into(),
            duration(status, now).into(),
            age(object, now),
            containers,
            images,
            table::selector(spec.value("selector")).into(),
        ]
    }

    fn selectable_fields(&self) -> &[&str] {
        &["status.successful"]
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        let count = || object.at(&["status", "succeeded"]).and_then(Value::as_i64).unwrap_or_default();
        (field == "status.successful").then(|| count().to_string())
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        validation::validate_update(new, old)
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        template_warnings(object)
    }
}

fn default_job_spec(spec: &mut Fields) {
    if !spec.says("completions") && !spec.says("parallelism") {
        spec.set("completions", 1);
    }
    spec.or_set("parallelism", 1);
    let retries = if spec.says("backoffLimitPerIndex") { i64::from(i32::MAX) } else { 6 };
    spec.or_set("backoffLimit", retries);
    spec.or_set("completionMode", "NonIndexed");
    spec.or_set("suspend", false);
    spec.or_set("manualSelector", false);
    let replacement = if spec.says("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    spec.or_set("podReplacementPolicy", replacement);
    default_failure_policy(spec);
    default_template(spec.made("template"));
}

fn default_failure_policy(spec: &mut Fields) {
    let rules = spec.fields_mut("podFailurePolicy").into_iter().flat_map(|policy| policy.each_mut("rules"));
    for rule in rules {
        for pattern in rule.each_mut("onPodConditions") {
            pattern.or_text("status", "True");
        }
    }
}

/// What a Job inside a `CronJob` gets: nothing that the Job's own creation decides.
pub(crate) fn default_job_template(template: &mut Fields) {
    template.made("metadata");
    default_template(template.made("spec").made("template"));
}

/// A Job without labels takes those of its Pods.
fn labels_of_template(object: &mut Object) {
    let labels = object.made("spec").fields("template").and_then(pod_template::labels).cloned();
    if let Some(labels) = labels
        && object.labels().is_none_or(Map::is_empty)
    {
        object.metadata_mut().set("labels", labels);
    }
}

/// Marks the Job's Pods with its uid and name, under the old keys and the new, and selects them by the uid.
///
/// Labels that the writer set are kept; if they disagree, validation says so.
fn generate_selector(object: &mut Object) {
    let (uid, name) = (object.uid().to_owned(), object.name().to_owned());
    let spec = object.made("spec");
    fill(
        spec.made("template").made("metadata").made("labels"),
        json!({CONTROLLER_UID: uid, JOB_NAME: name, OLD_CONTROLLER_UID: uid, OLD_JOB_NAME: name}),
    );
    fill(spec.made("selector").made("matchLabels"), json!({CONTROLLER_UID: uid}));
}

/// What a Job is doing, in a word.
fn state(object: &Object, status: &Fields) -> &'static str {
    let is = |condition: &str| is_true(status, condition);
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if object.deletion_timestamp().is_some() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

/// From the start to the end, or till now.
fn duration(status: &Fields, now: Timestamp) -> String {
    let Some(start) = parse_time(status.text("startTime")) else { return String::new() };
    let end = parse_time(status.text("completionTime")).unwrap_or(now);
    human_duration(end.as_second() - start.as_second())
}
