//! `DaemonSet`.

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, fill};
use crate::pod_template::default_template;

fn zero_status() -> Value {
    json!({"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0})
}

pub(crate) struct DaemonSets;

impl Strategy for DaemonSets {
    fn default(&self, object: &mut Object) {
        fill(object.made("status"), zero_status());
        let spec = object.made("spec");
        spec.or_set("revisionHistoryLimit", 10);
        let update = spec.made("updateStrategy");
        update.or_text("type", "RollingUpdate");
        if update.text("type") == "RollingUpdate" {
            let rolling = update.made("rollingUpdate");
            rolling.or_set("maxUnavailable", 1);
            rolling.or_set("maxSurge", 0);
        }
        default_template(spec.made("template"));
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
}
