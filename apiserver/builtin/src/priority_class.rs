//! `PriorityClass`.

use api_meta::{FieldErrors, FieldPath, Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::FieldsExt;
use crate::table::{self, age, int};
use crate::validate::{immutable, one_of_if_any};

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

    fn validate(&self, object: &Object) -> FieldErrors {
        const HIGHEST: i64 = 1_000_000_000;
        let (mut errors, root) = (FieldErrors::new(), FieldPath::root());
        let value = int(object, "value");
        if object.name().starts_with("system-") {
            let known = SYSTEM.iter().find(|(name, _)| *name == object.name());
            if known.is_none_or(|(_, of_system)| *of_system != value) {
                let why = match known {
                    None => format!("{} is not a known system priority class", object.name()),
                    Some((name, of_system)) => format!("value of {name} PriorityClass must be {of_system}"),
                };
                errors.forbidden(
                    &FieldPath::new("metadata").child("name"),
                    format!(
                        "priority class names with 'system-' prefix are reserved for system use only. error: {why}"
                    ),
                );
            }
        } else if value > HIGHEST {
            errors.forbidden(
                &root.child("value"),
                format!("maximum allowed value of a user defined priority is {HIGHEST}"),
            );
        }
        one_of_if_any(&mut errors, object, "preemptionPolicy", &root, &["PreemptLowerPriority", "Never"]);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if int(new, "value") != int(old, "value") {
            errors.forbidden(&FieldPath::new("value"), "may not be changed in an update.");
        }
        let policy = |o: &Object| o.value("preemptionPolicy").clone();
        immutable(&mut errors, &policy(new), &policy(old), &FieldPath::new("preemptionPolicy"));
        errors
    }
}

/// The classes that the system makes.
const SYSTEM: [(&str, i64); 2] = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
