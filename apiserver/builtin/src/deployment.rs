//! `Deployment`.

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};

use crate::fields::FieldsExt;
use crate::pod_template::default_template;
use crate::table::{self, age, int, part};
use jiff::Timestamp;

pub(crate) struct Deployments;

impl Strategy for Deployments {
    fn default(&self, object: &mut Object) {
        object.made("status");
        let spec = object.made("spec");
        spec.or_set("replicas", 1);
        spec.or_set("revisionHistoryLimit", 10);
        spec.or_set("progressDeadlineSeconds", 600);
        let strategy = spec.made("strategy");
        strategy.or_text("type", "RollingUpdate");
        if strategy.text("type") == "RollingUpdate" {
            let rolling = strategy.made("rollingUpdate");
            rolling.or_set("maxUnavailable", "25%");
            rolling.or_set("maxSurge", "25%");
        }
        default_template(spec.made("template"));
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    /// Annotations count as well: the rollout's controller copies them to replica sets.
    fn generation_changes(&self, new: &Object, old: &Object) -> bool {
        let annotations = |o: &Object| o.metadata().and_then(|m| m.fields("annotations").cloned()).unwrap_or_default();
        new.value("spec") != old.value("spec") || annotations(new) != annotations(old)
    }

    /// Labels are the main resource's as well.
    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        let status = new.remove("status");
        let labels = old.labels().cloned();
        new.set("spec", old.value("spec").clone());
        match labels {
            Some(labels) => new.metadata_mut().set("labels", labels),
            None => {
                new.metadata_mut().remove("labels");
            }
        }
        new.set_generation(old.generation());
        new.set("status", status.unwrap_or_else(|| json!({})));
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("apps/deployments")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (part(object, "spec"), part(object, "status"));
        let [containers, images] = table::containers(part(spec, "template"));
        vec![
            object.name().into(),
            format!("{}/{}", int(status, "readyReplicas"), int(spec, "replicas")).into(),
            int(status, "updatedReplicas").into(),
            int(status, "availableReplicas").into(),
            age(object, now),
            containers,
            images,
            table::selector(spec.value("selector")).into(),
        ]
    }
}
