//! `PodDisruptionBudget`.

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};

use crate::fields::{FieldsExt, fill};
use crate::table::{self, age, int, part};
use jiff::Timestamp;

fn zero_status() -> Value {
    json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0})
}

pub(crate) struct PodDisruptionBudgets;

impl Strategy for PodDisruptionBudgets {
    fn default(&self, object: &mut Object) {
        object.made("spec");
        fill(object.made("status"), zero_status());
    }

    fn initial_status(&self) -> Option<Value> {
        Some(zero_status())
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("policy/poddisruptionbudgets")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = part(object, "spec");
        vec![
            object.name().into(),
            table::number_or_text(spec.value("minAvailable"), "N/A"),
            table::number_or_text(spec.value("maxUnavailable"), "N/A"),
            int(part(object, "status"), "disruptionsAllowed").into(),
            age(object, now),
        ]
    }
}
