//! `ValidatingAdmissionPolicy` and its bindings.

use std::collections::BTreeSet;

use api_meta::validation::{is_dns1035_label, is_path_segment};
use api_meta::{FieldErrors, FieldPath, GroupVersion, Object, Value, json};
use apiserver_cel::Expressions;
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use super::{default_match, default_rule, expression, match_conditions, validate_rule};
use crate::admission_expressions::{BOOL, Given, Names, STRING, STRING_OR_NULL};
use crate::fields::{Fields, FieldsExt};
use crate::table::{self, UNSET, age, part};
use crate::validate::{each_wrong, label_selector, one_of, one_of_if_any, qualified, subdomain, unsupported};

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

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        validate_policy(&mut errors, part(object, "spec"), &FieldPath::new("spec"));
        errors
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

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        validate_binding(&mut errors, part(object, "spec"), &FieldPath::new("spec"));
        errors
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

fn validate_policy(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    one_of(errors, spec, "failurePolicy", path, &["Fail", "Ignore"]);
    let given = Given { params: spec.says("paramKind"), authorizer: true };
    if let Some(kind) = spec.fields("paramKind") {
        validate_param_kind(errors, kind, &path.child("paramKind"));
    }
    let constraints = path.child("matchConstraints");
    match spec.fields("matchConstraints") {
        None => errors.required(&constraints, ""),
        Some(resources) => {
            match_resources(errors, resources, &constraints);
            if resources.items("resourceRules").is_empty() {
                errors.required(&constraints.child("resourceRules"), "");
            }
        }
    }
    match_conditions(errors, spec, &path.child("matchConditions"), given);
    if spec.items("validations").is_empty() && spec.items("auditAnnotations").is_empty() {
        for list in ["validations", "auditAnnotations"] {
            errors.required(&path.child(list), "validations or auditAnnotations must contain at least one item");
        }
        return;
    }
    let mut names = Names::new(Expressions::New, given);
    for (index, variable) in spec.each("variables") {
        validate_variable(errors, &mut names, variable, &path.child("variables").index(index));
    }
    for (index, validation) in spec.each("validations") {
        validate_validation(errors, &names, validation, &path.child("validations").index(index));
    }
    audit_annotations(errors, &names, spec, &path.child("auditAnnotations"));
}

fn validate_param_kind(errors: &mut FieldErrors, kind: &Fields, path: &FieldPath) {
    let version = kind.text("apiVersion");
    if version.is_empty() {
        errors.required(&path.child("apiVersion"), "");
    } else if let Err(error) = version.parse::<GroupVersion>() {
        errors.invalid(&path.child("apiVersion"), version, error.to_string());
    }
    match kind.text("kind") {
        "" => errors.required(&path.child("kind"), ""),
        name => {
            let wrong = is_dns1035_label(&name.to_lowercase());
            if !wrong.is_empty() {
                let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
                errors.invalid(&path.child("kind"), name, why);
            }
        }
    }
}

fn match_resources(errors: &mut FieldErrors, resources: &Fields, path: &FieldPath) {
    one_of_if_any(errors, resources, "matchPolicy", path, &["Equivalent", "Exact"]);
    for selector in ["namespaceSelector", "objectSelector"] {
        label_selector(errors, resources.value(selector), &path.child(selector));
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in resources.each(list) {
            let path = path.child(list).index(index);
            validate_rule(errors, rule, &path);
            resource_names(errors, rule, &path.child("resourceNames"));
        }
    }
}

fn resource_names(errors: &mut FieldErrors, rule: &Fields, path: &FieldPath) {
    let mut seen = BTreeSet::new();
    for (index, name) in rule.texts("resourceNames").enumerate() {
        let path = path.index(index);
        let wrong = is_path_segment(name);
        if !wrong.is_empty() {
            errors.invalid(&path, name, wrong.join(","));
        }
        if !seen.insert(name) {
            errors.duplicate(&path, name);
        }
    }
}

fn validate_variable(errors: &mut FieldErrors, names: &mut Names, variable: &Fields, path: &FieldPath) {
    let name = variable.text("name");
    if name.trim().is_empty() {
        errors.required(&path.child("name"), "name is not specified");
    } else if !apiserver_cel::is_identifier(name) {
        errors.invalid(&path.child("name"), name, "name is not a valid CEL identifier");
    }
    match variable.text("expression").trim() {
        "" => errors.required(&path.child("expression"), "expression is not specified"),
        _ => expression(errors, &names.variable(name, variable.text("expression")), &path.child("expression")),
    }
}

