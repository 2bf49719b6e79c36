//! `ReplicaSet`, and `ReplicationController`, its elder.

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};

use crate::fields::{FieldsExt, fill};
use crate::pod_template::{self, default_template};
use crate::table::{self, age, int, part};
use jiff::Timestamp;

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
