//! `PersistentVolumeClaim`.

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::{Fields, FieldsExt, canonical_amounts, canonical_resources, fill};

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
