//! `autoscaling/v1 Scale`: the size of a workload, read and written as an object of its own.

use api_meta::{FieldErrors, FieldPath, LabelSelector, Map, Object, Value, json};

use crate::fields::FieldsExt;
use crate::table::{int, part};
use crate::validate::not_negative;
use crate::workload;

/// The size of a Deployment, ReplicaSet, StatefulSet or ReplicationController.
///
/// As upstream encodes it: a size of 0 is not shown in the spec.
pub fn scale(object: &Object) -> Object {
    let (spec, status) = (part(object, "spec"), part(object, "status"));
    let mut metadata = Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.metadata().and_then(|m| m.get(key)) {
            metadata.insert(key.into(), value.clone());
        }
    }
    let replicas = int(spec, "replicas");
    let mut scale = Object::default();
    scale.set("apiVersion", "autoscaling/v1");
    scale.set("kind", "Scale");
    scale.set("metadata", metadata);
    scale.set("spec", if replicas == 0 { json!({}) } else { json!({"replicas": replicas}) });
    let mut shown = json!({"replicas": int(status, "replicas")});
    let selector = selector(spec.value("selector"));
    if !selector.is_empty() {
        shown["selector"] = selector.into();
    }
    scale.set("status", shown);
    scale
}

/// The selector in the text form of list requests. ReplicationControllers have a plain map of labels.
fn selector(value: &Value) -> String {
    let structured = value.get("matchLabels").is_some_and(Value::is_object)
        || value.get("matchExpressions").is_some_and(Value::is_array);
    if structured || value.as_object().is_none_or(Map::is_empty) {
        return LabelSelector::from_object(Some(value)).to_string();
    }
    LabelSelector::from_object(Some(&json!({"matchLabels": value}))).to_string()
}

/// The workload with the size, and the resource version if one is given, of a scale.
#[must_use]
pub fn with_scale(mut object: Object, scale: &Object) -> Object {
    workload::set_size(&mut object, int(part(scale, "spec"), "replicas"));
    if !scale.resource_version().is_empty() {
        object.set_meta_str("resourceVersion", scale.resource_version());
    }
    object
}

/// What a scale may say.
pub fn validate_scale(scale: &Object) -> FieldErrors {
    let mut errors = FieldErrors::new();
    not_negative(&mut errors, part(scale, "spec"), &FieldPath::new("spec"), &["replicas"]);
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        Object::try_from(value).unwrap()
    }

    fn deployment(replicas: i64) -> Object {
        object(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "demo"}}},
            "status": {"replicas": 2},
        }))
    }

    #[test]
    fn reads_the_size() {
        assert_eq!(
            scale(&deployment(3)).to_value(),
            json!({
                "apiVersion": "autoscaling/v1",
                "kind": "Scale",
                "metadata": {"name": "d", "namespace": "n", "uid": "u", "resourceVersion": "7"},
                "spec": {"replicas": 3},
                "status": {"replicas": 2, "selector": "app=demo"},
            })
        );
        assert_eq!(scale(&deployment(0)).value("spec"), &json!({}));
    }

    #[test]
    fn plain_labels_select_too() {
        let rc = object(json!({"spec": {"selector": {"b": "2", "a": "1"}}}));
        assert_eq!(scale(&rc).str_at(&["status", "selector"]), Some("a=1,b=2"));
    }

    #[test]
    fn writes_the_size() {
        let mut wanted = scale(&deployment(3));
        wanted.set("spec", json!({}));
        assert_eq!(with_scale(deployment(3), &wanted), deployment(0));
        wanted.set("spec", json!({"replicas": -1}));
        assert_eq!(
            validate_scale(&wanted).to_string(),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        );
    }
}
