//! `PodDisruptionBudget`.

use api_meta::{FieldErrorKind, FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{FieldsExt, fill};
use crate::table::{self, age, int, part};
use crate::validate::{at_most_all, int_or_percent, label_selector, one_of_if_any, wrong_struct};

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

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        let spec = part(object, "spec");
        if spec.says("minAvailable") && spec.says("maxUnavailable") {
            let shown = [
                ("MinAvailable", spec.value("minAvailable").clone()),
                ("Selector", spec.value("selector").clone()),
                ("MaxUnavailable", spec.value("maxUnavailable").clone()),
                ("UnhealthyPodEvictionPolicy", spec.value("unhealthyPodEvictionPolicy").clone()),
            ];
            let message = "minAvailable and maxUnavailable cannot be both set";
            wrong_struct(&mut errors, FieldErrorKind::Invalid, &path, &shown, message);
        }
        for key in ["minAvailable", "maxUnavailable"] {
            int_or_percent(&mut errors, spec.value(key), &path.child(key));
            at_most_all(&mut errors, spec.value(key), &path.child(key));
        }
        label_selector(&mut errors, spec.value("selector"), &path.child("selector"));
        const POLICIES: [&str; 2] = ["AlwaysAllow", "IfHealthyBudget"];
        one_of_if_any(&mut errors, spec, "unhealthyPodEvictionPolicy", &path, &POLICIES);
        errors
    }
}
