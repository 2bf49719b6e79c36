//! `IPAddress` and `ServiceCIDR`.

use api_meta::{GroupResource, Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::FieldsExt;
use crate::table::{self, age, part};

pub(crate) struct IpAddresses;

impl Strategy for IpAddresses {
    fn default(&self, object: &mut Object) {
        object.made("spec");
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("networking.k8s.io/ipaddresses")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let parent = part(object, "spec").fields("parentRef").map(|parent| {
            let resource = GroupResource::new(parent.text("group"), parent.text("resource"));
            match parent.text("namespace") {
                "" => format!("{resource}/{}", parent.text("name")),
                namespace => format!("{resource}/{namespace}/{}", parent.text("name")),
            }
        });
        vec![object.name().into(), parent.unwrap_or_default().into(), age(object, now)]
    }
}

pub(crate) struct ServiceCidrs;

impl Strategy for ServiceCidrs {
    fn default(&self, object: &mut Object) {
        object.made("spec");
        object.made("status");
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("networking.k8s.io/servicecidrs")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let ranges: Vec<_> = part(object, "spec").texts("cidrs").collect();
        vec![object.name().into(), ranges.join(",").into(), age(object, now)]
    }
}
