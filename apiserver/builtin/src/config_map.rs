//! `ConfigMap`.

use crate::table::{self, age, part};
use api_meta::{Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

pub(crate) struct ConfigMaps;

impl Strategy for ConfigMaps {
    fn columns(&self) -> Vec<Column> {
        table::columns("configmaps")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let count = part(object, "data").len() + part(object, "binaryData").len();
        vec![object.name().into(), count.into(), age(object, now)]
    }
}
