//! `StorageClass` and `VolumeAttributesClass`.

use api_meta::{FieldErrors, FieldPath, Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::FieldsExt;
use crate::table::{self, age, text_or};
use crate::validate::{immutable, one_of_if_any, qualified};

pub(crate) struct StorageClasses;

impl Strategy for StorageClasses {
    fn default(&self, object: &mut Object) {
        object.or_set("reclaimPolicy", "Delete");
        object.or_set("volumeBindingMode", "Immediate");
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("storage.k8s.io/storageclasses")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let marked = DEFAULT_MARKS.iter().any(|mark| object.annotation(mark) == Some("true"));
        vec![
            format!("{}{}", object.name(), if marked { " (default)" } else { "" }).into(),
            object.text("provisioner").into(),
            text_or(object, "reclaimPolicy", "Delete"),
            text_or(object, "volumeBindingMode", "Immediate"),
            object.flag("allowVolumeExpansion").into(),
            age(object, now),
        ]
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, root) = (FieldErrors::new(), FieldPath::root());
        match object.text("provisioner") {
            "" => errors.required(&root.child("provisioner"), ""),
            name => qualified(&mut errors, &root.child("provisioner"), &name.to_lowercase()),
        }
        one_of_if_any(&mut errors, object, "reclaimPolicy", &root, &["Delete", "Retain"]);
        one_of_if_any(&mut errors, object, "volumeBindingMode", &root, &["Immediate", "WaitForFirstConsumer"]);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        for key in ["parameters", "provisioner", "reclaimPolicy"] {
            if new.value(key) != old.value(key) {
                errors.forbidden(&FieldPath::new(key), format!("updates to {key} are forbidden."));
            }
        }
        immutable(
            &mut errors,
            new.value("volumeBindingMode"),
            old.value("volumeBindingMode"),
            &FieldPath::new("volumeBindingMode"),
        );
        errors
    }
}

pub(crate) struct VolumeAttributesClasses;

impl Strategy for VolumeAttributesClasses {
    fn columns(&self) -> Vec<Column> {
        table::columns("storage.k8s.io/volumeattributesclasses")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), object.text("driverName").into(), age(object, now)]
    }
}

/// What marks the class of claims that name none.
const DEFAULT_MARKS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
