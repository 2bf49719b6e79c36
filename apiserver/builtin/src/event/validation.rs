//! What an Event may say: little in the core group, all of it in `events.k8s.io`.

use api_meta::validation::is_qualified_name;
use api_meta::{FieldErrors, FieldPath, Object, Value};

use super::Events;
use crate::fields::FieldsExt;
use crate::table::part;

pub(super) fn validate(events: &Events, object: &Object) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let about = part(object, events.name("involvedObject"));
    if events.grouped && object.value("eventTime").is_null() {
        // Older reporters set no time; what they may say is told below.
        errors.required(&FieldPath::new("eventTime"), "");
    }
    let named = about.text("namespace");
    // What belongs to no namespace is told of in `default`.
    let expected = if named.is_empty() { "default" } else { named };
    let cluster_wide = named.is_empty() && object.namespace() == "kube-system";
    if expected != object.namespace() && !object.namespace().is_empty() && !cluster_wide {
        errors.invalid(&FieldPath::new("involvedObject").child("namespace"), named, "does not match event.namespace");
    }
    if events.grouped {
        if !object.value("eventTime").is_null() {
            required_fields(&mut errors, object);
        }
        if !matches!(object.text("type"), "Normal" | "Warning") {
            errors.invalid(&FieldPath::new("type"), "", format!("has invalid value: {}", object.text("type")));
        }
    }
    errors
}

fn required_fields(errors: &mut FieldErrors, object: &Object) {
    let controller = object.text("reportingController");
    let path = FieldPath::new("reportingController");
    if controller.is_empty() {
        errors.required(&path, "");
    }
    for wrong in is_qualified_name(controller) {
        errors.invalid(&path, controller, wrong);
    }
    for (key, max) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        match object.text(key) {
            "" => errors.required(&FieldPath::new(key), ""),
            text if text.len() > max => {
                errors.invalid(&FieldPath::new(key), "", format!("can have at most {max} characters"));
            }
            _ => {}
        }
    }
    if object.text("note").len() > 1024 {
        errors.invalid(&FieldPath::new("message"), "", "can have at most 1024 characters");
    }
}

/// In `events.k8s.io` only the series and metadata may change.
pub(super) fn validate_update(events: &Events, new: &Object, old: &Object) -> FieldErrors {
    let mut errors = FieldErrors::new();
    if !events.grouped {
        return errors;
    }
    const FIXED: [&str; 13] = [
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "related",
        "type",
        "eventTime",
        "action",
        "reportingComponent",
        "reportingInstance",
    ];
    let shown = |value: &Value| if value.is_null() { Value::from("") } else { value.clone() };
    for core in FIXED {
        let key = events.name(core);
        if new.value(key) != old.value(key) {
            let path = FieldPath::new(if core == "reportingComponent" { "reportingController" } else { core });
            errors.invalid(&path, shown(new.value(key)), crate::validate::IMMUTABLE);
        }
    }
    errors
}
