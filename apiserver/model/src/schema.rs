//! The shape of a kind: what decoding, patches, server-side apply and OpenAPI need to know of each field.
//!
//! One model serves built-in kinds (made from `k8s-openapi`'s schemas and a
//! table of the facts those lack) and custom resources (made from a CRD's
//! structural schema).
//!
//! A schema is a tree that shares equal branches. The one recursive type,
//! `JSONSchemaProps`, is cut off as "anything" below its first level.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_meta::Value;

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
    /// Keys that `$retainKeys` does not name are dropped.
    pub retain_keys: bool,
    pub merge_key: Option<String>,
}

/// One value's shape. Fields that do not apply to its type stay empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    pub type_: Type,
    /// OpenAPI's `format`: `int32`, `int64`, `date-time`, `byte`, ...
    pub format: Option<String>,
    /// Go's name of the type, where an error text needs it (`ObjectMeta`, `PodSpec`).
    pub type_name: Option<String>,
    pub description: Option<String>,
    pub properties: BTreeMap<String, Arc<Schema>>,
    /// The shape of a map's values; with `properties` empty the object is a map.
    pub additional_properties: Option<Arc<Schema>>,
    pub items: Option<Arc<Schema>>,
    pub required: Vec<String>,
    pub nullable: bool,
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
}
