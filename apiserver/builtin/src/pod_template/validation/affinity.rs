//! Node affinity, and affinity to and against other Pods.

use api_meta::validation::is_label_value;
use api_meta::{FieldErrors, FieldPath};

use crate::fields::{Fields, FieldsExt};
use crate::table::part;
use crate::validate::{each_wrong, label, label_selector, qualified};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn validate(errors: &mut FieldErrors, affinity: &Fields, path: &FieldPath) {
    if let Some(nodes) = affinity.fields("nodeAffinity") {
        let path = path.child("nodeAffinity");
        if let Some(selector) = nodes.fields(REQUIRED) {
            let path = path.children(&[REQUIRED, "nodeSelectorTerms"]);
            if selector.items("nodeSelectorTerms").is_empty() {
                errors.required(&path, "must have at least one node selector term");
            }
            for (index, term) in selector.each("nodeSelectorTerms") {
                node_term(errors, term, true, &path.index(index));
            }
        }
        for (index, preferred) in nodes.each(PREFERRED) {
            let path = path.child(PREFERRED).index(index);
            weight(errors, preferred, &path);
            node_term(errors, part(preferred, "preference"), false, &path.child("preference"));
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let (pods, path) = (part(affinity, kind), path.child(kind));
        for (index, term) in pods.each(REQUIRED) {
            pod_term(errors, term, &path.child(REQUIRED).index(index));
        }
        for (index, preferred) in pods.each(PREFERRED) {
            let path = path.child(PREFERRED).index(index);
            weight(errors, preferred, &path);
            pod_term(errors, part(preferred, "podAffinityTerm"), &path.child("podAffinityTerm"));
        }
    }
}

fn weight(errors: &mut FieldErrors, preferred: &Fields, path: &FieldPath) {
    let weight = preferred.int("weight").unwrap_or_default();
    if !(1..=100).contains(&weight) {
        errors.invalid(&path.child("weight"), weight, "must be in the range 1-100");
    }
}

fn node_term(errors: &mut FieldErrors, term: &Fields, required: bool, path: &FieldPath) {
    for (index, requirement) in term.each("matchExpressions") {
        let path = path.child("matchExpressions").index(index);
        let values = requirement.items("values").len();
        match requirement.text("operator") {
            "In" | "NotIn" if values == 0 => {
                errors.required(&path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if values > 0 => errors
                .forbidden(&path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
            "Gt" | "Lt" if values != 1 => {
                errors.required(&path.child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'")
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            operator => errors.invalid(&path.child("operator"), operator, "not a valid selector operator"),
        }
        qualified(errors, &path.child("key"), requirement.text("key"));
        if required {
            for (index, value) in requirement.texts("values").enumerate() {
                each_wrong(errors, &path.child("values").index(index), value, is_label_value(value));
            }
        }
    }
    for (index, requirement) in term.each("matchFields") {
        let path = path.child("matchFields").index(index);
        if !matches!(requirement.text("operator"), "In" | "NotIn") {
            errors.invalid(&path.child("operator"), requirement.text("operator"), "not a valid selector operator");
        } else if requirement.items("values").len() != 1 {
            errors.required(
                &path.child("values"),
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
            );
        }
        if requirement.text("key") != "metadata.name" {
            errors.invalid(&path.child("key"), requirement.text("key"), "not a valid field selector key");
        }
    }
}

fn pod_term(errors: &mut FieldErrors, term: &Fields, path: &FieldPath) {
    label_selector(errors, term.value("labelSelector"), &path.child("labelSelector"));
    label_selector(errors, term.value("namespaceSelector"), &path.child("namespaceSelector"));
    for name in term.texts("namespaces") {
        label(errors, &path.child("namespace"), name);
    }
    let key = term.text("topologyKey");
    if key.is_empty() {
        errors.required(&path.child("topologyKey"), "can not be empty");
    }
    qualified(errors, &path.child("topologyKey"), key);
}
