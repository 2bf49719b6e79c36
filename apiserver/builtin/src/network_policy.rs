//! `NetworkPolicy`.

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};

use crate::fields::FieldsExt;
use crate::table::{self, age, part};
use jiff::Timestamp;

pub(crate) struct NetworkPolicies;

impl Strategy for NetworkPolicies {
    fn default(&self, object: &mut Object) {
        let spec = object.made("spec");
        spec.made("podSelector");
        for direction in ["ingress", "egress"] {
            for rule in spec.each_mut(direction) {
                for port in rule.each_mut("ports") {
                    port.or_set("protocol", "TCP");
                }
            }
        }
        if spec.items("policyTypes").is_empty() {
            let both = !spec.items("egress").is_empty();
            spec.set("policyTypes", if both { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("networking.k8s.io/networkpolicies")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let selector = table::selector(part(object, "spec").value("podSelector"));
        vec![object.name().into(), selector.into(), age(object, now)]
    }
}
