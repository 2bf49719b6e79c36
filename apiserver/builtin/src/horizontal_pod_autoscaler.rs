//! `HorizontalPodAutoscaler` in v1 and v2.

mod conversion;
mod row;
mod validation;

use api_meta::{FieldErrors, GroupVersion, Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt, canonical_amounts, fill};
use crate::table::{self};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HorizontalPodAutoscalers {
    V1,
    V2,
}

impl HorizontalPodAutoscalers {
    fn zero_status(self) -> Value {
        match self {
            Self::V1 => json!({"currentReplicas": 0, "desiredReplicas": 0}),
            Self::V2 => json!({"desiredReplicas": 0, "currentMetrics": null}),
        }
    }
}

impl Strategy for HorizontalPodAutoscalers {
    fn default(&self, object: &mut Object) {
        let status = object.made("status");
        fill(status, self.zero_status());
        let spec = object.made("spec");
        spec.or_set("minReplicas", 1);
        spec.or_set("maxReplicas", 0);
        match self {
            // Read from the Pods' CPU when nothing else is asked for.
            Self::V1 => {
                if conversion::metrics_annotation(object).is_none() {
                    object.made("spec").or_set("targetCPUUtilizationPercentage", 80);
                }
            }
            Self::V2 => {
                object.made("status").entry("currentMetrics").or_insert(Value::Null);
                default_metrics(object.made("spec"));
            }
        }
    }

    fn initial_status(&self) -> Option<Value> {
        Some(self.zero_status())
    }

    fn has_status(&self) -> bool {
        true
    }

    fn convert(&self, object: Object, to: &GroupVersion) -> Object {
        let mut object = match (self, &*to.version) {
            (Self::V1, "v2") => conversion::to_v2(object),
            (Self::V2, "v1") => conversion::to_v1(object),
            _ => object,
        };
        object.set("apiVersion", to.to_string());
        object
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("autoscaling/horizontalpodautoscalers")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        match self {
            Self::V1 => row::row(&conversion::to_v2(object.clone()), now),
            Self::V2 => row::row(object, now),
        }
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        match self {
            Self::V1 => validation::validate(&conversion::to_v2(object.clone())),
            Self::V2 => validation::validate(object),
        }
    }
}

fn default_metrics(spec: &mut Fields) {
    if spec.items("metrics").is_empty() {
        spec.set(
            "metrics",
            json!([{
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            }]),
        );
    }
    for metric in spec.each_mut("metrics") {
        for source in ["resource", "containerResource", "pods", "object", "external"] {
            if let Some(target) = metric.fields_mut(source).and_then(|s| s.fields_mut("target")) {
                for key in ["value", "averageValue"] {
                    canonical_amount(target, key);
                }
            }
        }
    }
    if let Some(behavior) = spec.fields_mut("behavior") {
        default_behavior(behavior);
    }
}

fn canonical_amount(target: &mut Fields, key: &str) {
    let mut one = Fields::new();
    if let Some(value) = target.remove(key) {
        one.set(key, value);
        canonical_amounts(Some(&mut one));
        target.append(&mut one);
    }
}

/// A behaviour that is given at all is given for both directions.
fn default_behavior(behavior: &mut Fields) {
    fill(
        behavior.made("scaleUp"),
        json!({
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
        }),
    );
    fill(
        behavior.made("scaleDown"),
        json!({
            "selectPolicy": "Max",
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
        }),
    );
}
