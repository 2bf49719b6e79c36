//! A `CustomResourceDefinition`, read without copying it.

pub(crate) mod validate;

mod openapi;
mod rules;
mod structural;

use api_meta::{Object, Value};

/// The object and its parts by name.
#[derive(Clone, Copy)]
pub(crate) struct Definition<'a>(pub(crate) &'a Object);

/// One of `spec.versions`.
#[derive(Clone, Copy)]
pub(crate) struct Version<'a>(pub(crate) &'a Value);

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(crate) fn strings(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

impl<'a> Definition<'a> {
    pub(crate) fn spec(self) -> &'a Value {
        self.0.get("spec").unwrap_or(&Value::Null)
    }

    pub(crate) fn status(self) -> &'a Value {
        self.0.get("status").unwrap_or(&Value::Null)
    }

    pub(crate) fn group(self) -> &'a str {
        text(self.spec(), "group")
    }

    pub(crate) fn names(self) -> &'a Value {
        self.spec().get("names").unwrap_or(&Value::Null)
    }

    pub(crate) fn versions(self) -> impl Iterator<Item = Version<'a>> {
        list(self.spec(), "versions").iter().map(Version)
    }

    pub(crate) fn condition(self, type_: &str) -> Option<&'a Value> {
        list(self.status(), "conditions").iter().find(|c| text(c, "type") == type_)
    }

    pub(crate) fn has_condition(self, type_: &str) -> bool {
        self.condition(type_).is_some_and(|c| text(c, "status") == "True")
    }
}

impl<'a> Version<'a> {
    pub(crate) fn name(self) -> &'a str {
        text(self.0, "name")
    }

    pub(crate) fn is(self, flag: &str) -> bool {
        self.0.get(flag) == Some(&Value::Bool(true))
    }

    pub(crate) fn schema(self) -> Option<&'a Value> {
        self.0.get("schema")?.get("openAPIV3Schema").filter(|s| s.is_object())
    }

    pub(crate) fn subresource(self, name: &str) -> Option<&'a Value> {
        self.0.get("subresources")?.get(name).filter(|s| s.is_object())
    }
}
