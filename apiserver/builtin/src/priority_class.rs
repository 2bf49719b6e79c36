//! `PriorityClass`.

use api_meta::{Object, Value};
use apiserver_model::{Column, Strategy};

use crate::fields::FieldsExt;
use crate::table::{self, age, int};
use jiff::Timestamp;

pub(crate) struct PriorityClasses;

impl Strategy for PriorityClasses {
    fn default(&self, object: &mut Object) {
        object.or_set("value", 0);
        object.or_set("preemptionPolicy", "PreemptLowerPriority");
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("scheduling.k8s.io/priorityclasses")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![
            object.name().into(),
            int(object, "value").into(),
            object.flag("globalDefault").into(),
            age(object, now),
            object.text("preemptionPolicy").into(),
        ]
    }
}
