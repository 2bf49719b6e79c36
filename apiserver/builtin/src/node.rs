//! `Node`.

use std::collections::BTreeSet;

use api_meta::validation::is_label_value;
use api_meta::{FieldErrorKind, FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{FieldsExt, canonical_amounts, fill};
use crate::table::{self, NONE, UNKNOWN, age, condition, or_none, part, text_or};
use crate::validate::{one_of, qualified, wrong_struct};

pub(crate) struct Nodes;

impl Strategy for Nodes {
    fn default(&self, object: &mut Object) {
        object.made("spec");
        let status = object.made("status");
        let capacity = status.value("capacity").clone();
        if !capacity.is_null() {
            status.or_set("allocatable", capacity);
        }
        canonical_amounts(status.fields_mut("capacity"));
        canonical_amounts(status.fields_mut("allocatable"));
        fill(status, json!({"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}}));
        fill(
            status.made("nodeInfo"),
            json!({
                "architecture": "",
                "bootID": "",
                "containerRuntimeVersion": "",
                "kernelVersion": "",
                "kubeProxyVersion": "",
                "kubeletVersion": "",
                "machineID": "",
                "operatingSystem": "",
                "osImage": "",
                "systemUUID": "",
            }),
        );
    }

    /// A kubelet registers its node with the status it knows.
    fn prepare_for_create(&self, _object: &mut Object) {}

    fn has_status(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("nodes")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let status = part(object, "status");
        let info = part(status, "nodeInfo");
        let address = |type_: &str| {
            let found = status.each("addresses").find(|(_, a)| a.text("type") == type_);
            found.map_or(NONE, |(_, a)| a.text("address")).into()
        };
        vec![
            object.name().into(),
            state(object).into(),
            roles(object).into(),
            age(object, now),
            info.text("kubeletVersion").into(),
            address("InternalIP"),
            address("ExternalIP"),
            text_or(info, "osImage", UNKNOWN),
            text_or(info, "kernelVersion", UNKNOWN),
            text_or(info, "containerRuntimeVersion", UNKNOWN),
        ]
    }

    fn selectable_fields(&self) -> &[&str] {
        &["spec.unschedulable"]
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        (field == "spec.unschedulable").then(|| part(object, "spec").flag("unschedulable").to_string())
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let mut seen = BTreeSet::new();
        for (index, taint) in part(object, "spec").each("taints") {
            let path = FieldPath::new("spec").child("taints").index(index);
            let (key, effect) = (taint.text("key"), taint.text("effect"));
            qualified(&mut errors, &path.child("key"), key);
            let wrong = is_label_value(taint.text("value"));
            if !wrong.is_empty() {
                errors.invalid(&path.child("value"), taint.text("value"), wrong.join(";"));
            }
            one_of(&mut errors, taint, "effect", &path, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
            if !seen.insert((key, effect)) {
                let shown = [("Key", key), ("Value", taint.text("value")), ("Effect", effect)];
                let mut shown: Vec<_> = shown.map(|(name, text)| (name, text.into())).into();
                shown.push(("TimeAdded", taint.value("timeAdded").clone()));
                let detail = "taints must be unique by key and effect pair";
                wrong_struct(&mut errors, FieldErrorKind::Duplicate, &path, &shown, detail);
            }
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let (after, before) = (part(new, "spec"), part(old, "spec"));
        if !before.text("providerID").is_empty() && after.text("providerID") != before.text("providerID") {
            let path = FieldPath::new("spec").child("providerID");
            errors.forbidden(&path, "node updates may not change providerID except from \"\" to valid");
        }
        if !before.items("podCIDRs").is_empty() && after.value("podCIDRs") != before.value("podCIDRs") {
            let path = FieldPath::new("spec").child("podCIDRs");
            errors.forbidden(&path, "node updates may not change podCIDR except from \"\" to valid");
        }
        errors
    }
}

fn state(object: &Object) -> String {
    let ready = match condition(part(object, "status"), "Ready").map(|c| c.text("status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if part(object, "spec").flag("unschedulable") { format!("{ready},SchedulingDisabled") } else { ready.into() }
}

fn roles(object: &Object) -> String {
    let roles: BTreeSet<_> = object
        .labels()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            None if key == "kubernetes.io/role" => value.as_str(),
            role => role,
        })
        .filter(|role| !role.is_empty())
        .collect();
    or_none(roles.into_iter().collect::<Vec<_>>().join(","))
}
