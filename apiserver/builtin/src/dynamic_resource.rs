//! Dynamic resource allocation (`resource.k8s.io`).

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt, selected};
use crate::table::{self, UNSET, age, part};

pub(crate) struct DeviceClasses;

impl Strategy for DeviceClasses {
    fn default(&self, object: &mut Object) {
        object.made("spec");
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("resource.k8s.io/deviceclasses")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), age(object, now)]
    }
}

pub(crate) struct ResourceClaims;

impl Strategy for ResourceClaims {
    fn default(&self, object: &mut Object) {
        object.made("status");
        default_claim_spec(object.made("spec"));
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("resource.k8s.io/resourceclaims")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), state(object).into(), age(object, now)]
    }
}

pub(crate) struct ResourceClaimTemplates;

impl Strategy for ResourceClaimTemplates {
    fn default(&self, object: &mut Object) {
        let spec = object.made("spec");
        spec.made("metadata");
        default_claim_spec(spec.made("spec"));
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("resource.k8s.io/resourceclaimtemplates")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), age(object, now)]
    }
}

pub(crate) struct ResourceSlices;

impl Strategy for ResourceSlices {
    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("resource.k8s.io/resourceslices")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = part(object, "spec");
        let node = match spec.text("nodeName") {
            "" if spec.flag("allNodes") => "<all>",
            "" if spec.says("nodeSelector") => "<some>",
            "" => UNSET,
            node => node,
        };
        vec![
            object.name().into(),
            node.into(),
            spec.text("driver").into(),
            part(spec, "pool").text("name").into(),
            age(object, now),
        ]
    }

    fn selectable_fields(&self) -> &[&str] {
        &["spec.nodeName", "spec.driver"]
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        selected(object, self.selectable_fields(), field)
    }
}

fn default_claim_spec(spec: &mut Fields) {
    for request in spec.made("devices").each_mut("requests") {
        if let Some(exactly) = request.fields_mut("exactly") {
            default_request(exactly);
        }
        request.each_mut("firstAvailable").for_each(default_request);
    }
}

fn default_request(request: &mut Fields) {
    request.or_text("allocationMode", "ExactCount");
    if request.text("allocationMode") == "ExactCount" {
        request.or_int("count", 1);
    }
    for toleration in request.each_mut("tolerations") {
        toleration.or_text("operator", "Equal");
    }
}

fn state(object: &Object) -> String {
    let status = part(object, "status");
    let mut states = Vec::new();
    if object.deletion_timestamp().is_some() {
        states.push("deleted");
    }
    if !status.says("allocation") {
        states.push("pending");
    } else if object.deletion_timestamp().is_none() {
        states.push("allocated");
        if !status.items("reservedFor").is_empty() {
            states.push("reserved");
        }
    }
    states.join(",")
}
