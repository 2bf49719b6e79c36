//! `Deployment`.

use api_meta::{FieldErrorKind, FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Operation, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt};
use crate::pod_template::{default_template, template_warnings};
use crate::scale;
use crate::table::{self, age, int, part};
use crate::validate::{at_most_all, int_or_percent, not_negative, percent_of, wrong_struct};
use crate::workload;

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

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        let spec = part(object, "spec");
        not_negative(&mut errors, spec, &path, &["replicas"]);
        workload::validate_replicated(&mut errors, spec, "deployment", &path);
        validate_strategy(&mut errors, part(spec, "strategy"), &path.child("strategy"));
        not_negative(&mut errors, spec, &path, &["minReadySeconds", "revisionHistoryLimit"]);
        if let Some(deadline) = spec.int("progressDeadlineSeconds") {
            not_negative(&mut errors, spec, &path, &["progressDeadlineSeconds"]);
            if deadline <= int(spec, "minReadySeconds") {
                let message = "must be greater than minReadySeconds";
                errors.invalid(&path.child("progressDeadlineSeconds"), deadline, message);
            }
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        workload::selector_is_fixed(new, old)
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        template_warnings(object)
    }

    fn scale(&self, object: &Object) -> Option<Object> {
        Some(scale::scale(object))
    }

    fn set_scale(&self, object: &mut Object, replicas: i64) {
        workload::set_size(object, replicas);
    }
}

fn validate_strategy(errors: &mut FieldErrors, strategy: &Fields, path: &FieldPath) {
    let rolling = strategy.fields("rollingUpdate");
    match strategy.text("type") {
        "Recreate" if rolling.is_some() => {
            errors.forbidden(&path.child("rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'")
        }
        "Recreate" => {}
        "RollingUpdate" => match rolling {
            None => errors.required(&path.child("rollingUpdate"), "this should be defaulted and never be nil"),
            Some(rolling) => validate_rolling(errors, rolling, &path.child("rollingUpdate")),
        },
        type_ => {
            let shown = [("Type", type_.into()), ("RollingUpdate", strategy.value("rollingUpdate").clone())];
            let supported = "supported values: \"Recreate\", \"RollingUpdate\"";
            wrong_struct(errors, FieldErrorKind::NotSupported, path, &shown, supported);
        }
    }
}

fn validate_rolling(errors: &mut FieldErrors, rolling: &Fields, path: &FieldPath) {
    let (unavailable, surge) = (rolling.value("maxUnavailable"), rolling.value("maxSurge"));
    int_or_percent(errors, unavailable, &path.child("maxUnavailable"));
    int_or_percent(errors, surge, &path.child("maxSurge"));
    let nothing = |value: &Value| value.as_i64() == Some(0) || percent_of(value) == Some(0);
    if nothing(unavailable) && nothing(surge) {
        errors.invalid(&path.child("maxUnavailable"), unavailable.clone(), "may not be 0 when `maxSurge` is 0");
    }
    at_most_all(errors, unavailable, &path.child("maxUnavailable"));
}
