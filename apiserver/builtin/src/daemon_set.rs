//! `DaemonSet`.
//!
//! Upstream counts the versions of a set's template in a field of its internal type, `spec.templateGeneration`. In
//! `apps/v1` that field is an annotation (upstream: `Convert_apps_DaemonSet_To_v1_DaemonSet`), and after it the
//! controller labels pods.

use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Operation, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt, fill};
use crate::pod_template::{
    default_template, template_warnings, validate_restarts_always, validate_selected, validate_template,
};
use crate::table::{self, age, int, part};
use crate::validate::{
    at_most_all, int_or_percent, is_empty_selector, is_selector, label_selector, not_negative, percent_of, unsupported,
};
use crate::workload;

fn zero_status() -> Value {
    json!({"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0})
}

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// `None` for what is no number.
fn template_generation(object: &Object) -> Option<i64> {
    object.annotation(TEMPLATE_GENERATION).map_or(Some(0), |text| text.parse().ok())
}

fn set_template_generation(object: &mut Object, generation: i64) {
    object.metadata_mut().made("annotations").set(TEMPLATE_GENERATION, generation.to_string());
}

/// The first of the generations, for a set that does not say.
fn counted(object: &Object) -> i64 {
    template_generation(object).unwrap_or_default().max(1)
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

    fn prepare_for_create(&self, object: &mut Object) {
        object.insert("status".into(), zero_status());
        object.set_generation(1);
        // What is no number stays, to be refused.
        if let Some(given) = template_generation(object) {
            set_template_generation(object, given.max(1));
        }
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        new.set("status", old.value("status").clone());
        let changed = self.generation_changes(new, old);
        new.set_generation(old.generation() + i64::from(changed));
        let changed = part(new, "spec").value("template") != part(old, "spec").value("template");
        if template_generation(new).is_some() {
            set_template_generation(new, counted(old) + i64::from(changed));
        }
    }

    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        new.set("spec", old.value("spec").clone());
        new.set_generation(old.generation());
        set_template_generation(new, counted(old));
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

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        if template_generation(object).is_none() {
            let path = FieldPath::new("metadata").child("annotations").key(TEMPLATE_GENERATION);
            errors.invalid(&path, object.annotation(TEMPLATE_GENERATION).unwrap_or_default(), "must be an integer");
        }
        let spec = part(object, "spec");
        let (selector, template) = (spec.value("selector"), part(spec, "template"));
        label_selector(&mut errors, selector, &path.child("selector"));
        if is_selector(selector) {
            validate_selected(&mut errors, template, selector, &path.child("template"));
        }
        if !selector.is_null() && is_empty_selector(selector) {
            let message = "empty selector is invalid for daemonset";
            errors.invalid(&path.child("selector"), selector.clone(), message);
        }
        validate_template(&mut errors, template, &path.child("template"));
        validate_restarts_always(&mut errors, template, "DaemonSet", &path.child("template"));
        not_negative(&mut errors, spec, &path, &["minReadySeconds"]);
        validate_update_strategy(&mut errors, part(spec, "updateStrategy"), &path.child("updateStrategy"));
        not_negative(&mut errors, spec, &path, &["revisionHistoryLimit"]);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        workload::selector_is_fixed(new, old)
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        template_warnings(object)
    }
}

fn validate_update_strategy(errors: &mut FieldErrors, strategy: &Fields, path: &FieldPath) {
    match strategy.text("type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let (rolling, path) = (part(strategy, "rollingUpdate"), path.child("rollingUpdate"));
            let (unavailable, surge) = (rolling.value("maxUnavailable"), rolling.value("maxSurge"));
            for (value, key) in [(unavailable, "maxUnavailable"), (surge, "maxSurge")] {
                int_or_percent(errors, value, &path.child(key));
                at_most_all(errors, value, &path.child(key));
            }
            let some =
                |value: &Value| value.as_i64().is_some_and(|n| n > 0) || percent_of(value).is_some_and(|n| n > 0);
            match (some(unavailable), some(surge)) {
                (false, false) => errors.required(&path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"),
                (true, true) => errors.invalid(
                    &path.child("maxSurge"),
                    surge.clone(),
                    "may not be set when maxUnavailable is non-zero",
                ),
                _ => {}
            }
        }
        type_ => unsupported(errors, &path.child("type"), type_, &["RollingUpdate", "OnDelete"]),
    }
}
