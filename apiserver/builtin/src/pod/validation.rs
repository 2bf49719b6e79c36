//! What a Pod may say and what may change (upstream: `ValidatePodCreate`, `ValidatePodUpdate`).

use api_meta::{FieldErrors, FieldPath, Object, Value};

use crate::difference::difference;
use crate::fields::{Fields, FieldsExt};
use crate::pod_template::validate_spec;
use crate::table::part;

const MAY_CHANGE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
                          `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
                          additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set \
                          to 1 if it was previously negative)";

pub(super) fn validate(object: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let spec = part(object, "spec");
    validate_spec(&mut errors, spec, &path);
    // Only `/ephemeralcontainers` adds them, and only to a Pod that is there.
    if !spec.items("ephemeralContainers").is_empty() && object.resource_version().is_empty() {
        errors.forbidden(&path.child("ephemeralContainers"), "cannot be set on create");
    }
    errors
}

pub(super) fn validate_update(new: &Object, old: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let (new, before) = (part(new, "spec"), part(old, "spec"));
    for list in ["containers", "initContainers"] {
        if new.items(list).len() != before.items(list).len() {
            errors.forbidden(&path.child(list), "pod updates may not add or remove containers");
            return errors;
        }
    }
    deadline(&mut errors, new, before, &path.child("activeDeadlineSeconds"));
    tolerations(&mut errors, new, before, &path.child("tolerations"));
    gates(&mut errors, new, before, &path.child("schedulingGates"));
    let allowed = as_allowed(new, before);
    if allowed != *before {
        errors.forbidden(&path, format!("{MAY_CHANGE}\n{}", difference(before, &allowed)));
    }
    errors
}

/// A deadline may come and draw nearer.
fn deadline(errors: &mut FieldErrors, new: &Fields, old: &Fields, path: &FieldPath) {
    match (new.int("activeDeadlineSeconds"), old.int("activeDeadlineSeconds")) {
        (Some(new), Some(old)) if new > old => {
            errors.invalid(path, new, "must be less than or equal to previous value");
        }
        (None, Some(_)) => {
            errors.invalid(path, Value::Null, "must not update from a positive integer to nil value");
        }
        _ => {}
    }
}

/// Tolerations may be added; those that are there may change how long they hold.
fn tolerations(errors: &mut FieldErrors, new: &Fields, old: &Fields, path: &FieldPath) {
    let matching = |toleration: &Value| {
        let mut toleration = toleration.clone();
        if let Some(fields) = toleration.as_object_mut()
            && fields.text("effect") == "NoExecute"
        {
            fields.remove("tolerationSeconds");
        }
        toleration
    };
    let kept: Vec<_> = new.items("tolerations").iter().map(matching).collect();
    if !old.items("tolerations").iter().all(|t| kept.contains(&matching(t))) {
        errors.forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
    }
}

fn gates(errors: &mut FieldErrors, new: &Fields, old: &Fields, path: &FieldPath) {
    let known: Vec<_> = old.each("schedulingGates").map(|(_, gate)| gate.text("name")).collect();
    for (index, gate) in new.each("schedulingGates") {
        let name = gate.text("name");
        if !known.contains(&name) {
            errors.forbidden(
                &path.index(index).child("name"),
                format!("only deletion is allowed, but found new scheduling gate '{name}'"),
            );
        }
    }
}

/// The new spec with everything put back that may change; what still differs may not.
fn as_allowed(new: &Fields, old: &Fields) -> Fields {
    let mut spec = new.clone();
    for list in ["containers", "initContainers"] {
        let images: Vec<_> = old.each(list).map(|(_, c)| c.value("image").clone()).collect();
        for (container, image) in spec.each_mut(list).zip(images) {
            container.set("image", image);
        }
    }
    for key in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        put_back(&mut spec, old, key);
    }
    if new.int("terminationGracePeriodSeconds") == Some(1)
        && old.int("terminationGracePeriodSeconds").is_some_and(|s| s < 0)
    {
        put_back(&mut spec, old, "terminationGracePeriodSeconds");
    }
    // A Pod that may not be scheduled yet may still narrow where.
    if !old.items("schedulingGates").is_empty() && narrows(new, old) {
        put_back(&mut spec, old, "nodeSelector");
    }
    spec
}

fn put_back(spec: &mut Fields, old: &Fields, key: &str) {
    match old.get(key) {
        Some(value) => spec.set(key, value.clone()),
        None => {
            spec.remove(key);
        }
    }
}

/// The node selector keeps all that it asked for.
fn narrows(new: &Fields, old: &Fields) -> bool {
    let after = part(new, "nodeSelector");
    part(old, "nodeSelector").iter().all(|(key, value)| after.get(key) == Some(value))
}

pub(super) fn validate_subresource_update(subresource: &str, new: &Object, old: &Object) -> FieldErrors {
    let mut errors = validate(new);
    let path = FieldPath::new("spec");
    let (after, before) = (part(new, "spec"), part(old, "spec"));
    match subresource {
        "ephemeralcontainers" => {
            for (_, container) in before.each("ephemeralContainers") {
                let found = after.each("ephemeralContainers").find(|(_, c)| c.text("name") == container.text("name"));
                if found.is_none_or(|(_, c)| c != container) {
                    errors.forbidden(
                        &path.child("ephemeralContainers"),
                        format!(
                            "existing ephemeral containers {:?} may not be changed or removed",
                            container.text("name")
                        ),
                    );
                }
            }
        }
        "resize" => {
            for list in ["containers", "initContainers"] {
                let names = |spec: &Fields| spec.each(list).map(|(_, c)| c.text("name").to_owned()).collect::<Vec<_>>();
                if names(after) != names(before) {
                    errors.forbidden(&path.child(list), "resize may not add, remove, rename or reorder containers");
                }
            }
        }
        _ => errors.extend(validate_update(new, old)),
    }
    errors
}
