//! `Ingress` and `IngressClass`.

use api_meta::{Object, Value, json};
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, fill};

pub(crate) struct Ingresses;

impl Strategy for Ingresses {
    fn default(&self, object: &mut Object) {
        fill(object.made("status"), json!({"loadBalancer": {}}));
        object.made("spec");
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({"loadBalancer": {}}))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}

pub(crate) struct IngressClasses;

impl Strategy for IngressClasses {
    fn default(&self, object: &mut Object) {
        if let Some(parameters) = object.made("spec").fields_mut("parameters") {
            parameters.or_set("scope", "Cluster");
        }
    }

    fn has_generation(&self) -> bool {
        true
    }
}
