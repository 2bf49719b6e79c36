//! `EndpointSlice`.

use api_meta::{Object, Value};
use apiserver_model::{Column, Strategy};

use crate::fields::{Fields, FieldsExt};
use crate::table::{self, UNSET, age, at_most};
use jiff::Timestamp;

pub(crate) struct EndpointSlices;

impl Strategy for EndpointSlices {
    fn default(&self, object: &mut Object) {
        object.entry("endpoints").or_insert(Value::Null);
        object.entry("ports").or_insert(Value::Null);
        for endpoint in object.each_mut("endpoints") {
            endpoint.made("conditions");
        }
        for port in object.each_mut("ports") {
            port.or_set("name", "");
            port.or_set("protocol", "TCP");
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("discovery.k8s.io/endpointslices")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let ports: Vec<_> = object.each("ports").map(|(_, port)| port_text(port)).collect();
        let addresses: Vec<_> =
            object.each("endpoints").flat_map(|(_, e)| e.texts("addresses")).map(str::to_owned).collect();
        let shown = |list: &[String]| match at_most(list, 3, list.len()) {
            none if none.is_empty() => UNSET.to_owned(),
            list => list,
        };
        vec![
            object.name().into(),
            object.text("addressType").into(),
            shown(&ports).into(),
            shown(&addresses).into(),
            age(object, now),
        ]
    }
}

fn port_text(port: &Fields) -> String {
    match (port.int("port"), port.text("name")) {
        (Some(number), _) => number.to_string(),
        (None, "") => "*".into(),
        (None, name) => name.into(),
    }
}
