//! The shape of a kind: what decoding, patches, server-side apply and OpenAPI need to know of each field.
//!
//! One model serves built-in kinds (made from `k8s-openapi`'s schemas and a
//! table of the facts those lack) and custom resources (made from a CRD's
//! structural schema).
//!
//! A schema is a tree that shares equal branches. The one recursive type,
//! `JSONSchemaProps`, is cut off as "anything" below [`builtin::MAX_RECURSION`] levels.

pub mod builtin;
pub mod decode;
mod facts;
mod prune;

use std::collections::BTreeMap;
use std::sync::Arc;

use api_meta::{Map, Value};

pub use builtin::builtin;
pub use decode::{DecodeError, Decoded, FieldValidation, Format, decode, decode_value};
pub use prune::prune;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Type {
    /// Any JSON value.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// A Kubernetes `IntOrString`.
    IntOrString,
    /// A `resource.Quantity`: a string, or a number that means the same.
    Quantity,
}

/// Who owns what in a list (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// Replaced as a whole.
    #[default]
    Atomic,
    /// Scalars, each owned on its own.
    Set,
    /// Objects told apart by these fields.
    Map(Vec<String>),
}

/// What a strategic merge patch does with a list or an object (`x-kubernetes-patch-strategy`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Merge the list by `merge_key` (or, for scalars, as a set) instead of replacing it.
    pub merge: bool,
    /// Replace the object instead of merging it.
    pub replace: bool,
    /// Keys that `$retainKeys` does not name are dropped.
    pub retain_keys: bool,
    pub merge_key: Option<String>,
}

/// What Go's encoder does with the fields of a struct.
///
/// Upstream decodes into structs and encodes those again, so an absent
/// `status` comes back as `{}` and an empty list not at all. [`Schema::tidy`]
/// does the same to untyped JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GoStruct {
    /// `PodSpec`
    pub name: String,
    /// Fields that are written even when empty, with their empty value.
    pub always: Vec<(String, Value)>,
    /// Pointers (sorted): left out when absent, written when set, even to an empty value. All other fields are left out
    /// when they hold their type's zero value.
    pub pointers: Vec<String>,
}

/// One value's shape. Fields that do not apply to its type stay empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    pub type_: Type,
    /// OpenAPI's `format`: `int32`, `int64`, `date-time`, `byte`, ...
    pub format: Option<String>,
    /// Go's name of the type, where an error text needs it (`v1.PodSpec`, `v1.PullPolicy`).
    pub type_name: Option<String>,
    /// For an object that is a struct in Go: how its fields are written.
    pub go: Option<Arc<GoStruct>>,
    pub description: Option<String>,
    pub properties: BTreeMap<String, Arc<Schema>>,
    /// The shape of a map's values; with `properties` empty the object is a map.
    pub additional_properties: Option<Arc<Schema>>,
    pub items: Option<Arc<Schema>>,
    pub required: Vec<String>,
    pub nullable: bool,
    /// For custom resources filled in by defaulting; for built-in kinds only documentation and the default of list keys.
    pub default: Option<Value>,
    /// `x-kubernetes-preserve-unknown-fields`
    pub preserve_unknown_fields: bool,
    /// `x-kubernetes-embedded-resource`
    pub embedded_resource: bool,
    pub list_type: ListType,
    /// `x-kubernetes-map-type: atomic`
    pub atomic: bool,
    pub patch: PatchStrategy,
    /// Value rules of custom resources; built-in kinds validate in their strategy.
    pub rules: Option<Box<Rules>>,
}

/// JSON Schema's value validation and CEL rules, as a CRD states them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub title: Option<String>,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub multiple_of: Option<f64>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub pattern: Option<String>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub unique_items: bool,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
    pub enum_values: Vec<Value>,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
    /// `x-kubernetes-validations`, as written.
    pub cel: Vec<Value>,
}

impl Schema {
    /// Anything at all, kept as it is.
    pub fn any() -> Self {
        Self { preserve_unknown_fields: true, ..Self::default() }
    }

    pub fn of(type_: Type) -> Self {
        Self { type_, ..Self::default() }
    }

    /// The shape of a field of an object or of a value of a map.
    pub fn field(&self, name: &str) -> Option<&Arc<Schema>> {
        self.properties.get(name).or(self.additional_properties.as_ref())
    }

    pub fn is_map(&self) -> bool {
        self.properties.is_empty() && self.additional_properties.is_some()
    }

    /// Whether this describes a custom resource, whose values are checked by a
    /// structural schema after decoding, and not by decoding into Go's types.
    pub fn is_structural(&self) -> bool {
        self.go.is_none()
    }

    /// Writes the value as Go writes it: fields of structs that are always written are there, the others not
    /// when they are empty. Changes nothing outside of structs.
    pub fn tidy(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    if let Some(schema) = self.field(name) {
                        schema.tidy(value);
                    }
                }
                if let Some(go) = &self.go {
                    go.tidy(fields);
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.tidy(item));
                }
            }
            _ => {}
        }
    }

    /// Go's zero value, as JSON.
    pub fn zero(&self) -> Value {
        match self.type_ {
            Type::Object if self.go.is_some() => {
                let always = self.go.iter().flat_map(|go| go.always.iter().cloned());
                Value::Object(always.collect())
            }
            Type::Any | Type::Object | Type::Array => Value::Null,
            Type::String if self.format.is_some() => Value::Null,
            Type::String => Value::String(String::new()),
            Type::Integer | Type::Number | Type::IntOrString => 0.into(),
            Type::Boolean => Value::Bool(false),
            Type::Quantity => "0".into(),
        }
    }
}

impl GoStruct {
    fn tidy(&self, fields: &mut Map<String, Value>) {
        fields.retain(|name, value| !is_zero(value) || self.keeps(name));
        for (name, zero) in &self.always {
            if !fields.contains_key(name) {
                fields.insert(name.clone(), zero.clone());
            }
        }
    }

    fn keeps(&self, name: &str) -> bool {
        self.pointers.binary_search_by(|p| p.as_str().cmp(name)).is_ok() || self.always.iter().any(|(n, _)| n == name)
    }
}

/// What `omitempty` leaves out. A struct is never empty in Go, so `{}` counts only where it stands for an empty map;
/// optional structs are pointers, which are kept.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
