//! `Lease`.

use api_meta::{Object, Value};
use apiserver_model::{Column, Strategy};

use crate::fields::FieldsExt;
use crate::table::{self, age, part};
use jiff::Timestamp;

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
}
