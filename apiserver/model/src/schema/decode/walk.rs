//! Reads JSON by a schema in one pass, with the errors that Go's decoder would give.

use std::fmt;

use api_meta::quantity::InvalidQuantity;
use api_meta::{Map, Quantity, Value};
use serde::Deserializer;
use serde::de::{Deserialize, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::scalar;
use crate::schema::{Schema, Type};

/// More problems than this are not told; a body can hold very many.
const MAX_STRICT_ERRORS: usize = 100;

/// How Go prints the type that it reads `apiVersion` and `kind` into first.
const TYPE_META: &str =
    "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";

/// Where we are and what was wrong so far.
pub(super) struct Walk<'s> {
    strict: bool,
    /// Whether doubled fields count where anything is allowed.
    free_duplicates: bool,
    pub(super) path: String,
    struct_name: &'s str,
    struct_fields: Vec<&'s str>,
    pub(super) strict_errors: Vec<String>,
    /// The first value of a wrong type.
    pub(super) error: Option<String>,
    /// The same for what says which kind this is; it comes before all others.
    pub(super) type_meta_error: Option<String>,
}

impl<'s> Walk<'s> {
    pub(super) fn new(strict: bool, structural: bool) -> Self {
        Self {
            strict,
            free_duplicates: structural && strict,
            path: String::new(),
            struct_name: "",
            struct_fields: Vec::new(),
            strict_errors: Vec::new(),
            error: None,
            type_meta_error: None,
        }
    }

    pub(super) fn strict_error(&mut self, text: String) {
        if self.strict && self.strict_errors.len() < MAX_STRICT_ERRORS && !self.strict_errors.contains(&text) {
            self.strict_errors.push(text);
        }
    }

    fn unknown_field(&mut self, name: &str) {
        if self.strict {
            let text = format!("unknown field \"{}\"", self.join(name));
            self.strict_error(text);
        }
    }

