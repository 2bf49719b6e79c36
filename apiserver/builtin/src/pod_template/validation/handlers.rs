//! Probes and lifecycle hooks.

use api_meta::{FieldErrors, FieldPath};

use crate::fields::{Fields, FieldsExt};
use crate::validate::{each_wrong, is_port_number, not_negative, one_of, port};

pub(super) fn validate_lifecycle(errors: &mut FieldErrors, lifecycle: &Fields, path: &FieldPath) {
    for hook in ["postStart", "preStop"] {
        if let Some(handler) = lifecycle.fields(hook) {
            validate_handler(errors, handler, &path.child(hook));
        }
    }
}

pub(super) fn validate_probe(errors: &mut FieldErrors, probe: &Fields, name: &str, path: &FieldPath) {
    validate_handler(errors, probe, path);
    not_negative(
        errors,
        probe,
        path,
        &["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"],
    );
    let grace = probe.int("terminationGracePeriodSeconds");
    if let Some(seconds) = grace.filter(|&s| s <= 0) {
        errors.invalid(&path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0");
    }
    if name == "readinessProbe" {
        if let Some(seconds) = grace {
            errors.invalid(
                &path.child("terminationGracePeriodSeconds"),
                seconds,
                "must not be set for readinessProbes",
            );
        }
    } else if let Some(threshold) = probe.int("successThreshold").filter(|&t| t != 1) {
        errors.invalid(&path.child("successThreshold"), threshold, "must be 1");
    }
}

/// Exactly one way of handling.
fn validate_handler(errors: &mut FieldErrors, handler: &Fields, path: &FieldPath) {
    let mut handlers = 0;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(action) = handler.fields(kind) else { continue };
        let path = path.child(kind);
        if handlers > 0 {
            errors.forbidden(&path, "may not specify more than 1 handler type");
            continue;
        }
        handlers += 1;
        match kind {
            "exec" if action.items("command").is_empty() => errors.required(&path.child("command"), ""),
            "httpGet" => {
                if action.text("path").is_empty() {
                    errors.required(&path.child("path"), "");
                }
                port(errors, action.value("port"), &path.child("port"));
                one_of(errors, action, "scheme", &path, &["HTTP", "HTTPS"]);
            }
            "tcpSocket" => port(errors, action.value("port"), &path.child("port")),
            "grpc" => {
                let number = action.int("port").unwrap_or_default();
                each_wrong(errors, &path.child("port"), number, is_port_number(number));
            }
            _ => {}
        }
    }
    if handlers == 0 {
        errors.required(path, "must specify a handler type");
    }
}
