//! What roles and bindings may say (upstream: `apis/rbac/validation`).

use api_meta::{FieldErrorKind, FieldErrors, FieldPath, Object};

use super::GROUP;
use crate::fields::{Fields, FieldsExt};
use crate::table::part;
use crate::validate::{label_selector, subdomain, unsupported, wrong_struct};

pub(super) fn validate_role(object: &Object, namespaced: bool) -> FieldErrors {
    let mut errors = FieldErrors::new();
    for (index, rule) in object.each("rules") {
        validate_rule(&mut errors, rule, namespaced, &FieldPath::new("rules").index(index));
    }
    if let Some(aggregation) = object.fields("aggregationRule") {
        let path = FieldPath::new("aggregationRule").child("clusterRoleSelectors");
        if aggregation.items("clusterRoleSelectors").is_empty() {
            errors.required(&path, "at least one clusterRoleSelector required if aggregationRule is non-nil");
        }
        for (index, selector) in aggregation.items("clusterRoleSelectors").iter().enumerate() {
            label_selector(&mut errors, selector, &path.index(index));
        }
    }
    errors
}

fn validate_rule(errors: &mut FieldErrors, rule: &Fields, namespaced: bool, path: &FieldPath) {
    if rule.items("verbs").is_empty() {
        errors.required(&path.child("verbs"), "verbs must contain at least one value");
    }
    if !rule.items("nonResourceURLs").is_empty() {
        let (path, value) = (path.child("nonResourceURLs"), rule.value("nonResourceURLs").clone());
        if namespaced {
            errors.invalid(&path, value.clone(), "namespaced rules cannot apply to non-resource URLs");
        }
        let resources = ["apiGroups", "resources", "resourceNames"].iter().any(|k| !rule.items(k).is_empty());
        if resources {
            errors.invalid(&path, value, "rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if rule.items("apiGroups").is_empty() {
        errors.required(&path.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if rule.items("resources").is_empty() {
        errors.required(&path.child("resources"), "resource rules must supply at least one resource");
    }
}

pub(super) fn validate_binding(object: &Object, namespaced: bool) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let (role, path) = (part(object, "roleRef"), FieldPath::new("roleRef"));
    if role.text("apiGroup") != GROUP {
        unsupported(&mut errors, &path.child("apiGroup"), role.text("apiGroup"), &[GROUP]);
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&role.text("kind")) {
        unsupported(&mut errors, &path.child("kind"), role.text("kind"), kinds);
    }
    match role.text("name") {
        "" => errors.required(&path.child("name"), ""),
        name => {
            for wrong in api_meta::validation::is_path_segment(name) {
                errors.invalid(&path.child("name"), name, wrong);
            }
        }
    }
    for (index, subject) in object.each("subjects") {
        validate_subject(&mut errors, subject, namespaced, &FieldPath::new("subjects").index(index));
    }
    errors
}

fn validate_subject(errors: &mut FieldErrors, subject: &Fields, namespaced: bool, path: &FieldPath) {
    let (kind, group) = (subject.text("kind"), subject.text("apiGroup"));
    if subject.text("name").is_empty() {
        errors.required(&path.child("name"), "");
    }
    match kind {
        "ServiceAccount" => {
            if !subject.text("name").is_empty() {
                subdomain(errors, &path.child("name"), subject.text("name"));
            }
            if !group.is_empty() {
                unsupported(errors, &path.child("apiGroup"), group, &[""]);
            }
            if !namespaced && subject.text("namespace").is_empty() {
                errors.required(&path.child("namespace"), "");
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                unsupported(errors, &path.child("apiGroup"), group, &[GROUP]);
            }
        }
        kind => unsupported(errors, &path.child("kind"), kind, &["ServiceAccount", "User", "Group"]),
    }
}

/// A binding stays with its role, so that who may bind is decided once.
pub(super) fn validate_same_role(new: &Object, old: &Object) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let (new, old) = (part(new, "roleRef"), part(old, "roleRef"));
    if new != old {
        let shown = [("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name")];
        let shown = shown.map(|(go, key)| (go, new.text(key).into()));
        wrong_struct(&mut errors, FieldErrorKind::Invalid, &FieldPath::new("roleRef"), &shown, "cannot change roleRef");
    }
    errors
}