fn validate_validation(errors: &mut FieldErrors, names: &Names, validation: &Fields, path: &FieldPath) {
    match validation.text("expression").trim() {
        "" => errors.required(&path.child("expression"), "expression is not specified"),
        _ => expression(errors, &names.compile(validation.text("expression"), BOOL), &path.child("expression")),
    }
    let (said, at) = (validation.text("messageExpression"), path.child("messageExpression"));
    if !said.is_empty() && said.trim().is_empty() {
        errors.invalid(&at, said, "must be non-empty if specified");
    } else if !said.is_empty() {
        expression(errors, &names.compile(said, STRING), &at);
    }
    let (message, at) = (validation.text("message"), path.child("message"));
    if !message.is_empty() && message.trim().is_empty() {
        errors.invalid(&at, message, "message must be non-empty if specified");
    } else if message.trim().contains(['\n', '\r']) {
        errors.invalid(&at, message, "message must not contain line breaks");
    } else if message.is_empty() && validation.text("expression").trim().contains(['\n', '\r']) {
        errors.required(&at, "message must be specified if expression contains line breaks");
    }
    one_of_if_any(errors, validation, "reason", path, &["Forbidden", "Invalid", "RequestEntityTooLarge"]);
}

fn audit_annotations(errors: &mut FieldErrors, names: &Names, spec: &Fields, path: &FieldPath) {
    const MOST: usize = 20;
    const LONGEST: usize = 5 * 1024;
    let count = spec.items("auditAnnotations").len();
    if count > MOST {
        errors.too_many(path, count, MOST);
    }
    let mut seen = BTreeSet::new();
    for (index, annotation) in spec.each("auditAnnotations") {
        let path = path.index(index);
        let key = annotation.text("key");
        match key {
            "" => errors.required(&path.child("key"), ""),
            key => qualified(errors, &path.child("key"), key),
        }
        let (text, at) = (annotation.text("valueExpression"), path.child("valueExpression"));
        if text.trim().is_empty() {
            errors.required(&at, "valueExpression is not specified");
        } else if text.trim().len() > LONGEST {
            errors.required(&at, format!("must not exceed {LONGEST} bytes in length"));
        } else {
            expression(errors, &names.compile(text, STRING_OR_NULL), &at);
        }
        if !key.is_empty() && !seen.insert(key) {
            errors.duplicate(&path.child("key"), key);
        }
    }
}

fn validate_binding(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    match spec.text("policyName") {
        "" => errors.required(&path.child("policyName"), ""),
        name => subdomain(errors, &path.child("policyName"), name),
    }
    if let Some(reference) = spec.fields("paramRef") {
        validate_param_ref(errors, reference, &path.child("paramRef"));
    }
    if let Some(resources) = spec.fields("matchResources") {
        match_resources(errors, resources, &path.child("matchResources"));
    }
    validation_actions(errors, spec, &path.child("validationActions"));
}

fn validate_param_ref(errors: &mut FieldErrors, reference: &Fields, path: &FieldPath) {
    let (name, selects) = (reference.text("name"), reference.says("selector"));
    if !name.is_empty() {
        each_wrong(errors, &path.child("name"), name, is_path_segment(name));
        if selects {
            errors.forbidden(&path.child("name"), "name and selector are mutually exclusive");
        }
    }
    if selects {
        label_selector(errors, reference.value("selector"), &path.child("selector"));
        if !name.is_empty() {
            errors.forbidden(&path.child("selector"), "name and selector are mutually exclusive");
        }
    }
    if name.is_empty() && !selects {
        errors.required(path, "one of name or selector must be specified");
    }
    one_of(errors, reference, "parameterNotFoundAction", path, &["Allow", "Deny"]);
}

fn validation_actions(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let actions: Vec<&str> = spec.texts("validationActions").collect();
    if actions.is_empty() {
        errors.required(path, "at least one validation action is required");
    }
    let mut seen = BTreeSet::new();
    for (index, action) in actions.iter().enumerate() {
        if !["Audit", "Deny", "Warn"].contains(action) {
            unsupported(errors, &path.index(index), *action, &["Audit", "Deny", "Warn"]);
        }
        if !seen.insert(action) {
            errors.duplicate(&path.index(index), *action);
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                   response and headers serves no purpose)";
        errors.invalid(path, spec.value("validationActions").clone(), why);
    }
}
