//! `ServiceAccount`.

use api_meta::{Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::FieldsExt;
use crate::table::{self, age};

pub(crate) struct ServiceAccounts;

impl Strategy for ServiceAccounts {
    fn columns(&self) -> Vec<Column> {
        table::columns("serviceaccounts")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), object.items("secrets").len().into(), age(object, now)]
    }
}
