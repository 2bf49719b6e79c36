//! `StatefulSet`.

use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Operation, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt, fill};
use crate::persistent_volume_claim::default_claim;
use crate::pod_template::{
    default_template, template_warnings, validate_required_selector, validate_restarts_always, validate_selected,
    validate_template,
};
use crate::scale;
use crate::table::{self, age, int, part};
use crate::validate::{NEGATIVE, is_empty_selector, is_selector, not_negative, one_of, one_of_if_any};
use crate::workload;

fn zero_status() -> Value {
    json!({"replicas": 0, "availableReplicas": 0})
}

pub(crate) struct StatefulSets;

impl Strategy for StatefulSets {
    fn default(&self, object: &mut Object) {
        fill(object.made("status"), zero_status());
        let spec = object.made("spec");
        spec.or_set("replicas", 1);
        spec.or_text("podManagementPolicy", "OrderedReady");
        spec.or_set("revisionHistoryLimit", 10);
        let update = spec.made("updateStrategy");
        update.or_text("type", "RollingUpdate");
        if update.text("type") == "RollingUpdate" {
            update.made("rollingUpdate").or_set("partition", 0);
        }
        let retention = spec.made("persistentVolumeClaimRetentionPolicy");
        retention.or_text("whenDeleted", "Retain");
        retention.or_text("whenScaled", "Retain");
        default_template(spec.made("template"));
        for claim in spec.each_mut("volumeClaimTemplates") {
            claim.set("apiVersion", "v1");
            claim.set("kind", "PersistentVolumeClaim");
            claim.made("metadata");
            default_claim(claim);
        }
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
        table::columns("apps/statefulsets")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (part(object, "spec"), part(object, "status"));
        let [containers, images] = table::containers(part(spec, "template"));
        vec![
            object.name().into(),
            format!("{}/{}", int(status, "readyReplicas"), int(spec, "replicas")).into(),
            age(object, now),
            containers,
            images,
        ]
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        let spec = part(object, "spec");
        one_of(&mut errors, spec, "podManagementPolicy", &path, &["OrderedReady", "Parallel"]);
        validate_update_strategy(&mut errors, part(spec, "updateStrategy"), &path.child("updateStrategy"));
        let retention = part(spec, "persistentVolumeClaimRetentionPolicy");
        for key in ["whenDeleted", "whenScaled"] {
            let path = path.child("persistentVolumeClaimRetentionPolicy");
            one_of_if_any(&mut errors, retention, key, &path, &["Retain", "Delete"]);
        }
        not_negative(&mut errors, spec, &path, &["replicas", "minReadySeconds"]);
        if let Some(start) = spec.fields("ordinals").and_then(|o| o.int("start")).filter(|&s| s < 0) {
            errors.invalid(&path.children(&["ordinals", "start"]), start, NEGATIVE);
        }
        let (selector, template) = (spec.value("selector"), part(spec, "template"));
        validate_required_selector(&mut errors, selector, "statefulset", &path.child("selector"));
        let path = path.child("template");
        if !is_selector(selector) {
            errors.invalid(&FieldPath::new("spec").child("selector"), selector.clone(), "");
        } else if selector.is_null() || !is_empty_selector(selector) {
            validate_selected(&mut errors, template, selector, &path);
        }
        // Claims become volumes of the same names when the Pods are made.
        let mut mounted = template.clone();
        for (_, claim) in spec.each("volumeClaimTemplates") {
            let name = part(claim, "metadata").text("name");
            let volumes = mounted.made("spec").entry("volumes").or_insert_with(|| json!([]));
            if let Some(volumes) = volumes.as_array_mut() {
                volumes.retain(|v| v["name"] != name);
                volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
            }
        }
        validate_template(&mut errors, &mounted, &path);
        validate_restarts_always(&mut errors, template, "StatefulSet", &path);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        const MAY_CHANGE: [&str; 8] = [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
            "status",
        ];
        let fixed = |o: &Object| -> Fields {
            let spec = part(o, "spec").iter();
            spec.filter(|(key, _)| !MAY_CHANGE.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        if fixed(new) != fixed(old) {
            errors.forbidden(
                &FieldPath::new("spec"),
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                 'minReadySeconds' are forbidden",
            );
        }
        errors
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

fn validate_update_strategy(errors: &mut FieldErrors, strategy: &Fields, path: &FieldPath) {
    let rolling = strategy.fields("rollingUpdate");
    match strategy.text("type") {
        "" => errors.required(&path.child("type"), ""),
        "OnDelete" if rolling.is_some() => errors.invalid(
            &path.child("rollingUpdate"),
            strategy.value("rollingUpdate").clone(),
            "only allowed for updateStrategy 'RollingUpdate'",
        ),
        "OnDelete" => {}
        "RollingUpdate" => {
            if let Some(partition) = rolling.and_then(|r| r.int("partition")).filter(|&p| p < 0) {
                errors.invalid(&path.children(&["rollingUpdate", "partition"]), partition, NEGATIVE);
            }
        }
        type_ => errors.invalid(&path.child("type"), type_, "must be 'RollingUpdate' or 'OnDelete'"),
    }
}
