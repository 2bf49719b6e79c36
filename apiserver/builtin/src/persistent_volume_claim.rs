//! `PersistentVolumeClaim`.

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};

use crate::fields::{Fields, FieldsExt, canonical_amounts, canonical_resources, fill};
use crate::table::{self, UNSET, age, part, text_or};
use jiff::Timestamp;

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
}

/// `dataSource` and `dataSourceRef` say the same where both can.
fn same_data_source(spec: &mut Fields) {
    let (old, new) = (spec.value("dataSource").clone(), spec.value("dataSourceRef").clone());
    if !old.is_null() && new.is_null() {
        spec.set("dataSourceRef", old);
    } else if old.is_null() && new.get("namespace").is_none_or(|n| n == "") {
        let known = match (new["apiGroup"].as_str().unwrap_or_default(), new["kind"].as_str()) {
            ("", Some("PersistentVolumeClaim")) | ("snapshot.storage.k8s.io", Some("VolumeSnapshot")) => true,
            _ => false,
        };
        if known {
            let mut source = new;
            if let Some(fields) = source.as_object_mut() {
                fields.remove("namespace");
            }
            spec.set("dataSource", source);
        }
    }
}
