//! Admission by others: webhook configurations and validating admission policies.

use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy};

use crate::fields::{Fields, FieldsExt};
use crate::table::{self, UNSET, age, part};
use jiff::Timestamp;

pub(crate) struct WebhookConfigurations {
    mutating: bool,
}

impl WebhookConfigurations {
    pub(crate) const MUTATING: Self = Self { mutating: true };
    pub(crate) const VALIDATING: Self = Self { mutating: false };
}

impl Strategy for WebhookConfigurations {
    fn default(&self, object: &mut Object) {
        for webhook in object.each_mut("webhooks") {
            webhook.or_set("failurePolicy", "Fail");
            webhook.or_set("timeoutSeconds", 10);
            default_match(webhook);
            webhook.each_mut("rules").for_each(default_rule);
            if let Some(service) = webhook.made("clientConfig").fields_mut("service") {
                service.or_set("port", 443);
            }
            if self.mutating {
                webhook.or_set("reinvocationPolicy", "Never");
            }
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("admissionregistration.k8s.io/validatingwebhookconfigurations")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), object.items("webhooks").len().into(), age(object, now)]
    }
}

fn default_match(holder: &mut Fields) {
    holder.or_set("matchPolicy", "Equivalent");
    holder.or_set("namespaceSelector", json!({}));
    holder.or_set("objectSelector", json!({}));
}

fn default_rule(rule: &mut Fields) {
    rule.or_set("scope", "*");
}

fn default_match_resources(resources: &mut Fields) {
    default_match(resources);
    resources.each_mut("resourceRules").for_each(default_rule);
    resources.each_mut("excludeResourceRules").for_each(default_rule);
}

pub(crate) struct AdmissionPolicies;

impl Strategy for AdmissionPolicies {
    fn default(&self, object: &mut Object) {
        object.made("status");
        let spec = object.made("spec");
        spec.or_set("failurePolicy", "Fail");
        if let Some(constraints) = spec.fields_mut("matchConstraints") {
            default_match_resources(constraints);
        }
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("admissionregistration.k8s.io/validatingadmissionpolicies")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = part(object, "spec");
        let kind = spec.fields("paramKind").map(|k| match k.text("apiVersion") {
            "" => k.text("kind").to_owned(),
            version => format!("{version}/{}", k.text("kind")),
        });
        vec![
            object.name().into(),
            spec.items("validations").len().into(),
            kind.map_or_else(|| UNSET.into(), Into::into),
            age(object, now),
        ]
    }
}

pub(crate) struct AdmissionPolicyBindings;

impl Strategy for AdmissionPolicyBindings {
    fn default(&self, object: &mut Object) {
        if let Some(resources) = object.made("spec").fields_mut("matchResources") {
            default_match_resources(resources);
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("admissionregistration.k8s.io/validatingadmissionpolicybindings")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = part(object, "spec");
        let reference = spec.fields("paramRef").map(|r| match (r.text("namespace"), r.text("name")) {
            (_, "") => table::selector(r.value("selector")),
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        });
        vec![
            object.name().into(),
            spec.text("policyName").into(),
            reference.map_or_else(|| UNSET.into(), Into::into),
            age(object, now),
        ]
    }
}
