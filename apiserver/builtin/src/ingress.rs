//! `Ingress` and `IngressClass`.

mod validation;

use std::collections::BTreeSet;

use api_meta::{FieldErrors, Object, Value, json};
use apiserver_model::{Column, Operation, Strategy};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt, fill};
use crate::table::{self, NONE, age, at_most, part, text_or};

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

    fn columns(&self) -> Vec<Column> {
        table::columns("networking.k8s.io/ingresses")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = part(object, "spec");
        let ports = if spec.items("tls").is_empty() { "80" } else { "80, 443" };
        vec![
            object.name().into(),
            text_or(spec, "ingressClassName", NONE),
            hosts(spec).into(),
            addresses(part(part(object, "status"), "loadBalancer")).into(),
            ports.into(),
            age(object, now),
        ]
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate(object)
    }

    fn warnings(&self, object: &Object, _operation: Operation) -> Vec<String> {
        let old = object.annotation("kubernetes.io/ingress.class").is_some();
        let text =
            "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead";
        if old { vec![text.to_owned()] } else { Vec::new() }
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

    fn columns(&self) -> Vec<Column> {
        table::columns("networking.k8s.io/ingressclasses")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = part(object, "spec");
        let parameters = spec.fields("parameters").map(|p| match p.text("apiGroup") {
            "" => format!("{}/{}", p.text("kind"), p.text("name")),
            group => format!("{}.{group}/{}", p.text("kind"), p.text("name")),
        });
        vec![
            object.name().into(),
            spec.text("controller").into(),
            parameters.map_or_else(|| NONE.into(), Into::into),
            age(object, now),
        ]
    }
}

/// The first three hosts; `*` if any host will do.
fn hosts(spec: &Fields) -> String {
    let all: Vec<_> = spec.each("rules").map(|(_, r)| r.text("host").to_owned()).filter(|h| !h.is_empty()).collect();
    if all.is_empty() { "*".into() } else { at_most(&all, 3, all.len()) }
}

/// Where a load balancer answers, each address or name once.
pub(crate) fn addresses(balancer: &Fields) -> String {
    let all: BTreeSet<_> = balancer
        .each("ingress")
        .map(|(_, ingress)| match ingress.text("ip") {
            "" => ingress.text("hostname"),
            ip => ip,
        })
        .filter(|address| !address.is_empty())
        .collect();
    all.into_iter().collect::<Vec<_>>().join(",")
}
