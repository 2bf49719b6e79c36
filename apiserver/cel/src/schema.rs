//! Types of data, from its schema (upstream: `k8s.io/apiserver/pkg/cel/common/schemas.go`).
//!
//! A declared type knows more than the type of an expression: how big its
//! values can get in a request, for the estimate of cost.

use std::collections::BTreeMap;
use std::sync::Arc;

use apiserver_model::schema::{ListType, Rules, Schema, Type as SchemaType};

use crate::escape::escape;
use crate::types::{ObjectType, Type};

/// The largest request there can be, in bytes.
pub const MAX_REQUEST_SIZE: u64 = 3 * 1024 * 1024;

const MIN_BOOL: u64 = 4;
const MIN_NUMBER: u64 = 1;
const MIN_STRING: u64 = 2;
const MIN_DURATION: u64 = 3;
const MIN_DATE_TIME: u64 = 21;
const DATE: u64 = 12;
const MAX_DATE_TIME: u64 = 32;
const MAX_DURATION: u64 = 32;

/// The type of data with a schema.
#[derive(Clone, Debug)]
pub struct DeclType {
    pub type_: Type,
    /// Of the items of a list or the values of a map.
    pub elements: Option<Arc<DeclType>>,
    /// The most characters, items or entries that a request can hold; zero for types without a size.
    pub max_elements: u64,
    /// In bytes of JSON.
    pub min_serialized_size: u64,
    /// How values are read, where the type does not say it all.
    pub(crate) reading: Reading,
    pub(crate) nullable: bool,
}

/// What reading of data depends on beside its type.
#[derive(Clone, Debug, Default)]
pub(crate) enum Reading {
    #[default]
    Plain,
    /// RFC 3339 without a time, where the type is a timestamp.
    Date,
    /// A string or a whole number.
    IntOrString,
    /// A `resource.Quantity` of a built-in kind: a string, however it was written.
    Quantity,
    /// A list whose order means nothing.
    Set,
    /// A list whose items are told apart by these fields.
    MapList(Arc<[String]>),
}

impl DeclType {
    pub fn simple(type_: Type, min_serialized_size: u64) -> Self {
        Self { type_, elements: None, max_elements: 0, min_serialized_size, reading: Reading::Plain, nullable: false }
    }

