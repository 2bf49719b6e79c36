//! Containers: names, images, ports, environment, mounts.

use std::collections::BTreeSet;

use api_meta::validation::is_config_key;
use api_meta::{FieldErrors, FieldPath};

use super::{handlers, resources, security};
use crate::fields::{Fields, FieldsExt};
use crate::validate::{each_wrong, is_port_name, is_port_number, label, one_of, one_of_if_any, protocol, unsupported};

const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const TERMINATION_POLICIES: [&str; 2] = ["FallbackToLogsOnError", "File"];

/// What the field references of variables may name.
const REFERABLE: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What a Pod's API knows as field labels; others cannot even be converted.
const FIELD_LABELS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

pub(super) fn validate_all(errors: &mut FieldErrors, spec: &Fields, volumes: &BTreeSet<String>, path: &FieldPath) {
    let containers = path.child("containers");
    if spec.items("containers").is_empty() {
        errors.required(&containers, "");
    }
    let mut names = BTreeSet::new();
    for (index, container) in spec.each("containers") {
        let path = containers.index(index);
        common(errors, container, volumes, &path);
        if !names.insert(container.text("name")) {
            errors.duplicate(&path.child("name"), container.text("name"));
        }
        running(errors, container, &path);
    }
    host_ports(errors, spec, "containers", path);
    for (index, container) in spec.each("initContainers") {
        let path = path.child("initContainers").index(index);
        common(errors, container, volumes, &path);
        if !names.insert(container.text("name")) {
            errors.duplicate(&path.child("name"), container.text("name"));
        }
        if container.text("restartPolicy") == "Always" {
            running(errors, container, &path);
        } else {
            runs_once(errors, container, &path);
        }
    }
    for (index, container) in spec.each("ephemeralContainers") {
        let path = path.child("ephemeralContainers").index(index);
        common(errors, container, volumes, &path);
        if !names.insert(container.text("name")) {
            errors.duplicate(&path.child("name"), container.text("name"));
        }
    }
}

/// What only containers that keep running have.
fn running(errors: &mut FieldErrors, container: &Fields, path: &FieldPath) {
    if let Some(lifecycle) = container.fields("lifecycle") {
        handlers::validate_lifecycle(errors, lifecycle, &path.child("lifecycle"));
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.fields(name) {
            handlers::validate_probe(errors, probe, name, &path.child(name));
        }
    }
}

fn runs_once(errors: &mut FieldErrors, container: &Fields, path: &FieldPath) {
    let message = "may not be set for init containers without restartPolicy=Always";
    for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        if container.says(name) {
            errors.forbidden(&path.child(name), message);
        }
    }
}

fn common(errors: &mut FieldErrors, container: &Fields, volumes: &BTreeSet<String>, path: &FieldPath) {
    match container.text("name") {
        "" => errors.required(&path.child("name"), ""),
        name => label(errors, &path.child("name"), name),
    }
    match container.text("image") {
        "" => errors.required(&path.child("image"), ""),
        image if image.trim() != image => {
            errors.invalid(&path.child("image"), image, "must not have leading or trailing whitespace");
        }
        _ => {}
    }
    one_of(errors, container, "terminationMessagePolicy", path, &TERMINATION_POLICIES);
    ports(errors, container, &path.child("ports"));
    environment(errors, container, path);
    mounts(errors, container, volumes, &path.child("volumeMounts"));
    one_of(errors, container, "imagePullPolicy", path, &PULL_POLICIES);
    if let Some(wanted) = container.fields("resources") {
        resources::validate(errors, wanted, &path.child("resources"));
    }
    if let Some(context) = container.fields("securityContext") {
        security::validate_container(errors, context, &path.child("securityContext"));
    }
    one_of_if_any(errors, container, "restartPolicy", path, &["Always", "OnFailure", "Never"]);
}

fn ports(errors: &mut FieldErrors, container: &Fields, path: &FieldPath) {
    let mut names = BTreeSet::new();
    for (index, port) in container.each("ports") {
        let path = path.index(index);
        let name = port.text("name");
        if !name.is_empty() {
            let wrong = is_port_name(name);
            if wrong.is_empty() && !names.insert(name) {
                errors.duplicate(&path.child("name"), name);
            }
            each_wrong(errors, &path.child("name"), name, wrong);
        }
        match port.int("containerPort").unwrap_or_default() {
            0 => errors.required(&path.child("containerPort"), ""),
            number => each_wrong(errors, &path.child("containerPort"), number, is_port_number(number)),
        }
        if let Some(number) = port.int("hostPort").filter(|&n| n != 0) {
            each_wrong(errors, &path.child("hostPort"), number, is_port_number(number));
        }
        protocol(errors, port, &path);
        if !port.text("hostIP").is_empty() {
            crate::validate::ip(errors, port.text("hostIP"), &path.child("hostIP"));
        }
    }
}

