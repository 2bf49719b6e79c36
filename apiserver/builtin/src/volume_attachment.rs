//! `VolumeAttachment`.

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, fill};

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
}
