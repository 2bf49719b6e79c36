//! `PersistentVolume`.

use api_meta::{Object, Value, json, now_seconds};
use apiserver_model::{Column, Strategy};

use crate::fields::{FieldsExt, canonical_amounts, fill};
use crate::persistent_volume_claim::CLASS_ANNOTATION;
use crate::pod_template::default_source;
use crate::table::{self, UNSET, age, part, text_or};
use jiff::Timestamp;

pub(crate) struct PersistentVolumes;

impl Strategy for PersistentVolumes {
    fn default(&self, object: &mut Object) {
        fill(object.made("status"), json!({"phase": "Pending"}));
        let spec = object.made("spec");
        spec.or_text("persistentVolumeReclaimPolicy", "Retain");
        spec.or_set("volumeMode", "Filesystem");
        canonical_amounts(spec.fields_mut("capacity"));
        default_source(spec);
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({"phase": "Pending"}))
    }

    fn prepare_for_create(&self, object: &mut Object) {
        object.set("status", json!({"phase": "Pending", "lastPhaseTransitionTime": now_seconds()}));
    }

    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        new.set("spec", old.value("spec").clone());
        let phase = |o: &Object| o.str_at(&["status", "phase"]).unwrap_or_default().to_owned();
        if phase(new) != phase(old) {
            new.made("status").set("lastPhaseTransitionTime", now_seconds());
        }
    }

    fn has_status(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("persistentvolumes")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (part(object, "spec"), part(object, "status"));
        let phase = if object.deletion_timestamp().is_some() { "Terminating" } else { status.text("phase") };
        let claim = spec.fields("claimRef").map(|c| format!("{}/{}", c.text("namespace"), c.text("name")));
        let class = object.annotation(CLASS_ANNOTATION).unwrap_or(spec.text("storageClassName"));
        vec![
            object.name().into(),
            part(spec, "capacity").text("storage").into(),
            table::access_modes(spec.items("accessModes")).into(),
            spec.text("persistentVolumeReclaimPolicy").into(),
            phase.into(),
            claim.unwrap_or_default().into(),
            class.into(),
            text_or(spec, "volumeAttributesClassName", UNSET),
            status.text("reason").into(),
            age(object, now),
            text_or(spec, "volumeMode", UNSET),
        ]
    }
}
