//! `ReplicaSet`, and `ReplicationController`, its elder.

use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Operation, Strategy};
use jiff::Timestamp;

use crate::fields::{FieldsExt, fill};
use crate::pod_template::{self, default_template, template_warnings};
use crate::scale;
use crate::table::{self, age, int, part};
use crate::validate::not_negative;
use crate::workload;

fn zero_status() -> Value {
    json!({"replicas": 0})
}

pub(crate) struct ReplicaSets;

impl Strategy for ReplicaSets {
    fn default(&self, object: &mut Object) {
        fill(object.made("status"), zero_status());
        let spec = object.made("spec");
        spec.or_set("replicas", 1);
        default_template(spec.made("template"));
    }

    fn initial_status(&self) -> Option<Value> {
        Some(zero_status())
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("apps/replicasets")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let selector = table::selector(part(object, "spec").value("selector"));
        replicas_row(object, selector, now)
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        let spec = part(object, "spec");
        not_negative(&mut errors, spec, &path, &["replicas", "minReadySeconds"]);
        workload::validate_replicated(&mut errors, spec, "deployment", &path);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        workload::selector_is_fixed(new, old)
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        template_warnings(object)
    }

    fn scale(&self, object: &Object) -> Option<Object> {
        Some(scale::scale(object))
    }

    fn set_scale(&self, object: &mut Object, replicas: i64) {
        workload::set_size(object, replicas);
    }
}

pub(crate) struct ReplicationControllers;

impl Strategy for ReplicationControllers {
    fn default(&self, object: &mut Object) {
        fill(object.made("status"), zero_status());
        let spec = object.made("spec");
        spec.or_set("replicas", 1);
        if let Some(template) = spec.fields_mut("template") {
            default_template(template);
        }
        let labels = spec.fields("template").and_then(pod_template::labels).cloned();
        if let Some(labels) = labels {
            if spec.fields("selector").is_none_or(|s| s.is_empty()) {
                spec.set("selector", labels.clone());
            }
            if object.labels().is_none_or(|l| l.is_empty()) {
                object.metadata_mut().set("labels", labels);
            }
        }
    }

    fn initial_status(&self) -> Option<Value> {
        Some(zero_status())
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("replicationcontrollers")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let selector = table::labels(part(object, "spec").fields("selector"));
        replicas_row(object, selector, now)
    }

    fn selectable_fields(&self) -> &[&str] {
        &["status.replicas"]
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        let count = || object.at(&["status", "replicas"]).and_then(Value::as_i64).unwrap_or_default();
        (field == "status.replicas").then(|| count().to_string())
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        let spec = part(object, "spec");
        not_negative(&mut errors, spec, &path, &["minReadySeconds"]);
        let selector = part(spec, "selector");
        if selector.is_empty() {
            errors.required(&path.child("selector"), "");
        }
        not_negative(&mut errors, spec, &path, &["replicas"]);
        let path = path.child("template");
        match spec.fields("template") {
            None => errors.required(&path, ""),
            Some(template) => {
                let labels = pod_template::labels(template);
                if !selector.iter().all(|(key, value)| labels.is_some_and(|l| l.get(key) == Some(value))) {
                    let shown = labels.cloned().map_or(Value::Null, Value::Object);
                    let message = "`selector` does not match template `labels`";
                    errors.invalid(&path.children(&["metadata", "labels"]), shown, message);
                }
                pod_template::validate_template(&mut errors, template, &path);
                pod_template::validate_restarts_always(&mut errors, template, "ReplicationController", &path);
            }
        }
        errors
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        template_warnings(object)
    }

    fn scale(&self, object: &Object) -> Option<Object> {
        Some(scale::scale(object))
    }

    fn set_scale(&self, object: &mut Object, replicas: i64) {
        workload::set_size(object, replicas);
    }
}

fn replicas_row(object: &Object, selector: String, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (part(object, "spec"), part(object, "status"));
    let [containers, images] = table::containers(part(spec, "template"));
    vec![
        object.name().into(),
        int(spec, "replicas").into(),
        int(status, "replicas").into(),
        int(status, "readyReplicas").into(),
        age(object, now),
        containers,
        images,
        selector.into(),
    ]
}
