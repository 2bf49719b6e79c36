//! What names, labels and annotations may be (`k8s.io/apimachinery/pkg/util/validation`, `pkg/api/validation`).
//!
//! Each `is_*` returns what is wrong, in upstream's words; an empty list means valid.

use serde::Serialize;
use serde_json::Value;

use crate::field::go_quote;
use crate::{FieldErrors, FieldPath, Object};

const DNS1123_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS1035_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED_NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const CONFIG_KEY: &str = "[-._a-zA-Z0-9]+";

const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Upstream's `RegexError`.
pub fn regex_error(message: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<_> = examples.iter().map(|e| format!("'{e}', ")).collect();
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{regex}')");
    }
    format!("{message} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
}

fn max_length(n: usize) -> String {
    format!("must be no more than {n} characters")
}

fn edges(text: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => edge(first) && edge(last) && bytes.iter().all(|&b| inner(b)),
        _ => false,
    }
}

fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn matches_label(text: &str) -> bool {
    edges(text, lower, |b| lower(b) || b == b'-')
}

fn matches_qualified(text: &str) -> bool {
    edges(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

pub fn is_dns1123_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(max_length(63));
    }
    if !matches_label(text) {
        wrong.push(if is_dns1123_subdomain(text).is_empty() {
            "must not contain dots".to_owned()
        } else {
            regex_error(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                 and end with an alphanumeric character",
                DNS1123_LABEL,
                &["my-name", "123-abc"],
            )
        });
    }
    wrong
}

pub fn is_dns1123_subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(max_length(253));
    }
    if !text.split('.').all(matches_label) {
        wrong.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character",
            DNS1123_SUBDOMAIN,
            &["example.com"],
        ));
    }
    wrong
}

pub fn is_dns1035_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(max_length(63));
    }
    if !(matches_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())) {
        wrong.push(regex_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            DNS1035_LABEL,
            &["my-name", "abc-123"],
        ));
    }
    wrong
}

/// RBAC names and the like: anything that is one path segment.
pub fn is_path_segment(text: &str) -> Vec<String> {
    match text {
        "." => return vec!["may not be '.'".into()],
        ".." => return vec!["may not be '..'".into()],
        _ => {}
    }
    ["/", "%"].iter().filter(|c| text.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

pub fn is_qualified_name(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let parts: Vec<_> = text.split('/').collect();
    let name = match parts[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                wrong.extend(is_dns1123_subdomain(prefix).into_iter().map(|w| format!("prefix part {w}")));
            }
            name
        }
        _ => {
            let form = regex_error(
                "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                 with an alphanumeric character",
                QUALIFIED_NAME,
                &["MyName", "my.name", "123-abc"],
            );
            wrong.push(format!("{form} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"));
            return wrong;
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push(format!("name part {}", max_length(63)));
    }
    if !matches_qualified(name) {
        let form = regex_error(
            "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
             character",
            QUALIFIED_NAME,
            &["MyName", "my.name", "123-abc"],
        );
        wrong.push(format!("name part {form}"));
    }
    wrong
}

pub fn is_label_value(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(max_length(63));
    }
    if !text.is_empty() && !matches_qualified(text) {
        wrong.push(regex_error(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character",
            LABEL_VALUE,
            &["MyValue", "my_value", "12345"],
        ));
    }
    wrong
}

pub fn is_config_key(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(max_length(253));
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        wrong.push(regex_error(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            CONFIG_KEY,
            &["key.name", "KEY_NAME", "key-name"],
        ));
    } else if text == "." {
        wrong.push("must not be '.'".into());
    } else if text == ".." {
        wrong.push("must not be '..'".into());
    } else if text.starts_with("..") {
        wrong.push("must not start with '..'".into());
    }
    wrong
}

/// Which rule a kind's names follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    Subdomain,
    Label,
    Dns1035Label,
    PathSegment,
}

