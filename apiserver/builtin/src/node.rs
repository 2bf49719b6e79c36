//! `Node`.

use std::collections::BTreeSet;

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};

use crate::fields::{FieldsExt, canonical_amounts, fill};
use crate::table::{self, NONE, UNKNOWN, age, condition, or_none, part, text_or};
use jiff::Timestamp;

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
