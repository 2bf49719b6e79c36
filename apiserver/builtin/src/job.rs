//! `Job`.

use api_meta::{Map, Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::{Fields, FieldsExt, fill};
use crate::pod_template::{self, default_template};

pub(crate) const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
pub(crate) const JOB_NAME: &str = "batch.kubernetes.io/job-name";
pub(crate) const OLD_CONTROLLER_UID: &str = "controller-uid";
pub(crate) const OLD_JOB_NAME: &str = "job-name";

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
