//! `DaemonSet`.

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};

use crate::fields::{FieldsExt, fill};
use crate::pod_template::default_template;
use crate::table::{self, age, int, part};
use jiff::Timestamp;

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

    fn columns(&self) -> Vec<Column> {
        table::columns("apps/daemonsets")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (part(object, "spec"), part(object, "status"));
        let template = part(spec, "template");
        let [containers, images] = table::containers(template);
        vec![
            object.name().into(),
            int(status, "desiredNumberScheduled").into(),
            int(status, "currentNumberScheduled").into(),
            int(status, "numberReady").into(),
            int(status, "updatedNumberScheduled").into(),
            int(status, "numberAvailable").into(),
            table::labels(part(template, "spec").fields("nodeSelector")).into(),
            age(object, now),
            containers,
            images,
            table::selector(spec.value("selector")).into(),
        ]
    }
}
