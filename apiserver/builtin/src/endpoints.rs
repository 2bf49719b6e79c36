//! `Endpoints`.

use api_meta::{Object, Value};
use apiserver_model::{Column, Strategy};

use crate::fields::FieldsExt;
use crate::table::{self, age, at_most, int, or_none};
use jiff::Timestamp;

pub(crate) struct Endpoints;

impl Strategy for Endpoints {
    fn default(&self, object: &mut Object) {
        for subset in object.each_mut("subsets") {
            for port in subset.each_mut("ports") {
                port.or_text("protocol", "TCP");
            }
        }
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("endpoints")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), addresses(object).into(), age(object, now)]
    }
}

/// The first three of all addresses with each of their ports.
fn addresses(object: &Object) -> String {
    let mut all = Vec::new();
    for (_, subset) in object.each("subsets") {
        let hosts: Vec<_> = subset.each("addresses").map(|(_, a)| a.text("ip")).collect();
        if subset.items("ports").is_empty() {
            all.extend(hosts.iter().map(|&host| host.to_owned()));
        }
        for (_, port) in subset.each("ports") {
            let number = int(port, "port");
            all.extend(hosts.iter().map(|host| match host.contains(':') {
                true => format!("[{host}]:{number}"),
                false => format!("{host}:{number}"),
            }));
        }
    }
    or_none(at_most(&all, 3, all.len()))
}
