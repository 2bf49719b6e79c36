//! `PersistentVolumeClaim`.

use api_meta::{FieldErrors, FieldPath, Object, Quantity, Value, json};
use apiserver_model::{Column, Operation, Strategy};
use jiff::Timestamp;

use crate::difference::difference;
use crate::fields::{Fields, FieldsExt, canonical_amounts, canonical_resources, fill};
use crate::pod_template::class_name;
use crate::table::{self, UNSET, age, part, text_or};
use crate::validate::{label_selector, one_of_if_any, unsupported};

/// The class, before it was a field.
pub(crate) const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Defaults of a claim: of the object itself and of the templates in a StatefulSet.
pub(crate) fn default_claim(claim: &mut Fields) {
    let status = claim.made("status");
    fill(status, json!({"phase": "Pending"}));
    canonical_amounts(status.fields_mut("capacity"));
    canonical_amounts(status.fields_mut("allocatedResources"));
    default_claim_spec(claim.made("spec"));
}

pub(crate) fn default_claim_spec(spec: &mut Fields) {
    spec.or_set("volumeMode", "Filesystem");
    canonical_resources(spec.made("resources"));
}

pub(crate) struct PersistentVolumeClaims;

impl Strategy for PersistentVolumeClaims {
    fn default(&self, object: &mut Object) {
        default_claim(object);
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({"phase": "Pending"}))
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.set("status", json!({"phase": "Pending"}));
        same_data_source(object.made("spec"));
    }

    fn has_status(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("persistentvolumeclaims")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (part(object, "spec"), part(object, "status"));
        let phase = if object.deletion_timestamp().is_some() { "Terminating" } else { status.text("phase") };
        let bound = !spec.text("volumeName").is_empty();
        let class = object.annotation(CLASS_ANNOTATION).unwrap_or(spec.text("storageClassName"));
        vec![
            object.name().into(),
            phase.into(),
            spec.text("volumeName").into(),
            if bound { part(status, "capacity").text("storage").into() } else { "".into() },
            if bound { table::access_modes(status.items("accessModes")).into() } else { "".into() },
            class.into(),
            text_or(spec, "volumeAttributesClassName", UNSET),
            age(object, now),
            text_or(spec, "volumeMode", UNSET),
        ]
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        validate_claim_spec(&mut errors, part(object, "spec"), &FieldPath::new("spec"));
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let (new, before) = (part(new, "spec"), part(old, "spec"));
        let path = FieldPath::new("spec");
        // A binder names the volume; a bound claim may grow and change its attributes.
        let bound = part(old, "status").text("phase") == "Bound";
        let fixed = |spec: &Fields| {
            let mut spec = spec.clone();
            if before.text("volumeName").is_empty() {
                spec.remove("volumeName");
                if !before.says("storageClassName") {
                    spec.remove("storageClassName");
                }
            }
            if bound {
                spec.remove("resources");
                spec.remove("volumeAttributesClassName");
            }
            spec
        };
        if fixed(new) != fixed(before) {
            errors.forbidden(
                &path,
                format!(
                    "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                     bound claims\n{}",
                    difference(before, new)
                ),
            );
        } else if bound && requested(new) < requested(before) {
            errors.forbidden(
                &path.children(&["resources", "requests", "storage"]),
                "field can not be less than status.capacity",
            );
        }
        errors
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        let old = object.annotation(CLASS_ANNOTATION).is_some();
        let text = format!(
            "metadata.annotations[{CLASS_ANNOTATION}]: deprecated since v1.8; use \"storageClassName\" attribute instead"
        );
        if old { vec![text] } else { Vec::new() }
    }
}

/// `dataSource` and `dataSourceRef` say the same where both can.
fn same_data_source(spec: &mut Fields) {
    let (old, new) = (spec.value("dataSource").clone(), spec.value("dataSourceRef").clone());
    if !old.is_null() && new.is_null() {
        spec.set("dataSourceRef", old);
    } else if old.is_null() && new.get("namespace").is_none_or(|n| n == "") {
        let known = matches!(
            (new["apiGroup"].as_str().unwrap_or_default(), new["kind"].as_str()),
            ("", Some("PersistentVolumeClaim")) | ("snapshot.storage.k8s.io", Some("VolumeSnapshot"))
        );
        if known {
            let mut source = new;
            if let Some(fields) = source.as_object_mut() {
                fields.remove("namespace");
            }
            spec.set("dataSource", source);
        }
    }
}

fn requested(spec: &Fields) -> Option<Quantity> {
    Quantity::from_value(part(part(spec, "resources"), "requests").value("storage")).ok()
}

/// What a claim asks for.
pub(crate) fn validate_claim_spec(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let modes = spec.items("accessModes");
    let mode_path = path.child("accessModes");
    if modes.is_empty() {
        errors.required(&mode_path, "at least 1 access mode is required");
    }
    label_selector(errors, spec.value("selector"), &path.child("selector"));
    validate_modes(errors, spec, path);
    let storage = part(part(spec, "resources"), "requests").value("storage");
    let storage_path = path.child("resources").key("storage");
    match Quantity::from_value(storage) {
        Err(_) => errors.required(&storage_path, ""),
        Ok(amount) if amount <= Quantity::default() => {
            errors.invalid(&storage_path, amount.to_string(), "must be greater than zero");
        }
        Ok(_) => {}
    }
    class_name(errors, spec, path);
    one_of_if_any(errors, spec, "volumeMode", path, &["Block", "Filesystem"]);
}

pub(crate) fn validate_modes(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    let path = path.child("accessModes");
    for mode in spec.texts("accessModes").filter(|mode| !MODES.contains(mode)) {
        unsupported(errors, &path, mode, &MODES);
    }
    let alone = spec.texts("accessModes").any(|mode| mode == "ReadWriteOncePod");
    if alone && spec.items("accessModes").len() > 1 {
        errors.forbidden(&path, "may not use ReadWriteOncePod with other access modes");
    }
}
