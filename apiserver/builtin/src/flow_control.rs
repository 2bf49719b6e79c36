//! API priority and fairness: `FlowSchema`, `PriorityLevelConfiguration`.

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, fill};

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
}
