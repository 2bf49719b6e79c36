//! `PersistentVolume`.

use api_meta::{Object, Value, json, now_seconds};
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, canonical_amounts, fill};
use crate::pod_template::default_source;

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
}
