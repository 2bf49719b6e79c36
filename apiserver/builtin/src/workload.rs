//! What Deployments and ReplicaSets ask of selector and template.

use api_meta::{FieldErrors, FieldPath};

use crate::fields::{Fields, FieldsExt};
use crate::pod_template::{validate_required_selector, validate_restarts_always, validate_selected, validate_template};
use crate::table::part;
use crate::validate::{is_empty_selector, is_selector};

pub(crate) fn validate(errors: &mut FieldErrors, spec: &Fields, owner: &str, path: &FieldPath) {
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
