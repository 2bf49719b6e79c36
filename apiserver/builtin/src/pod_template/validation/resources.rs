//! Resources that containers ask for and are limited to.

use api_meta::validation::is_qualified_name;
use api_meta::{FieldErrors, FieldPath, Quantity, Value};

use crate::fields::{Fields, FieldsExt};
use crate::table::part;
use crate::validate::{amount, each_wrong};

const OF_CONTAINERS: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
/// Resources that are counted, or that only quotas and nodes know.
const COUNTED: [&str; 9] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];
const OTHERS: [&str; 5] =
    ["storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage", "requests.storage"];
const LIMITS: [&str; 3] = ["limits.cpu", "limits.memory", "limits.ephemeral-storage"];

pub(crate) fn is_hugepages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && is_qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether more may be requested than there is.
fn may_be_overcommitted(name: &str) -> bool {
    is_native(name) && !is_hugepages(name)
}

/// A name that some part of Kubernetes gives a meaning.
pub(crate) fn resource_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let wrong = is_qualified_name(name);
    if !wrong.is_empty() {
        each_wrong(errors, path, name, wrong);
    } else if !name.contains('/') {
        let lists: [&[&str]; 4] = [&OF_CONTAINERS, &COUNTED, &OTHERS, &LIMITS];
        let known = lists.iter().any(|list| list.contains(&name));
        if !known && !is_hugepages(name) && !name.starts_with("requests.hugepages-") {
            errors.invalid(path, name, "must be a standard resource type or fully qualified");
        }
    }
}

fn container_resource_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    resource_name(errors, name, path);
    if !name.contains('/') {
        if !OF_CONTAINERS.contains(&name) && !is_hugepages(name) {
            errors.invalid(path, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.invalid(path, name, "doesn't follow extended resource name standard");
    }
}

/// An amount that is not negative, and whole where the resource comes in pieces.
pub(crate) fn resource_amount(
    errors: &mut FieldErrors,
    name: &str,
    value: &Value,
    path: &FieldPath,
) -> Option<Quantity> {
    let quantity = amount(errors, value, path)?;
    if (COUNTED.contains(&name) || is_extended(name)) && quantity.milli_value() % 1000 != 0 {
        errors.invalid(path, quantity.to_string(), "must be an integer");
    }
    Some(quantity)
}

pub(super) fn validate(errors: &mut FieldErrors, resources: &Fields, path: &FieldPath) {
    let (limits, requests) = (part(resources, "limits"), part(resources, "requests"));
    let (limit_path, request_path) = (path.child("limits"), path.child("requests"));
    for (name, value) in limits {
        let path = limit_path.key(name);
        container_resource_name(errors, name, &path);
        resource_amount(errors, name, value, &path);
    }
    for (name, value) in requests {
        let path = request_path.key(name);
        container_resource_name(errors, name, &path);
        let Some(request) = resource_amount(errors, name, value, &path) else { continue };
        match Quantity::from_value(limits.value(name)) {
            Ok(limit) if request != limit && !may_be_overcommitted(name) => {
                errors.invalid(&request_path, request.to_string(), format!("must be equal to {name} limit of {limit}"))
            }
            Ok(limit) if request > limit => errors.invalid(
                &request_path,
                request.to_string(),
                format!("must be less than or equal to {name} limit of {limit}"),
            ),
            Err(_) if !may_be_overcommitted(name) => {
                errors.required(&limit_path, "Limit must be set for non overcommitable resources");
            }
            _ => {}
        }
    }
    let has = |test: fn(&str) -> bool| limits.keys().chain(requests.keys()).any(|name| test(name));
    if has(is_hugepages) && !has(|name| matches!(name, "cpu" | "memory")) {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
}
