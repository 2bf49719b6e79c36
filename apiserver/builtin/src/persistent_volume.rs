//! `PersistentVolume`.

use api_meta::{FieldErrors, FieldPath, Object, Quantity, Value, json, now_seconds};
use apiserver_model::{Column, Operation, Strategy};
use jiff::Timestamp;

use crate::fields::{FieldsExt, canonical_amounts, fill};
use crate::persistent_volume_claim::{CLASS_ANNOTATION, validate_modes};
use crate::pod_template::{class_name, default_source, validate_source};
use crate::table::{self, UNSET, age, part, text_or};
use crate::validate::{immutable, one_of_if_any, unsupported};

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

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        let spec = part(object, "spec");
        if spec.items("accessModes").is_empty() {
            errors.required(&path.child("accessModes"), "");
        }
        validate_modes(&mut errors, spec, &path);
        let capacity = part(spec, "capacity");
        if capacity.is_empty() {
            errors.required(&path.child("capacity"), "");
        }
        if !capacity.says("storage") || capacity.len() > 1 {
            unsupported(&mut errors, &path.child("capacity"), spec.value("capacity").clone(), &["storage"]);
        }
        for (name, amount) in capacity {
            let path = path.child("capacity").key(name);
            if let Ok(amount) = Quantity::from_value(amount)
                && amount <= Quantity::default()
            {
                errors.invalid(&path, amount.to_string(), "must be greater than zero");
            }
        }
        const POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];
        one_of_if_any(&mut errors, spec, "persistentVolumeReclaimPolicy", &path, &POLICIES);
        validate_source(&mut errors, spec, &SOURCES, &path);
        if spec.fields("hostPath").is_some_and(|h| h.text("path") == "/")
            && spec.text("persistentVolumeReclaimPolicy") == "Recycle"
        {
            errors.forbidden(
                &path.child("persistentVolumeReclaimPolicy"),
                "may not be 'recycle' for a hostPath mount of '/'",
            );
        }
        class_name(&mut errors, spec, &path);
        one_of_if_any(&mut errors, spec, "volumeMode", &path, &["Block", "Filesystem"]);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let source = |o: &Object| SOURCES.iter().map(|kind| part(o, "spec").value(kind).clone()).collect::<Vec<_>>();
        if source(new) != source(old) {
            errors.forbidden(
                &FieldPath::new("spec").child("persistentvolumesource"),
                format!(
                    "spec.persistentvolumesource is immutable after creation\n{}",
                    crate::difference::difference(part(old, "spec"), part(new, "spec"))
                ),
            );
        }
        let mode = |o: &Object| part(o, "spec").value("volumeMode").clone();
        immutable(&mut errors, &mode(new), &mode(old), &FieldPath::new("spec").child("volumeMode"));
        errors
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        let recycled = part(object, "spec").text("persistentVolumeReclaimPolicy") == "Recycle";
        let text = "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the \
                    recommended approach is to use dynamic provisioning.";
        if recycled { vec![text.to_owned()] } else { Vec::new() }
    }
}

/// In the order in which upstream looks at them.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];
