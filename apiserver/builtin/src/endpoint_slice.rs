//! `EndpointSlice`.

use std::collections::BTreeSet;

use api_meta::{FieldErrors, FieldPath, Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt};
use crate::table::{self, UNSET, age, at_most};
use crate::validate::{immutable, ip, label, one_of, ordinary_ip, protocol, subdomain};

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

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, root) = (FieldErrors::new(), FieldPath::root());
        let type_ = object.text("addressType");
        one_of(&mut errors, object, "addressType", &root, &["FQDN", "IPv4", "IPv6"]);
        for (index, endpoint) in object.each("endpoints") {
            let path = FieldPath::new("endpoints").index(index).child("addresses");
            if endpoint.items("addresses").is_empty() {
                errors.required(&path, "must contain at least 1 address");
            }
            for (index, address) in endpoint.texts("addresses").enumerate() {
                validate_address(&mut errors, type_, address, &path.index(index));
            }
        }
        let mut names = BTreeSet::new();
        for (index, port) in object.each("ports") {
            let path = FieldPath::new("ports").index(index);
            let name = port.text("name");
            if !name.is_empty() {
                label(&mut errors, &path.child("name"), name);
            }
            if !names.insert(name) {
                errors.duplicate(&path.child("name"), name);
            }
            protocol(&mut errors, port, &path);
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        immutable(&mut errors, new.value("addressType"), old.value("addressType"), &FieldPath::new("addressType"));
        errors
    }
}

fn port_text(port: &Fields) -> String {
    match (port.int("port"), port.text("name")) {
        (Some(number), _) => number.to_string(),
        (None, "") => "*".into(),
        (None, name) => name.into(),
    }
}

fn validate_address(errors: &mut FieldErrors, type_: &str, address: &str, path: &FieldPath) {
    if type_ == "FQDN" {
        subdomain(errors, path, address);
        return;
    }
    let Some(parsed) = ip(errors, address, path) else { return };
    let of_type = match type_ {
        "IPv4" => parsed.is_ipv4(),
        "IPv6" => parsed.is_ipv6(),
        _ => true,
    };
    if !of_type {
        errors.invalid(path, address, format!("must be an {type_} address"));
    }
    ordinary_ip(errors, address, path);
}
