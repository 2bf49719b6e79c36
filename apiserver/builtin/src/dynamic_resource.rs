//! Dynamic resource allocation (`resource.k8s.io`).

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::{Fields, FieldsExt};

pub(crate) struct DeviceClasses;

impl Strategy for DeviceClasses {
    fn default(&self, object: &mut Object) {
        object.made("spec");
    }

    fn has_generation(&self) -> bool {
        true
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
}

pub(crate) struct ResourceClaimTemplates;

impl Strategy for ResourceClaimTemplates {
    fn default(&self, object: &mut Object) {
        let spec = object.made("spec");
        spec.made("metadata");
        default_claim_spec(spec.made("spec"));
    }
}

pub(crate) struct ResourceSlices;

impl Strategy for ResourceSlices {
    fn has_generation(&self) -> bool {
        true
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
