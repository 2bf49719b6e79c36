//! `StorageClass` and `VolumeAttributesClass`.

use api_meta::Object;
use apiserver_model::Strategy;

use crate::fields::FieldsExt;

pub(crate) struct StorageClasses;

impl Strategy for StorageClasses {
    fn default(&self, object: &mut Object) {
        object.or_set("reclaimPolicy", "Delete");
        object.or_set("volumeBindingMode", "Immediate");
    }
}

pub(crate) struct VolumeAttributesClasses;

impl Strategy for VolumeAttributesClasses {}
