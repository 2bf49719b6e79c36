//! What an Ingress may say (upstream: `apis/networking/validation`).

use api_meta::validation::{is_dns1123_subdomain, regex_error};
use api_meta::{FieldErrors, FieldPath, Object, Value};

use crate::fields::{Fields, FieldsExt};
use crate::table::{int, part};
use crate::validate::{each_wrong, is_port_name, is_port_number, parse_ip, subdomain, unsupported};

const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

pub(super) fn validate(object: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let spec = part(object, "spec");
    if spec.items("rules").is_empty() && !spec.says("defaultBackend") {
        errors.invalid(&path, Value::Null, "either `defaultBackend` or `rules` must be specified");
    }
    if let Some(default) = spec.fields("defaultBackend") {
        backend(&mut errors, default, &path.child("defaultBackend"));
    }
    for (index, rule) in spec.each("rules") {
        let path = path.child("rules").index(index);
        if !rule.text("host").is_empty() {
            host(&mut errors, rule.text("host"), &path.child("host"));
        }
        if let Some(http) = rule.fields("http") {
            http_paths(&mut errors, http, &path.children(&["http", "paths"]));
        }
    }
    for (index, tls) in spec.each("tls") {
        let path = path.child("tls").index(index);
        for (index, name) in tls.texts("hosts").enumerate() {
            let path = path.child("hosts").index(index);
            each_wrong(&mut errors, &path, name, name_or_wildcard(name));
        }
        if !tls.text("secretName").is_empty() {
            subdomain(&mut errors, &path.child("secretName"), tls.text("secretName"));
        }
    }
    if !spec.text("ingressClassName").is_empty() {
        subdomain(&mut errors, &path.child("ingressClassName"), spec.text("ingressClassName"));
    }
    errors
}

fn host(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if parse_ip(name).is_some() {
        errors.invalid(path, name, "must be a DNS name, not an IP address");
    } else {
        each_wrong(errors, path, name, name_or_wildcard(name));
    }
}

fn name_or_wildcard(name: &str) -> Vec<String> {
    if !name.contains('*') {
        return is_dns1123_subdomain(name);
    }
    if name.strip_prefix("*.").is_some_and(|rest| is_dns1123_subdomain(rest).is_empty()) && name.len() <= 253 {
        return Vec::new();
    }
    vec![regex_error(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of \
         lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        &format!("\\*\\.{SUBDOMAIN}"),
        &["*.example.com"],
    )]
}

fn http_paths(errors: &mut FieldErrors, http: &Fields, path: &FieldPath) {
    if http.items("paths").is_empty() {
        errors.required(path, "");
    }
    for (index, rule) in http.each("paths") {
        let path = path.index(index);
        let text = rule.text("path");
        match rule.text("pathType") {
            "" => errors.required(&path.child("pathType"), "pathType must be specified"),
            "Exact" | "Prefix" => strict_path(errors, text, &path.child("path")),
            "ImplementationSpecific" => {
                if !text.is_empty() && !text.starts_with('/') {
                    errors.invalid(&path.child("path"), text, "must be an absolute path");
                }
            }
            other => unsupported(errors, &path.child("pathType"), other, &PATH_TYPES),
        }
        backend(errors, part(rule, "backend"), &path.child("backend"));
    }
}

fn strict_path(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    if !text.starts_with('/') {
        errors.invalid(path, text, "must be an absolute path");
    }
    for bad in ["//", "/./", "/../", "%2f", "%2F"] {
        if text.contains(bad) {
            errors.invalid(path, text, format!("must not contain '{bad}'"));
        }
    }
    for bad in ["/..", "/."] {
        if text.ends_with(bad) {
            errors.invalid(path, text, format!("cannot end with '{bad}'"));
        }
    }
}

/// A Service's port, or another resource, never both.
fn backend(errors: &mut FieldErrors, backend: &Fields, path: &FieldPath) {
    match (backend.fields("service"), backend.fields("resource")) {
        (Some(_), Some(_)) => errors.invalid(path, "", "cannot set both resource and service backends"),
        (None, Some(resource)) => {
            for key in ["kind", "name"] {
                if resource.text(key).is_empty() {
                    errors.required(&path.child("resource").child(key), "");
                }
            }
        }
        (None, None) => errors.required(path, "resource or service backend is required"),
        (Some(service), None) => service_backend(errors, service, path),
    }
}

fn service_backend(errors: &mut FieldErrors, service: &Fields, path: &FieldPath) {
    let name_path = path.children(&["service", "name"]);
    match service.text("name") {
        "" => errors.required(&name_path, ""),
        name => each_wrong(errors, &name_path, name, api_meta::validation::is_dns1035_label(name)),
    }
    let port = part(service, "port");
    let port_path = path.children(&["service", "port"]);
    match (port.text("name"), int(port, "number")) {
        ("", 0) => errors.required(path, "port name or number is required"),
        ("", number) => each_wrong(errors, &port_path.child("number"), number, is_port_number(number)),
        (name, 0) => each_wrong(errors, &port_path.child("name"), name, is_port_name(name)),
        _ => errors.invalid(path, "", "cannot set both port name & port number"),
    }
}
