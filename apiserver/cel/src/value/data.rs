//! From JSON to values (upstream: `UnstructuredToVal`).

use std::collections::BTreeMap;
use std::sync::Arc;

use api_meta::{Value, parse_time};
use base64::Engine as _;
use jiff::tz::TimeZone;

use super::{Key, List, Map, ObjectPart, Order, Val, parse_timestamp};
use crate::error::Error;
use crate::escape::escape;
use crate::schema::{DeclType, Reading};
use crate::types::{ObjectType, Type};

impl Val {
    /// Data of which nothing is known.
    pub fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Self::Int(int),
                (None, Some(uint)) => Self::Uint(uint),
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::from(text.as_str()),
            Value::Array(items) => List::of(items.iter().map(Self::from_json).collect()),
            Value::Object(fields) => {
                Self::map(fields.iter().map(|(name, value)| (name.as_str().into(), Self::from_json(value))))
            }
        }
    }

    /// Data with a declared type. What does not fit becomes an error for whoever looks at it.
    pub fn from_data(value: &Value, type_: &DeclType) -> Self {
        if value.is_null() {
            return match type_.nullable {
                true => Self::Null,
                false => invalid("invalid data, got null for schema with nullable=false"),
            };
        }
        match &type_.reading {
            Reading::IntOrString => match value {
                Value::String(text) => Self::from(text.as_str()),
                Value::Number(number) if number.is_i64() => Self::from_json(value),
                _ => invalid("invalid data, expected XIntOrString value to be either a string or integer"),
            },
            Reading::Quantity if value.is_number() => Self::from(value.to_string()),
            _ => typed(value, type_),
        }
    }
}

fn invalid(text: impl Into<Arc<str>>) -> Val {
    Val::Invalid(Error::new(text))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn typed(value: &Value, type_: &DeclType) -> Val {
    let misfit = |wanted: &str| invalid(format!("invalid data, expected {wanted}, got {}", go_type(value)));
    match (&type_.type_, value) {
        (Type::Object(object), Value::Object(fields)) => self::object(fields, object),
        (Type::Map(..), Value::Object(fields)) => {
            let Some(values) = &type_.elements else { return Val::from_json(value) };
            Val::map(fields.iter().map(|(name, value)| (name.as_str().into(), Val::from_data(value, values))))
        }
        (Type::List(_), Value::Array(items)) => list(items, type_),
        (Type::Object(_) | Type::Map(..), _) => {
            invalid("invalid data, expected a map for the provided schema with type=object")
        }
        (Type::List(_), _) => invalid("invalid data, expected an array for the provided schema with type=array"),
        (Type::String | Type::Bytes | Type::Duration | Type::Timestamp, Value::String(text)) => self::text(text, type_),
        (Type::String | Type::Bytes | Type::Duration | Type::Timestamp, _) => misfit("string"),
        (Type::Double, Value::Number(number)) => Val::Double(number.as_f64().unwrap_or(f64::NAN)),
        (Type::Double, _) => misfit("float"),
        (Type::Int, Value::Number(number)) => match number.as_i64().or_else(|| whole(number.as_f64()?)) {
            Some(int) => Val::Int(int),
            None => misfit("int"),
        },
        (Type::Int, _) => misfit("int"),
        (Type::Bool, Value::Bool(b)) => Val::Bool(*b),
        (Type::Bool, _) => misfit("bool"),
        _ => Val::from_json(value),
    }
}

/// `1.0` is stored as it was written, but means the whole number.
fn whole(d: f64) -> Option<i64> {
    super::equality::exact_int(d)
}

fn object(fields: &api_meta::Map<String, Value>, type_: &ObjectType) -> Val {
    let mut entries = BTreeMap::new();
    let mut hidden = BTreeMap::new();
    for (name, value) in fields {
        match escape(name).and_then(|escaped| type_.fields.get(&escaped)) {
            // A null field is as good as an absent one.
            Some(_) if value.is_null() => {}
            Some(field) => {
                entries.insert(Key::String(name.as_str().into()), Val::from_data(value, field));
            }
            None => {
                hidden.insert(name.clone(), Val::from_json(value));
            }
        }
    }
    let object = ObjectPart { hidden, size: fields.len() };
    Val::Map(Map { entries: Arc::new(entries), object: Some(Arc::new(object)) })
}

fn list(items: &[Value], type_: &DeclType) -> Val {
    let Some(item_type) = &type_.elements else {
        return invalid("invalid array type, expected Items with a non-empty Schema");
    };
    let order = match &type_.reading {
        Reading::Set => Order::Set,
        Reading::MapList(keys) => Order::Keys(Arc::clone(keys)),
        _ => Order::Given,
    };
    let items = items.iter().map(|item| Val::from_data(item, item_type)).collect();
    Val::List(List { items: Arc::new(items), order })
}

/// A time in one of the other forms that the format `date-time` has.
fn other_form(text: &str) -> Option<jiff::civil::DateTime> {
    parse_time(text).map(|time| time.to_zoned(TimeZone::UTC).datetime())
}

fn text(text: &str, type_: &DeclType) -> Val {
    match (&type_.type_, &type_.reading) {
        (Type::Duration, _) => match super::parse_duration(text) {
            Some(nanos) => Val::Duration(nanos),
            None => invalid(format!("Invalid duration {text}: time: invalid duration {text:?}")),
        },
        (Type::Timestamp, Reading::Date) => match parse_timestamp(&format!("{text}T00:00:00Z")) {
            Some(time) if text.len() == 10 => Val::Timestamp(time),
            _ => invalid(format!("Invalid date formatted string {text}: cannot parse {text:?} as a date")),
        },
        (Type::Timestamp, _) => match parse_timestamp(text).or_else(|| other_form(text)) {
            Some(time) => Val::Timestamp(time),
            None => invalid(format!("Invalid date-time formatted string {text}: cannot parse {text:?} as a time")),
        },
        (Type::Bytes, _) => match base64::engine::general_purpose::STANDARD.decode(text) {
            Ok(bytes) => Val::Bytes(bytes.into()),
            Err(error) => invalid(format!("Invalid byte formatted string {text}: {error}")),
        },
        _ => Val::from(text),
    }
}
