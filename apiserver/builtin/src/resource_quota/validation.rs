//! What a quota may say (upstream: `ValidateResourceQuota`).

use api_meta::{FieldErrors, FieldPath, Object, Value};

use crate::fields::{Fields, FieldsExt};
use crate::pod_template::{is_hugepages, resource_amount, resource_name};
use crate::table::part;

const STANDARD: [&str; 20] = [
    "configmaps",
    "count/",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];
const COMPUTE: [&str; 9] = [
    "pods",
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
    "requests.ephemeral-storage",
    "limits.ephemeral-storage",
];
const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

pub(super) fn validate(object: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let spec = part(object, "spec");
    amounts(&mut errors, part(spec, "hard"), &path.child("hard"));
    scopes(&mut errors, spec, &path.child("scopes"));
    scope_selector(&mut errors, spec, &path.children(&["scopeSelector", "matchExpressions"]));
    let status = part(object, "status");
    for list in ["hard", "used"] {
        amounts(&mut errors, part(status, list), &FieldPath::new("status").child(list));
    }
    errors
}

fn amounts(errors: &mut FieldErrors, amounts: &Fields, path: &FieldPath) {
    for (name, value) in amounts {
        let path = path.key(name);
        resource_name(errors, name, &path);
        let standard =
            STANDARD.contains(&name.as_str()) || is_hugepages(name) || name.starts_with("requests.hugepages-");
        if !name.contains('/') && !standard {
            errors.invalid(&path, name.as_str(), "must be a standard resource for quota");
        }
        resource_amount(errors, name, value, &path);
    }
}

/// A scope narrows what is counted, so what is counted must have it.
fn scopes(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    let all: Vec<_> = spec.texts("scopes").collect();
    let shown = || spec.value("scopes").clone();
    for scope in &all {
        if !SCOPES.contains(scope) {
            errors.invalid(path, shown(), "unsupported scope");
            continue;
        }
        for name in part(spec, "hard").keys() {
            if !applies(scope, name) {
                errors.invalid(path, shown(), "unsupported scope applied to resource");
            }
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| all.contains(scope)) {
            errors.invalid(path, shown(), "conflicting scopes");
        }
    }
}

fn applies(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => resource == "persistentvolumeclaims" || resource == "requests.storage",
        _ => COMPUTE.contains(&resource) || is_hugepages(resource) || resource.starts_with("requests.hugepages-"),
    }
}

fn scope_selector(errors: &mut FieldErrors, spec: &Fields, path: &FieldPath) {
    for (index, requirement) in part(spec, "scopeSelector").each("matchExpressions") {
        let path = path.index(index);
        let scope = requirement.text("scopeName");
        if !SCOPES.contains(&scope) {
            errors.invalid(&path.child("scopeName"), scope, "unsupported scope");
        }
        let values = requirement.items("values").len();
        match requirement.text("operator") {
            "In" | "NotIn" if values == 0 => errors.required(
                &path.child("values"),
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            ),
            "Exists" | "DoesNotExist" if values > 0 => errors.invalid(
                &path.child("values"),
                requirement.value("values").clone(),
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            operator => errors.invalid(&path.child("operator"), Value::from(operator), "not a valid selector operator"),
        }
    }
}