impl NameRule {
    /// What is wrong with `name`; as a prefix (`generateName`) a trailing dash is allowed.
    pub fn check(self, name: &str, prefix: bool) -> Vec<String> {
        let masked = if prefix && self != Self::PathSegment && name.len() > 1 && name.ends_with('-') {
            format!("{}a", &name[..name.len() - 1])
        } else {
            name.to_owned()
        };
        match self {
            Self::Subdomain => is_dns1123_subdomain(&masked),
            Self::Label => is_dns1123_label(&masked),
            Self::Dns1035Label => is_dns1035_label(&masked),
            Self::PathSegment => is_path_segment(name),
        }
    }
}

pub fn labels(labels: Option<&Value>, field: &FieldPath) -> FieldErrors {
    let mut errors = FieldErrors::new();
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        for wrong in is_qualified_name(key) {
            errors.invalid(field, key.as_str(), wrong);
        }
        let value = value.as_str().unwrap_or_default();
        for wrong in is_label_value(value) {
            errors.invalid(field, value, wrong);
        }
    }
    errors
}

pub fn annotations(annotations: Option<&Value>, field: &FieldPath) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let mut size = 0;
    for (key, value) in annotations.and_then(Value::as_object).into_iter().flatten() {
        for wrong in is_qualified_name(&key.to_lowercase()) {
            errors.invalid(field, key.as_str(), wrong);
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        errors.too_long(field, ANNOTATIONS_LIMIT);
    }
    errors
}

/// The part of validation that every object passes (upstream: `ValidateObjectMeta`).
pub fn object_meta(object: &Object, namespaced: bool, rule: NameRule) -> FieldErrors {
    let field = FieldPath::new("metadata");
    let mut errors = FieldErrors::new();
    for wrong in Some(object.generate_name()).filter(|n| !n.is_empty()).map(|n| rule.check(n, true)).unwrap_or_default()
    {
        errors.invalid(&field.child("generateName"), object.generate_name(), wrong);
    }
    if object.name().is_empty() {
        errors.required(&field.child("name"), "name or generateName is required");
    } else {
        for wrong in rule.check(object.name(), false) {
            errors.invalid(&field.child("name"), object.name(), wrong);
        }
    }
    match (namespaced, object.namespace()) {
        (true, "") => errors.required(&field.child("namespace"), ""),
        (true, namespace) => {
            for wrong in is_dns1123_label(namespace) {
                errors.invalid(&field.child("namespace"), namespace, wrong);
            }
        }
        (false, "") => {}
        (false, _) => errors.forbidden(&field.child("namespace"), "not allowed on this type"),
    }
    let generation = object.generation();
    if generation < 0 {
        errors.invalid(&field.child("generation"), generation, "must be greater than or equal to 0");
    }
    let metadata = object.metadata();
    errors.extend(labels(metadata.and_then(|m| m.get("labels")), &field.child("labels")));
    errors.extend(annotations(metadata.and_then(|m| m.get("annotations")), &field.child("annotations")));
    errors.extend(owner_references(object, &field.child("ownerReferences")));
    errors.extend(finalizers(object, &field.child("finalizers")));
    errors
}

/// What no update changes about metadata (upstream: `ValidateObjectMetaUpdate`).
pub fn object_meta_update(new: &Object, old: &Object) -> FieldErrors {
    let field = FieldPath::new("metadata");
    let mut errors = FieldErrors::new();
    let value = |object: &Object, key: &str| object.metadata().and_then(|m| m.get(key)).cloned().unwrap_or_default();
    if old.deletion_timestamp().is_some() {
        let known = old.finalizers();
        let added: Vec<String> = new.finalizers().into_iter().filter(|f| !known.contains(f)).map(go_quote).collect();
        if !added.is_empty() {
            let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
            errors.forbidden(&field.child("finalizers"), format!("{why} []string{{{}}}", added.join(", ")));
        }
    }
    if new.generation() < old.generation() {
        errors.invalid(&field.child("generation"), new.generation(), "must not be decremented");
    }
    for key in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if value(new, key) != value(old, key) {
            errors.invalid(&field.child(key), value(new, key), "field is immutable");
        }
    }
    let metadata = new.metadata();
    errors.extend(labels(metadata.and_then(|m| m.get("labels")), &field.child("labels")));
    errors.extend(annotations(metadata.and_then(|m| m.get("annotations")), &field.child("annotations")));
    errors.extend(owner_references(new, &field.child("ownerReferences")));
    errors
}

