//! Admission by others: webhook configurations.

pub(crate) mod policy;

use std::collections::BTreeSet;

use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use apiserver_cel::Expressions;
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::admission_expressions::{BOOL, Expression, Given, Names};
use crate::fields::{Fields, FieldsExt};
use crate::table::{self, age, part};
use crate::validate::{label_selector, one_of_if_any, qualified, subdomain, unsupported};

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

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let mut names = BTreeSet::new();
        for (index, webhook) in object.each("webhooks") {
            let path = FieldPath::new("webhooks").index(index);
            validate_webhook(&mut errors, webhook, &path);
            if !names.insert(webhook.text("name")) {
                errors.duplicate(&path.child("name"), webhook.text("name"));
            }
        }
        errors
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

fn validate_webhook(errors: &mut FieldErrors, webhook: &Fields, path: &FieldPath) {
    let name = webhook.text("name");
    subdomain(errors, &path.child("name"), name);
    if name.split('.').count() < 3 {
        let message = "should be a domain with at least three segments separated by dots";
        errors.invalid(&path.child("name"), name, message);
    }
    if webhook.items("admissionReviewVersions").is_empty() {
        errors.required(&path.child("admissionReviewVersions"), "must specify one of v1, v1beta1");
    }
    for (index, rule) in webhook.each("rules") {
        validate_rule(errors, rule, &path.child("rules").index(index));
    }
    one_of_if_any(errors, webhook, "failurePolicy", path, &["Fail", "Ignore"]);
    one_of_if_any(errors, webhook, "matchPolicy", path, &["Equivalent", "Exact"]);
    match webhook.text("sideEffects") {
        "" => errors.required(&path.child("sideEffects"), "must specify one of None, NoneOnDryRun"),
        "None" | "NoneOnDryRun" => {}
        other => unsupported(errors, &path.child("sideEffects"), other, &["None", "NoneOnDryRun"]),
    }
    if let Some(seconds) = webhook.int("timeoutSeconds").filter(|s| !(1..=30).contains(s)) {
        let message = "the timeout value must be between 1 and 30 seconds";
        errors.invalid(&path.child("timeoutSeconds"), seconds, message);
    }
    for selector in ["namespaceSelector", "objectSelector"] {
        label_selector(errors, webhook.value(selector), &path.child(selector));
    }
    one_of_if_any(errors, webhook, "reinvocationPolicy", path, &["IfNeeded", "Never"]);
    match_conditions(errors, webhook, &path.child("matchConditions"), Given { params: false, authorizer: true });
    validate_client(errors, part(webhook, "clientConfig"), &path.child("clientConfig"));
}

fn validate_rule(errors: &mut FieldErrors, rule: &Fields, path: &FieldPath) {
    const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    for list in ["operations", "apiGroups", "apiVersions", "resources"] {
        let path = path.child(list);
        if rule.items(list).is_empty() {
            errors.required(&path, "");
        }
        if rule.items(list).len() > 1 && rule.texts(list).any(|text| text == "*") && list != "resources" {
            errors.invalid(
                &path,
                rule.value(list).clone(),
                "if '*' is present, must not specify other ".to_owned()
                    + match list {
                        "operations" => "operations",
                        "apiGroups" => "API groups",
                        _ => "API versions",
                    },
            );
        }
    }
    for (index, operation) in rule.texts("operations").enumerate().filter(|(_, o)| !OPERATIONS.contains(o)) {
        unsupported(errors, &path.child("operations").index(index), operation, &OPERATIONS);
    }
    one_of_if_any(errors, rule, "scope", path, &["*", "Cluster", "Namespaced"]);
}

/// Reached by URL or by Service, and by URL only with TLS.
fn validate_client(errors: &mut FieldErrors, client: &Fields, path: &FieldPath) {
    match (client.text("url"), client.fields("service")) {
        ("", Some(service)) => {
            for key in ["name", "namespace"] {
                if service.text(key).is_empty() {
                    errors.required(&path.child("service").child(key), &format!("service {key} is required")[..]);
                }
            }
        }
        (url, None) if !url.is_empty() => {
            if !url.starts_with("https://") {
                let message = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
                errors.invalid(&path.child("url"), url, message);
            }
        }
        _ => errors.required(path, "exactly one of url or service is required"),
    }
}

/// Which writes of those that the rules match are meant; all must hold.
fn match_conditions(errors: &mut FieldErrors, holder: &Fields, path: &FieldPath, given: Given) {
    const MOST: usize = 64;
    let count = holder.items("matchConditions").len();
    if count > MOST {
        errors.too_many(path, count, MOST);
    }
    let names = Names::new(Expressions::New, given);
    let mut seen = BTreeSet::new();
    for (index, condition) in holder.each("matchConditions") {
        let path = path.index(index);
        match condition.text("expression").trim() {
            "" => errors.required(&path.child("expression"), ""),
            _ => expression(errors, &names.compile(condition.text("expression"), BOOL), &path.child("expression")),
        }
        match condition.text("name") {
            "" => errors.required(&path.child("name"), ""),
            name => {
                qualified(errors, &path.child("name"), name);
                if !seen.insert(name) {
                    errors.duplicate(&path.child("name"), name);
                }
            }
        }
    }
}

fn expression(errors: &mut FieldErrors, compiled: &Expression, path: &FieldPath) {
    if let Err(why) = &compiled.program {
        errors.invalid(path, compiled.text.as_str(), why.as_str());
    }
}
