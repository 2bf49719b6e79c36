//! `VolumeAttachment`.

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{FieldsExt, fill};
use crate::table::{self, age, part};

pub(crate) struct VolumeAttachments;

impl Strategy for VolumeAttachments {
    fn default(&self, object: &mut Object) {
        fill(object.made("status"), json!({"attached": false}));
        object.made("spec");
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({"attached": false}))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("storage.k8s.io/volumeattachments")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (part(object, "spec"), part(object, "status"));
        vec![
            object.name().into(),
            spec.text("attacher").into(),
            part(spec, "source").text("persistentVolumeName").into(),
            spec.text("nodeName").into(),
            status.flag("attached").into(),
            age(object, now),
        ]
    }
}
