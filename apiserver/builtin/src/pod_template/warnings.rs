//! What a writer of Pods should know, though it is accepted (upstream: `podutil.warningsForPodSpecAndMeta`).

use std::collections::BTreeMap;

use api_meta::{FieldPath, Quantity};

use crate::fields::{Fields, FieldsExt};
use crate::table::part;

/// Labels of nodes that have newer names.
const OLD_LABELS: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
];

/// Volumes that no longer work, or soon will not.
const OLD_VOLUMES: [(&str, &str); 9] = [
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Warnings of a Pod's spec at `path`.
pub(crate) fn warnings(spec: &Fields, path: &FieldPath) -> Vec<String> {
    let mut all = Vec::new();
    for key in part(spec, "nodeSelector").keys() {
        if let Some((_, text)) = OLD_LABELS.iter().find(|(old, _)| old == key) {
            all.push(format!("{}: {text}", path.child("nodeSelector").key(key)));
        }
    }
    for (index, volume) in spec.each("volumes") {
        for (kind, text) in OLD_VOLUMES.iter().filter(|(kind, _)| volume.says(kind)) {
            all.push(format!("{}: {text}", path.child("volumes").index(index).child(kind)));
        }
    }
    for (index, secret) in spec.each("imagePullSecrets") {
        if secret.text("name").is_empty() {
            let path = path.child("imagePullSecrets").index(index).child("name");
            all.push(format!("{path}: invalid empty name \"\""));
        }
    }
    for list in ["initContainers", "containers"] {
        for (index, container) in spec.each(list) {
            of_container(&mut all, container, &path.child(list).index(index));
        }
    }
    if spec.int("terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let path = path.child("terminationGracePeriodSeconds");
        all.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    all
}

fn of_container(all: &mut Vec<String>, container: &Fields, path: &FieldPath) {
    let mut variables = BTreeMap::new();
    for (index, variable) in container.each("env") {
        let name = variable.text("name");
        if variables.insert(name, index).is_some() {
            let path = path.child("env").index(index);
            all.push(format!("{path}: hides previous definition of {name:?}, which may be dropped when using apply"));
        }
    }
    let mut ports = BTreeMap::new();
    for (index, port) in container.each("ports") {
        let place = (port.text("protocol"), port.text("hostIP"), port.int("hostPort"), port.int("containerPort"));
        let ports_path = path.child("ports");
        if let Some(first) = ports.insert(place, index) {
            all.push(format!(
                "{}: duplicate port definition with {}",
                ports_path.index(index),
                ports_path.index(first)
            ));
        }
    }
    for list in ["limits", "requests"] {
        for (name, amount) in part(part(container, "resources"), list) {
            let bytes = matches!(name.as_str(), "memory" | "ephemeral-storage");
            if bytes && Quantity::from_value(amount).is_ok_and(|q| q.milli_value() % 1000 != 0) {
                let path = path.child("resources").child(list).key(name);
                let amount = amount.as_str().unwrap_or_default();
                all.push(format!("{path}: fractional byte value {amount:?} is invalid, must be an integer"));
            }
        }
    }
}

/// The name of an object becomes part of its Pods' names.
pub(crate) fn name_warning(name: &str, part_of: &str) -> Option<String> {
    let wrong = api_meta::validation::is_dns1123_label(name);
    (!wrong.is_empty() && !name.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in {part_of}, which can result in surprising behavior; a DNS label is \
             recommended: [{}]",
            wrong.join(" ")
        )
    })
}