/// One port of the host serves one container.
fn host_ports(errors: &mut FieldErrors, spec: &Fields, list: &str, path: &FieldPath) {
    let mut taken = BTreeSet::new();
    for (container_index, container) in spec.each(list) {
        for (port_index, port) in container.each("ports") {
            let Some(number) = port.int("hostPort").filter(|&n| n != 0) else { continue };
            let place = format!("{}/{}/{number}", port.text("protocol"), port.text("hostIP"));
            if !taken.insert(place.clone()) {
                let path = path.child(list).index(container_index).child("ports").index(port_index);
                errors.duplicate(&path.child("hostPort"), place);
            }
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=')
}

const VARIABLE_NAME: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";

fn environment(errors: &mut FieldErrors, container: &Fields, path: &FieldPath) {
    for (index, variable) in container.each("env") {
        let path = path.child("env").index(index);
        match variable.text("name") {
            "" => errors.required(&path.child("name"), ""),
            name if !is_variable_name(name) => errors.invalid(&path.child("name"), name, VARIABLE_NAME),
            _ => {}
        }
        if let Some(from) = variable.fields("valueFrom") {
            value_from(errors, from, !variable.text("value").is_empty(), &path.child("valueFrom"));
        }
    }
    for (index, source) in container.each("envFrom") {
        let path = path.child("envFrom").index(index);
        let prefix = source.text("prefix");
        if !is_variable_name(prefix) {
            errors.invalid(&path.child("prefix"), prefix, VARIABLE_NAME);
        }
        let kinds: Vec<_> = ["configMapRef", "secretRef"].into_iter().filter(|k| source.says(k)).collect();
        for kind in &kinds {
            if source.fields(kind).is_some_and(|s| s.text("name").is_empty()) {
                errors.required(&path.child(kind).child("name"), "");
            }
        }
        match kinds.len() {
            0 => errors.invalid(&path, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid(&path, "", "may not have more than one field specified at a time"),
        }
    }
}

fn value_from(errors: &mut FieldErrors, from: &Fields, has_value: bool, path: &FieldPath) {
    const SOURCES: [&str; 4] = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"];
    if let Some(reference) = from.fields("fieldRef") {
        field_reference(errors, reference, &REFERABLE, &path.child("fieldRef"));
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let Some(reference) = from.fields(kind) else { continue };
        match reference.text("key") {
            "" => errors.required(&path.child(kind).child("key"), ""),
            key => each_wrong(errors, &path.child(kind).child("key"), key, is_config_key(key)),
        }
    }
    if let Some(reference) = from.fields("resourceFieldRef")
        && reference.text("resource").is_empty()
    {
        errors.required(&path.children(&["resourceFieldRef", "resource"]), "");
    }
    match SOURCES.iter().filter(|source| from.says(source)).count() {
        0 => errors.invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        ),
        _ if has_value => errors.invalid(path, "", "may not be specified when `value` is not empty"),
        1 => {}
        _ => errors.invalid(path, "", "may not have more than one field specified at a time"),
    }
}

/// A reference to one of the Pod's own fields, in a variable or a file.
pub(super) fn field_reference(errors: &mut FieldErrors, reference: &Fields, allowed: &[&str], path: &FieldPath) {
    if reference.text("apiVersion").is_empty() {
        errors.required(&path.child("apiVersion"), "");
        return;
    }
    let path = path.child("fieldPath");
    let field = reference.text("fieldPath");
    if field.is_empty() {
        errors.required(&path, "");
        return;
    }
    let keyed = ["metadata.annotations['", "metadata.labels['"];
    if keyed.iter().any(|start| field.starts_with(start)) && field.ends_with("']") {
        return;
    }
    if !FIELD_LABELS.contains(&field) {
        errors.invalid(&path, field, format!("error converting fieldPath: field label not supported: {field}"));
    } else if !allowed.contains(&field) {
        unsupported(errors, &path, field, allowed);
    }
}

fn mounts(errors: &mut FieldErrors, container: &Fields, volumes: &BTreeSet<String>, path: &FieldPath) {
    let mut paths = BTreeSet::new();
    for (index, mount) in container.each("volumeMounts") {
        let path = path.index(index);
        let name = mount.text("name");
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        }
        if !volumes.contains(name) {
            errors.not_found(&path.child("name"), name);
        }
        let place = mount.text("mountPath");
        if place.is_empty() {
            errors.required(&path.child("mountPath"), "");
        }
        if !paths.insert(place) {
            errors.invalid(&path.child("mountPath"), place, "must be unique");
        }
        if !mount.text("subPath").is_empty() {
            descending_path(errors, mount.text("subPath"), &path.child("subPath"));
        }
        if !mount.text("subPathExpr").is_empty() {
            if !mount.text("subPath").is_empty() {
                errors.invalid(
                    &path.child("subPathExpr"),
                    mount.text("subPathExpr"),
                    "subPathExpr and subPath are mutually exclusive",
                );
            }
            descending_path(errors, mount.text("subPathExpr"), &path.child("subPathExpr"));
        }
        one_of_if_any(errors, mount, "mountPropagation", &path, &["Bidirectional", "HostToContainer", "None"]);
    }
}

/// A path that stays below where it starts.
pub(super) fn descending_path(errors: &mut FieldErrors, text: &str, path: &FieldPath) {
    if text.starts_with('/') {
        errors.invalid(path, text, "must be a relative path");
    }
    if text.split('/').any(|part| part == "..") {
        errors.invalid(path, text, "must not contain '..'");
    }
}
