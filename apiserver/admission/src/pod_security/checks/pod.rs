//! A Pod as checks look at it, and the words in which they speak of its containers.

use api_meta::{Map, Value};

pub(super) struct Pod<'a> {
    pub(super) annotations: Option<&'a Map<String, Value>>,
    pub(super) spec: Option<&'a Map<String, Value>>,
}

/// The value at a path below another.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// A field that is a text, empty where it is not said.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn name(value: &Value) -> &str {
    text(value, "name")
}

/// A field of the security context of one container.
pub(super) fn security<'a>(container: &'a Value, path: &[&str]) -> Option<&'a Value> {
    at(container.get("securityContext")?, path)
}

impl<'a> Pod<'a> {
    pub(super) fn field(&self, path: &[&str]) -> Option<&'a Value> {
        let (first, rest) = path.split_first()?;
        at(self.spec?.get(*first)?, rest)
    }

    /// A field of the security context of the whole Pod.
    pub(super) fn security(&self, path: &[&str]) -> Option<&'a Value> {
        at(self.field(&["securityContext"])?, path)
    }

    pub(super) fn list(&self, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.field(&[field]).and_then(Value::as_array).into_iter().flatten()
    }

    pub(super) fn containers(&self) -> impl Iterator<Item = &'a Value> {
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| self.list(list))
    }

    /// The names of the containers that are so.
    pub(super) fn containers_that(&self, mut are: impl FnMut(&'a Value) -> bool) -> Vec<&'a str> {
        self.containers().filter(|container| are(container)).map(name).collect()
    }

    pub(super) fn is_windows(&self) -> bool {
        self.field(&["os", "name"]).and_then(Value::as_str) == Some("windows")
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&'a str> {
        self.annotations?.get(key)?.as_str()
    }
}

pub(super) fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect::<Vec<_>>().join(", ")
}

pub(super) fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

/// `container "a"`, `containers "a", "b"`.
pub(super) fn containers(names: &[&str]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

/// Who sets something: the Pod, containers, or both.
pub(super) fn setters(pod: bool, names: &[&str]) -> Option<String> {
    let who = [pod.then(|| "pod".to_owned()), (!names.is_empty()).then(|| containers(names))];
    let who: Vec<String> = who.into_iter().flatten().collect();
    (!who.is_empty()).then(|| who.join(" and "))
}
