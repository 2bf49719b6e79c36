//! `ReplicaSet`, and `ReplicationController`, its elder.

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, fill};
use crate::pod_template::{self, default_template};

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
}
