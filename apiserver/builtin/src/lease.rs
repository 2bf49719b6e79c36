//! `Lease`.

use api_meta::{FieldErrors, FieldPath, Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::FieldsExt;
use crate::table::{self, age, part};
use crate::validate::NEGATIVE;

pub(crate) struct Leases;

impl Strategy for Leases {
    fn default(&self, object: &mut Object) {
        object.made("spec");
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("coordination.k8s.io/leases")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), part(object, "spec").text("holderIdentity").into(), age(object, now)]
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        let spec = part(object, "spec");
        if let Some(seconds) = spec.int("leaseDurationSeconds").filter(|&s| s <= 0) {
            errors.invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0");
        }
        if let Some(transitions) = spec.int("leaseTransitions").filter(|&n| n < 0) {
            errors.invalid(&path.child("leaseTransitions"), transitions, NEGATIVE);
        }
        errors
    }
}
