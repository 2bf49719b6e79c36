//! What is wrong with which field, in upstream's words (`k8s.io/apimachinery/pkg/util/validation/field`).

use std::fmt;

use serde_json::Value;

use crate::Cause;

/// Where a field is: `spec.containers[0].name`, `metadata.labels[app]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(String);

impl FieldPath {
    pub fn new(root: &str) -> Self {
        Self(root.to_owned())
    }

    /// Before any field: the object itself.
    pub fn root() -> Self {
        Self::default()
    }

    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    pub fn children(&self, names: &[&str]) -> Self {
        names.iter().fold(self.clone(), |path, name| path.child(name))
    }

    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The root prints as upstream's nil path.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    InternalError,
    TypeInvalid,
}

impl FieldErrorKind {
    /// The machine-readable `reason` of a cause.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::InternalError => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::InternalError => "Internal error",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    pub kind: FieldErrorKind,
    pub field: FieldPath,
    /// Shown after the words where the kind shows one.
    pub value: Option<Value>,
    pub detail: String,
}

impl FieldError {
    /// The error without its field: the `message` of a cause.
    pub fn message(&self) -> String {
        let words = self.kind.words();
        let head = match &self.value {
            None => words.to_owned(),
            Some(value) => format!("{words}: {}", go_value(value)),
        };
        if self.detail.is_empty() { head } else { format!("{head}: {}", self.detail) }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message())
    }
}

/// A value as Go's error texts show it: strings quoted, the rest as JSON.
fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::String(s) => go_quote(s),
        other => other.to_string(),
    }
}

/// Go's `%q`. Differs from Rust's `{:?}` in how controls are written.
pub(crate) fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// All that is wrong with an object; empty when nothing is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    pub fn extend(&mut self, more: FieldErrors) {
        self.0.extend(more.0);
    }

    fn add(&mut self, kind: FieldErrorKind, field: &FieldPath, value: Option<Value>, detail: impl Into<String>) {
        self.0.push(FieldError { kind, field: field.clone(), value, detail: detail.into() });
    }

    pub fn required(&mut self, field: &FieldPath, detail: impl Into<String>) {
        self.add(FieldErrorKind::Required, field, None, detail);
    }

    pub fn invalid(&mut self, field: &FieldPath, value: impl Into<Value>, detail: impl Into<String>) {
        self.add(FieldErrorKind::Invalid, field, Some(value.into()), detail);
    }

    /// As [`Self::invalid`], for a value whose text in Go is not its JSON: fields in the order of their type, say.
    pub fn invalid_text(&mut self, field: &FieldPath, shown: &str, detail: &str) {
        self.add(FieldErrorKind::Invalid, field, None, format!("{shown}: {detail}"));
    }

    pub fn type_invalid(&mut self, field: &FieldPath, value: impl Into<Value>, detail: impl Into<String>) {
        self.add(FieldErrorKind::TypeInvalid, field, Some(value.into()), detail);
    }

    pub fn forbidden(&mut self, field: &FieldPath, detail: impl Into<String>) {
        self.add(FieldErrorKind::Forbidden, field, None, detail);
    }

    pub fn duplicate(&mut self, field: &FieldPath, value: impl Into<Value>) {
        self.add(FieldErrorKind::Duplicate, field, Some(value.into()), "");
    }

    pub fn not_found(&mut self, field: &FieldPath, value: impl Into<Value>) {
        self.add(FieldErrorKind::NotFound, field, Some(value.into()), "");
    }

    /// `supported` is sorted, as upstream sorts it.
    pub fn not_supported(&mut self, field: &FieldPath, value: impl Into<Value>, supported: &[&str]) {
        let mut sorted = supported.to_vec();
        sorted.sort_unstable();
        let quoted: Vec<_> = sorted.iter().map(|s| go_quote(s)).collect();
        self.add(
            FieldErrorKind::NotSupported,
            field,
            Some(value.into()),
            format!("supported values: {}", quoted.join(", ")),
        );
    }

    pub fn too_long(&mut self, field: &FieldPath, max: usize) {
        self.add(FieldErrorKind::TooLong, field, None, format!("may not be more than {max} bytes"));
    }

    pub fn too_many(&mut self, field: &FieldPath, actual: usize, max: usize) {
        self.add(FieldErrorKind::TooMany, field, Some(actual.into()), format!("must have at most {max} items"));
    }

    pub fn internal(&mut self, field: &FieldPath, detail: impl Into<String>) {
        self.add(FieldErrorKind::InternalError, field, None, detail);
    }

    pub fn causes(&self) -> Vec<Cause> {
        self.0
            .iter()
            .map(|e| Cause { reason: e.kind.reason().into(), message: e.message(), field: e.field.to_string() })
            .collect()
    }
}

impl IntoIterator for FieldErrors {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One error alone, several in brackets; the same error is said once (upstream: `ErrorList.ToAggregate`).
impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = Vec::with_capacity(self.0.len());
        for error in &self.0 {
            let text = error.to_string();
            if !said.contains(&text) {
                said.push(text);
            }
        }
        match &said[..] {
            [one] => f.write_str(one),
            many => write!(f, "[{}]", many.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_upstreams() {
        let spec = FieldPath::new("spec");
        let mut errors = FieldErrors::new();
        errors.invalid(&spec.child("replicas"), -1, "must be greater than or equal to 0");
        assert_eq!(errors.to_string(), "spec.replicas: Invalid value: -1: must be greater than or equal to 0");
        errors.required(&spec.child("ports").index(0).child("port"), "");
        errors.not_supported(&spec.child("type"), "Odd", &["NodePort", "ClusterIP"]);
        assert_eq!(
            errors.to_string(),
            "[spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.ports[0].port: Required value, \
             spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"NodePort\"]"
        );
    }

    #[test]
    fn quotes_like_go() {
        assert_eq!(go_quote("a\"b\u{1}é\n"), "\"a\\\"b\\x01é\\n\"");
    }
}