    /// An object with these fields, all of which may be absent.
    pub fn object<'n>(name: &str, fields: impl IntoIterator<Item = (&'n str, DeclType)>) -> Self {
        let fields = fields.into_iter().map(|(name, field)| (name.to_owned(), Arc::new(field))).collect();
        Self::simple(Type::Object(Arc::new(ObjectType { name: name.into(), fields })), 2)
    }

    pub fn list(items: DeclType, max_elements: u64) -> Self {
        Self { max_elements, elements: Some(Arc::new(items.clone())), ..Self::simple(Type::list(items.type_), 2) }
    }

    pub fn map(values: DeclType, max_elements: u64) -> Self {
        Self {
            max_elements,
            elements: Some(Arc::new(values.clone())),
            ..Self::simple(Type::map(Type::String, values.type_), 2)
        }
    }

    fn sized(type_: Type, min_serialized_size: u64, max_elements: u64) -> Self {
        Self { max_elements, ..Self::simple(type_, min_serialized_size) }
    }

    /// A string of any length.
    pub fn string() -> Self {
        Self::sized(Type::String, MIN_STRING, MAX_REQUEST_SIZE - 2)
    }

    pub fn bool() -> Self {
        Self::simple(Type::Bool, MIN_BOOL)
    }

    pub fn int() -> Self {
        Self::simple(Type::Int, MIN_NUMBER)
    }

    pub fn dynamic() -> Self {
        Self::simple(Type::Dyn, 1)
    }

    /// How often data of this type fits into a request, with a comma after each.
    pub fn max_cardinality(&self) -> u64 {
        MAX_REQUEST_SIZE / (self.min_serialized_size + 1)
    }

    /// The fields of an object.
    pub fn field(&self, name: &str) -> Option<&Arc<DeclType>> {
        match &self.type_ {
            Type::Object(object) => object.field(name),
            _ => None,
        }
    }

    /// The type of data with this schema; `None` for data that expressions cannot reach.
    ///
    /// `is_root` says that the data is a whole object, which always has a kind and a name; `name` becomes the name of
    /// the type.
    pub fn of_schema(schema: &Schema, is_root: bool, name: &str) -> Option<Self> {
        Some(Self { nullable: schema.nullable, ..Self::unnullable(schema, is_root, name)? })
    }

    fn unnullable(schema: &Schema, is_root: bool, name: &str) -> Option<Self> {
        let rules = schema.rules.as_deref();
        match schema.type_ {
            SchemaType::IntOrString => {
                let max = rules.and_then(|r| r.max_length).map_or(MAX_REQUEST_SIZE - 2, |max| max.saturating_mul(4));
                Some(Self { reading: Reading::IntOrString, ..Self::sized(Type::Dyn, 1, max) })
            }
            SchemaType::Quantity => Some(Self { reading: Reading::Quantity, ..Self::string() }),
            SchemaType::Array => Self::of_list(schema, rules, name),
            SchemaType::Object => Self::of_object(schema, rules, is_root, name),
            SchemaType::String => Some(Self::of_string(schema, rules)),
            SchemaType::Boolean => Some(Self::bool()),
            SchemaType::Number => Some(Self::simple(Type::Double, MIN_NUMBER)),
            SchemaType::Integer => Some(Self::int()),
            SchemaType::Any => None,
        }
    }

    fn of_list(schema: &Schema, rules: Option<&Rules>, name: &str) -> Option<Self> {
        let items_schema = schema.items.as_ref()?;
        let items = Self::of_schema(items_schema, items_schema.embedded_resource, &format!("{name}.@idx"))?;
        let fitting = (MAX_REQUEST_SIZE - 2) / (items.min_serialized_size + 1);
        let max = rules.and_then(|r| r.max_items).unwrap_or(fitting);
        let reading = match &schema.list_type {
            ListType::Atomic => Reading::Plain,
            ListType::Set => Reading::Set,
            ListType::Map(keys) => Reading::MapList(keys.as_slice().into()),
        };
        Some(Self { reading, ..Self::list(items, max) })
    }

    fn of_object(schema: &Schema, rules: Option<&Rules>, is_root: bool, name: &str) -> Option<Self> {
        // Structural schemas have either properties or additional ones, and a root always the former.
        if let Some(values) = schema.additional_properties.as_ref().filter(|_| schema.properties.is_empty() && !is_root)
        {
            let values = Self::of_schema(values, values.embedded_resource, &format!("{name}.@elem"))?;
            let fitting = (MAX_REQUEST_SIZE - 2) / (values.min_serialized_size + 6);
            return Some(Self::map(values, rules.and_then(|r| r.max_properties).unwrap_or(fitting)));
        }
        let mut fields = BTreeMap::new();
        for (field, schema) in &schema.properties {
            let field_name = escape(field);
            let type_name = format!("{name}.{}", field_name.as_deref().unwrap_or(field));
            let Some(type_) = Self::of_schema(schema, schema.embedded_resource, &type_name) else { continue };
            if let Some(field_name) = field_name {
                fields.insert(field_name, Arc::new(type_));
            }
        }
        let min_size = 2 + Self::required_size(schema, &fields);
        if is_root && !has_type_and_name(schema) {
            fields.insert("apiVersion".into(), Arc::new(Self::string()));
            fields.insert("kind".into(), Arc::new(Self::string()));
            let named = [("name", Self::string()), ("generateName", Self::string())];
            fields.insert("metadata".into(), Arc::new(Self::object(&format!("{name}.metadata"), named)));
        }
        let object = ObjectType { name: name.into(), fields };
        Some(Self::simple(Type::Object(Arc::new(object)), min_size))
    }

    fn required_size(schema: &Schema, fields: &BTreeMap<String, Arc<DeclType>>) -> u64 {
        let size = |name: &String| -> Option<u64> {
            let property = schema.properties.get(name).filter(|property| property.default.is_none())?;
            let known = escape(name).and_then(|name| fields.get(&name).cloned());
            let min = match known {
                Some(field) => field.min_serialized_size,
                None => Self::of_schema(property, property.embedded_resource, "")?.min_serialized_size,
            };
            Some(name.len() as u64 + min + 4)
        };
        let required: std::collections::BTreeSet<&String> = schema.required.iter().collect();
        required.into_iter().filter_map(size).sum()
    }

    fn of_string(schema: &Schema, rules: Option<&Rules>) -> Self {
        let max_length = rules.and_then(|r| r.max_length);
        match schema.format.as_deref() {
            Some("byte") => Self::sized(Type::Bytes, MIN_STRING, max_length.unwrap_or(MAX_REQUEST_SIZE - 2)),
            Some("duration") => Self::sized(Type::Duration, MIN_DURATION, MAX_DURATION),
            Some("date") => Self { reading: Reading::Date, ..Self::sized(Type::Timestamp, DATE, DATE) },
            Some("date-time") => Self::sized(Type::Timestamp, MIN_DATE_TIME, MAX_DATE_TIME),
            _ => {
                let choices = rules.map(|r| r.enum_values.as_slice()).unwrap_or_default();
                let longest = choices.iter().filter_map(|v| v.as_str()).map(|text| text.len() as u64).max();
                let max = match max_length {
                    // A character takes up to four bytes.
                    Some(max) => max.saturating_mul(4),
                    None if !choices.is_empty() => longest.unwrap_or(0),
                    None => MAX_REQUEST_SIZE - 2,
                };
                Self::sized(Type::String, MIN_STRING, max)
            }
        }
    }
}

/// Whether a root says itself what every root has.
fn has_type_and_name(schema: &Schema) -> bool {
    let is = |schema: &Schema, name: &str, type_| schema.properties.get(name).is_some_and(|s| s.type_ == type_);
    is(schema, "kind", SchemaType::String)
        && is(schema, "apiVersion", SchemaType::String)
        && schema.properties.get("metadata").is_some_and(|metadata| {
            metadata.type_ == SchemaType::Object
                && is(metadata, "name", SchemaType::String)
                && is(metadata, "generateName", SchemaType::String)
        })
}
