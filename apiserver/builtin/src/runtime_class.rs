//! `RuntimeClass`.

use api_meta::{Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{FieldsExt, canonical_amounts};
use crate::table::{self, age};

pub(crate) struct RuntimeClasses;

impl Strategy for RuntimeClasses {
    fn default(&self, object: &mut Object) {
        object.entry("handler").or_insert("".into());
        if let Some(overhead) = object.fields_mut("overhead") {
            canonical_amounts(overhead.fields_mut("podFixed"));
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("node.k8s.io/runtimeclasses")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), object.text("handler").into(), age(object, now)]
    }
}