    fn duplicate_field(&mut self, name: &str) {
        if self.strict {
            let text = format!("duplicate field \"{}\"", self.join(name));
            self.strict_error(text);
        }
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn fail(&mut self, text: impl Into<String>) -> Value {
        self.error.get_or_insert_with(|| text.into());
        Value::Null
    }

    fn mismatch(&mut self, found: &str, schema: &Schema) -> Value {
        self.wrong_type(found, &go_type(schema))
    }

    fn wrong_type(&mut self, found: &str, wanted: &str) -> Value {
        if let [field @ ("apiVersion" | "kind")] = &self.struct_fields[..]
            && self.path == *field
        {
            let text = format!("json: cannot unmarshal {found} into Go struct field .{field} of type {wanted}");
            self.type_meta_error.get_or_insert(text);
            return Value::Null;
        }
        let place = if self.struct_fields.is_empty() {
            "value".to_owned()
        } else {
            format!("struct field {}.{}", self.struct_name, self.struct_fields.join("."))
        };
        self.fail(format!("json: cannot unmarshal {found} into Go {place} of type {wanted}"))
    }

    /// Runs with one more step in the path.
    fn under<T>(&mut self, step: Step<'s, '_>, read: impl FnOnce(&mut Self) -> T) -> T {
        use std::fmt::Write;
        let length = self.path.len();
        let dot = if length == 0 { "" } else { "." };
        // Writing to a string does not fail.
        let _ = match step {
            Step::Field(name) => write!(self.path, "{dot}{name}"),
            Step::Key(name) => write!(self.path, "{dot}{name}"),
            Step::Index(index) => write!(self.path, "[{index}]"),
        };
        if let Step::Field(name) = step {
            self.struct_fields.push(name);
        }
        let result = read(self);
        if let Step::Field(_) = step {
            self.struct_fields.pop();
        }
        self.path.truncate(length);
        result
    }
}

enum Step<'s, 'k> {
    Field(&'s str),
    Key(&'k str),
    Index(usize),
}

/// The Go type that a schema was made from, as `reflect` prints it.
fn go_type(schema: &Schema) -> String {
    if let Some(name) = &schema.type_name {
        // Times are read into a string first.
        return if schema.format.as_deref() == Some("date-time") { "string".into() } else { name.clone() };
    }
    let of = |inner: &Option<std::sync::Arc<Schema>>| inner.as_deref().map_or("interface {}".into(), go_type);
    match schema.type_ {
        Type::Any => "interface {}".into(),
        Type::Object => format!("map[string]{}", of(&schema.additional_properties)),
        Type::Array => format!("[]{}", of(&schema.items)),
        Type::String if schema.format.as_deref() == Some("byte") => "[]uint8".into(),
        Type::String => "string".into(),
        Type::Integer => schema.format.clone().unwrap_or_else(|| "int64".into()),
        Type::Number => "float64".into(),
        Type::Boolean => "bool".into(),
        Type::IntOrString => "int32".into(),
        Type::Quantity => "resource.Quantity".into(),
    }
}

/// One value to read.
pub(super) struct Node<'w, 's> {
    walk: &'w mut Walk<'s>,
    schema: &'s Schema,
    root: bool,
}

impl<'w, 's> Node<'w, 's> {
    /// The whole object. A structural root is read as it is.
    pub(super) fn root(walk: &'w mut Walk<'s>, schema: &'s Schema) -> Self {
        Self { walk, schema, root: true }
    }

    pub(super) fn new(walk: &'w mut Walk<'s>, schema: &'s Schema) -> Self {
        Self { walk, schema, root: false }
    }

    /// Not an object at all: then even kind and version could not be read.
    fn not_an_object(&mut self, found: &str) -> bool {
        if self.root {
            let text = format!("json: cannot unmarshal {found} into Go value of type {TYPE_META}");
            self.walk.type_meta_error.get_or_insert(text);
        }
        self.root
    }

    fn number(mut self, number: Number) -> Value {
        if self.not_an_object("number") {
            return Value::Null;
        }
        let range = |bits: i64| number.as_i64().filter(|n| bits == 64 || i32::try_from(*n).is_ok());
        match self.schema.type_ {
            Type::Any => Value::Number(plain_number(number)),
            Type::Number => Value::Number(number),
            Type::Integer | Type::IntOrString => {
                let bits = if self.schema.format.as_deref() == Some("int64") { 64 } else { 32 };
                match range(bits) {
                    Some(n) => n.into(),
                    None => self.walk.mismatch(&format!("number {number}"), self.schema),
                }
            }
            Type::Quantity => self.quantity(&number.to_string()),
            _ => self.walk.mismatch("number", self.schema),
        }
    }

    fn string(mut self, text: String) -> Value {
        if self.not_an_object("string") {
            return Value::Null;
        }
        match self.schema.type_ {
            Type::Any | Type::IntOrString => Value::String(text),
            Type::String => match self.schema.format.as_deref() {
                Some("byte") => scalar::base64(text).map_or_else(|e| self.walk.fail(e), Value::String),
                Some("date-time") => {
                    let micro = self.schema.type_name.as_deref() == Some("v1.MicroTime");
                    scalar::time(&text, micro).map_or_else(|e| self.walk.fail(e), Value::String)
                }
                _ => Value::String(text),
            },
            Type::Quantity => self.quantity(text.trim()),
            _ => self.walk.mismatch("string", self.schema),
        }
    }

    fn quantity(self, text: &str) -> Value {
        match text.parse::<Quantity>() {
            Ok(quantity) => quantity.to_string().into(),
            Err(error) => self.walk.fail(error.to_string()),
        }
    }

    fn structure<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Self { walk, schema, .. } = self;
        let outer = schema.go.as_ref().map(|go| std::mem::replace(&mut walk.struct_name, &go.name));
        let mut fields = Map::new();
        let mut seen: Vec<&str> = Vec::new();
        while let Some(key) = map.next_key_seed(FieldName(schema))? {
            match key {
                Ok((name, schema)) => {
                    if seen.contains(&name) {
                        walk.duplicate_field(name);
                    }
                    seen.push(name);
                    let value = walk.under(Step::Field(name), |walk| map.next_value_seed(Node::new(walk, schema)))?;
                    // `null` leaves a field of a struct as it is.
                    if !value.is_null() {
                        fields.insert(name.to_owned(), value);
                    }
                }
                Err(name) => {
                    walk.unknown_field(&name);
                    map.next_value::<Skipped>()?;
                }
            }
        }
        if let Some(outer) = outer {
            walk.struct_name = outer;
        }
        if let Some(go) = &schema.go {
            go.tidy(&mut fields);
        }
        Ok(Value::Object(fields))
    }

    fn map<'de, A: MapAccess<'de>>(self, mut map: A, values: &'s Schema) -> Result<Value, A::Error> {
        let walk = self.walk;
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if fields.contains_key(&name) {
                walk.duplicate_field(&name);
            }
            let value = walk.under(Step::Key(&name), |walk| map.next_value_seed(Node::new(walk, values)))?;
            fields.insert(name, or_zero(value, values));
        }
        Ok(Value::Object(fields))
    }
}

/// `null` as an element is the element type's zero value.
fn or_zero(value: Value, schema: &Schema) -> Value {
    if value.is_null() { schema.zero() } else { value }
}

/// As Go reads a number without a type: an int64, or else a float64, which is written without a fraction when it has none.
fn plain_number(number: Number) -> Number {
    if number.is_i64() {
        return number;
    }
    match number.as_f64() {
        Some(float) if float.fract() == 0.0 && float.abs() < 9e18 => Number::from(float as i64),
        Some(float) => Number::from_f64(float).unwrap_or(number),
        None => number,
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(mut self, value: bool) -> Result<Value, E> {
        if self.not_an_object("bool") {
            return Ok(Value::Null);
        }
        Ok(match self.schema.type_ {
            Type::Any | Type::Boolean => Value::Bool(value),
            Type::Quantity => self.quantity(if value { "true" } else { "false" }),
            _ => self.walk.mismatch("bool", self.schema),
        })
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(self.number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(self.number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(match Number::from_f64(value) {
            Some(number) => self.number(number),
            None => self.walk.mismatch("number", self.schema),
        })
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(self.string(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(self.string(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let is_root = self.not_an_object("array");
        let items = match self.schema.type_ {
            _ if is_root => None,
            Type::Any if self.schema.items.is_none() => return free_seq(self.walk, seq),
            Type::Any | Type::Array => self.schema.items.as_deref(),
            Type::Quantity => {
                self.walk.fail(InvalidQuantity::Form.to_string());
                None
            }
            _ => {
                self.walk.mismatch("array", self.schema);
                None
            }
        };
        let Some(items) = items else {
            while seq.next_element::<Skipped>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut list = Vec::new();
        loop {
            let step = Step::Index(list.len());
            match self.walk.under(step, |walk| seq.next_element_seed(Node::new(walk, items)))? {
                Some(value) => list.push(or_zero(value, items)),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let schema = self.schema;
        match schema.type_ {
            Type::Any | Type::Object if self.root && schema.is_structural() => free_map(self.walk, map),
            Type::Any | Type::Object if schema.go.is_some() => self.structure(map),
            Type::Object => match &schema.additional_properties {
                Some(values) => self.map(map, values),
                None => free_map(self.walk, map),
            },
            Type::Any => free_map(self.walk, map),
            Type::Quantity => {
                while map.next_entry::<Skipped, Skipped>()?.is_some() {}
                Ok(self.walk.fail(InvalidQuantity::Form.to_string()))
            }
            _ => {
                while map.next_entry::<Skipped, Skipped>()?.is_some() {}
                Ok(self.walk.mismatch("object", schema))
            }
        }
    }
}

/// A key of a struct: the field it names, or else its text.
struct FieldName<'s>(&'s Schema);

type Field<'s> = Result<(&'s str, &'s Schema), String>;

impl<'de, 's> DeserializeSeed<'de> for FieldName<'s> {
    type Value = Field<'s>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<'s>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'s> Visitor<'_> for FieldName<'s> {
    type Value = Field<'s>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Field<'s>, E> {
        Ok(match self.0.properties.get_key_value(name) {
            Some((name, schema)) => Ok((name, schema)),
            None => Err(name.to_owned()),
        })
    }
}

/// A value where anything is allowed.
struct Free<'w, 's>(&'w mut Walk<'s>);

fn free_seq<'de, A: SeqAccess<'de>>(walk: &mut Walk<'_>, mut seq: A) -> Result<Value, A::Error> {
    let mut list = Vec::new();
    loop {
        match walk.under(Step::Index(list.len()), |walk| seq.next_element_seed(Free(walk)))? {
            Some(value) => list.push(value),
            None => return Ok(Value::Array(list)),
        }
    }
}

fn free_map<'de, A: MapAccess<'de>>(walk: &mut Walk<'_>, mut map: A) -> Result<Value, A::Error> {
    let mut fields = Map::new();
    while let Some(name) = map.next_key::<String>()? {
        if walk.free_duplicates && fields.contains_key(&name) {
            walk.duplicate_field(&name);
        }
        let value = walk.under(Step::Key(&name), |walk| map.next_value_seed(Free(walk)))?;
        fields.insert(name, value);
    }
    Ok(Value::Object(fields))
}

impl<'de> DeserializeSeed<'de> for Free<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Free<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(plain_number(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, |n| Value::Number(plain_number(n))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
        free_seq(self.0, seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        free_map(self.0, map)
    }
}

/// A value that nobody wants. Unlike serde's `IgnoredAny` it counts nesting, so that no part of a body escapes the limit.
struct Skipped;

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Skipped {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}
