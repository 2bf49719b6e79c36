//! What the kinds that keep Pods of one template have in common: DaemonSets, Deployments, ReplicaSets, StatefulSets and
//! ReplicationControllers.

use api_meta::{FieldErrors, FieldPath, Object};

use crate::fields::{Fields, FieldsExt};
use crate::pod_template::{validate_required_selector, validate_restarts_always, validate_selected, validate_template};
use crate::table::part;
use crate::validate::{immutable, is_empty_selector, is_selector};

/// What Deployments and ReplicaSets ask of selector and template.
pub(crate) fn validate_replicated(errors: &mut FieldErrors, spec: &Fields, owner: &str, path: &FieldPath) {
    let (selector, template) = (spec.value("selector"), part(spec, "template"));
    validate_required_selector(errors, selector, owner, &path.child("selector"));
    if !is_selector(selector) {
        errors.invalid(&path.child("selector"), selector.clone(), "invalid label selector");
        return;
    }
    let path = path.child("template");
    if selector.is_null() || !is_empty_selector(selector) {
        validate_selected(errors, template, selector, &path);
    }
    validate_template(errors, template, &path);
    validate_restarts_always(errors, template, "ReplicaSet", &path);
}

/// That nobody changes which Pods are meant.
pub(crate) fn selector_is_fixed(new: &Object, old: &Object) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let selector = |object: &Object| part(object, "spec").value("selector").clone();
    immutable(&mut errors, &selector(new), &selector(old), &FieldPath::new("spec").child("selector"));
    errors
}

/// Writes the size that a scale asks for.
pub(crate) fn set_size(object: &mut Object, replicas: i64) {
    object.made("spec").set("replicas", replicas);
}
