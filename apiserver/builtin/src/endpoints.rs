//! `Endpoints`.

use api_meta::{FieldErrors, FieldPath, Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::FieldsExt;
use crate::table::{self, age, at_most, int, or_none};
use crate::validate::{each_wrong, ip, is_port_number, label, ordinary_ip, protocol};

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

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        for (index, subset) in object.each("subsets") {
            let path = FieldPath::new("subsets").index(index);
            if subset.items("addresses").is_empty() && subset.items("notReadyAddresses").is_empty() {
                errors.required(&path, "must specify `addresses` or `notReadyAddresses`");
            }
            for list in ["addresses", "notReadyAddresses"] {
                for (index, address) in subset.each(list) {
                    let path = path.child(list).index(index).child("ip");
                    if ip(&mut errors, address.text("ip"), &path).is_some() {
                        ordinary_ip(&mut errors, address.text("ip"), &path);
                    }
                }
            }
            for (index, port) in subset.each("ports") {
                let path = path.child("ports").index(index);
                match port.text("name") {
                    "" if subset.items("ports").len() > 1 => errors.required(&path.child("name"), ""),
                    "" => {}
                    name => label(&mut errors, &path.child("name"), name),
                }
                let number = int(port, "port");
                each_wrong(&mut errors, &path.child("port"), number, is_port_number(number));
                protocol(&mut errors, port, &path);
            }
        }
        errors
    }

    fn deprecation_warning(&self) -> Option<&str> {
        Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
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
