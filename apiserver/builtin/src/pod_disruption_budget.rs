//! `PodDisruptionBudget`.

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, fill};

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
}
