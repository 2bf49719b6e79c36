//! API priority and fairness: `FlowSchema`, `PriorityLevelConfiguration`.

mod maintained;
mod validation;

pub use maintained::{Maintained, maintained_objects, mandatory};

use api_meta::{FieldErrors, Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt, fill};
use crate::table::{self, NONE, age, condition, int, part, text_or};

pub(crate) struct FlowSchemas;

impl Strategy for FlowSchemas {
    fn default(&self, object: &mut Object) {
        object.made("status");
        object.made("spec").or_int("matchingPrecedence", 1000);
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::flow_schema(object)
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        validation::conditions(&mut errors, new);
        errors
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("flowcontrol.apiserver.k8s.io/flowschemas")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = part(object, "spec");
        let dangling = condition(part(object, "status"), "Dangling").map_or("?", |c| c.text("status"));
        vec![
            object.name().into(),
            part(spec, "priorityLevelConfiguration").text("name").into(),
            int(spec, "matchingPrecedence").into(),
            text_or(part(spec, "distinguisherMethod"), "type", NONE),
            age(object, now),
            dangling.into(),
        ]
    }
}

pub(crate) struct PriorityLevels;

impl Strategy for PriorityLevels {
    fn default(&self, object: &mut Object) {
        object.made("status");
        let spec = object.made("spec");
        if let Some(exempt) = spec.fields_mut("exempt") {
            fill(exempt, json!({"nominalConcurrencyShares": 0, "lendablePercent": 0}));
        }
        if let Some(limited) = spec.fields_mut("limited") {
            fill(limited, json!({"nominalConcurrencyShares": 30, "lendablePercent": 0}));
            if let Some(queuing) = limited.fields_mut("limitResponse").and_then(|r| r.fields_mut("queuing")) {
                queuing.or_int("queues", 64);
                queuing.or_int("handSize", 8);
                queuing.or_int("queueLengthLimit", 50);
            }
        }
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::priority_level(object)
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        validation::conditions(&mut errors, new);
        errors
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("flowcontrol.apiserver.k8s.io/prioritylevelconfigurations")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = part(object, "spec");
        let limited = part(spec, "limited");
        let queuing = part(part(limited, "limitResponse"), "queuing");
        let number = |fields: &Fields, key: &str| fields.int(key).map_or_else(|| NONE.into(), Value::from);
        vec![
            object.name().into(),
            spec.text("type").into(),
            number(limited, "nominalConcurrencyShares"),
            number(queuing, "queues"),
            number(queuing, "handSize"),
            number(queuing, "queueLengthLimit"),
            age(object, now),
        ]
    }
}