fn owner_references(object: &Object, field: &FieldPath) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let owners = object.owner_references();
    let mut controller: Option<String> = None;
    for owner in &owners {
        if owner.api_version.rsplit('/').next().is_none_or(str::is_empty) {
            errors.invalid(&field.child("apiVersion"), owner.api_version.as_str(), "version must not be empty");
        }
        for (name, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                errors.invalid(&field.child(name), value.as_str(), "must not be empty");
            }
        }
        if owner.kind == "Event" && (owner.api_version == "v1" || owner.api_version.starts_with("events.k8s.io/")) {
            let group_version = if owner.api_version == "v1" { "/v1" } else { &owner.api_version };
            let why = format!("{group_version}, Kind=Event is disallowed from being an owner");
            errors.invalid_text(field, &go_text(owner), &why);
        }
        if owner.controller == Some(true) {
            let this = format!("{}/{}", owner.kind, owner.name);
            match &controller {
                None => controller = Some(this),
                Some(other) => errors.invalid_text(
                    field,
                    &go_text(&owners),
                    &format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {other} \
                         and {this}"
                    ),
                ),
            }
        }
    }
    errors
}

/// JSON with fields in the order of the type, as Go shows a struct in an error.
fn go_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn finalizers(object: &Object, field: &FieldPath) -> FieldErrors {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    let mut errors = FieldErrors::new();
    let finalizers = object.finalizers();
    for (index, name) in finalizers.iter().enumerate() {
        for wrong in is_qualified_name(name) {
            errors.invalid(&field.index(index), *name, wrong);
        }
        if !name.contains('/') && !STANDARD.contains(name) {
            errors.invalid(
                &field.index(index),
                *name,
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
    if finalizers.contains(&"orphan") && finalizers.contains(&"foregroundDeletion") {
        errors.invalid(
            field,
            finalizers.iter().map(|f| Value::from(*f)).collect::<Vec<_>>(),
            "finalizers orphan and foregroundDeletion cannot be both set",
        );
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> Vec<String>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(rule(text).is_empty(), "{text:?}: {:?}", rule(text));
        }
        for text in bad {
            assert!(!rule(text).is_empty(), "{text:?} was accepted");
        }
    }

    #[test]
    fn labels_and_subdomains() {
        check(is_dns1123_label, &["a", "a-b", "0"], &["", "-a", "a-", "A", "a.b", &"x".repeat(64)]);
        check(is_dns1123_subdomain, &["a", "a.b-c.d"], &["", ".a", "a..b", "a/b", "Ä"]);
        check(is_dns1035_label, &["a1"], &["1a", ""]);
    }

    #[test]
    fn qualified_names() {
        check(is_qualified_name, &["a", "a.b/c_D", "A"], &["", "/a", "a/", "a/b/c", "-x"]);
        check(is_label_value, &["", "a", "A_1"], &["-a", "a b"]);
        check(is_config_key, &["a.b", ".x"], &["", ".", "..", "..x", "a b"]);
    }

    #[test]
    fn prefixes_may_end_in_a_dash() {
        assert!(NameRule::Subdomain.check("a-", true).is_empty());
        assert!(!NameRule::Subdomain.check("a-", false).is_empty());
        assert!(!NameRule::Subdomain.check("Bad_", true).is_empty());
    }
}
