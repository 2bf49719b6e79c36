//! `NetworkPolicy`.

use std::net::IpAddr;

use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt};
use crate::table::{self, age, part};
use crate::validate::{cidr, each_wrong, is_port_number, label_selector, one_of_if_any, port, unsupported};

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

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        let spec = part(object, "spec");
        label_selector(&mut errors, spec.value("podSelector"), &path.child("podSelector"));
        for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
            for (index, rule) in spec.each(direction) {
                let path = path.child(direction).index(index);
                for (index, port) in rule.each("ports") {
                    validate_port(&mut errors, port, &path.child("ports").index(index));
                }
                for (index, peer) in rule.each(peers) {
                    validate_peer(&mut errors, peer, &path.child(peers).index(index));
                }
            }
        }
        let types = spec.items("policyTypes");
        if types.len() > 2 {
            let message = "may not specify more than two policyTypes";
            errors.invalid(&path.child("policyTypes"), spec.value("policyTypes").clone(), message);
            return errors;
        }
        for (index, type_) in spec.texts("policyTypes").enumerate() {
            if !["Ingress", "Egress"].contains(&type_) {
                unsupported(&mut errors, &path.child("policyTypes").index(index), type_, &["Ingress", "Egress"]);
            }
        }
        errors
    }
}

fn validate_port(errors: &mut FieldErrors, fields: &Fields, path: &FieldPath) {
    one_of_if_any(errors, fields, "protocol", path, &["SCTP", "TCP", "UDP"]);
    let end = fields.int("endPort");
    let end_path = path.child("endPort");
    match (fields.value("port"), end) {
        (Value::Null, Some(end)) => errors.invalid(&end_path, end, "may not be specified when `port` is not specified"),
        (Value::Null, None) => {}
        (from, end) => {
            port(errors, from, &path.child("port"));
            match (from.as_i64(), end) {
                (Some(from), Some(end)) if end < from => {
                    errors.invalid(&end_path, from, "must be greater than or equal to `port`");
                }
                (None, Some(end)) => errors.invalid(&end_path, end, "may not be specified when `port` is non-numeric"),
                (Some(_), Some(end)) => each_wrong(errors, &end_path, end, is_port_number(end)),
                (_, None) => {}
            }
        }
    }
}

fn validate_peer(errors: &mut FieldErrors, peer: &Fields, path: &FieldPath) {
    const KINDS: [&str; 3] = ["podSelector", "namespaceSelector", "ipBlock"];
    let count = KINDS.iter().filter(|kind| peer.says(kind)).count();
    for kind in &KINDS[..2] {
        label_selector(errors, peer.value(kind), &path.child(kind));
    }
    if let Some(block) = peer.fields("ipBlock") {
        validate_block(errors, block, &path.child("ipBlock"));
    }
    if count == 0 {
        errors.required(path, "must specify a peer");
    } else if count > 1 && peer.says("ipBlock") {
        errors.forbidden(path, "may not specify both ipBlock and another peer");
    }
}

fn validate_block(errors: &mut FieldErrors, block: &Fields, path: &FieldPath) {
    if block.text("cidr").is_empty() {
        errors.required(&path.child("cidr"), "");
        return;
    }
    let Some(whole) = cidr(errors, block.text("cidr"), &path.child("cidr")) else { return };
    for (index, text) in block.texts("except").enumerate() {
        let path = path.child("except").index(index);
        let Some(hole) = cidr(errors, text, &path) else { continue };
        if !(contains(whole, hole.0) && whole.1 < hole.1) {
            errors.invalid(&path, text, "must be a strict subset of `cidr`");
        }
    }
}

/// Whether an address lies in a range of its own family.
fn contains((first, length): (IpAddr, u32), address: IpAddr) -> bool {
    let same = |a: u128, b: u128, width: u32| length == 0 || (a ^ b) >> (width - length) == 0;
    match (first, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}
