//! One step from an object or a list into it, as a member of a set of fields.

use std::cmp::Ordering;
use std::fmt;

use api_meta::Value;

use crate::go;

/// Fields sort before keys, keys before values, values before indices: upstream's order, in which conflicts are told.
#[derive(Clone, Debug)]
pub enum PathElement {
    /// A field of an object or the key of a map: `f:spec`.
    Field(String),
    /// The element of a list that has these fields, sorted by name: `k:{"name":"a"}`.
    Key(Vec<(String, Value)>),
    /// The element of a set: `v:"a"`.
    Value(Value),
    /// The element at a place: `i:0`.
    Index(i64),
}

/// What is wrong with a serialized path element.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPathElement {
    #[error("key must be 2 characters long: {0}")]
    TooShort(String),
    #[error("missing colon: {0}")]
    MissingColon(String),
    #[error("{0} does not end in a JSON value")]
    BadValue(String),
    #[error("{0} does not end in a number")]
    BadIndex(String),
}

impl PathElement {
    pub fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// `None` for a kind of element that a later version may know: it is skipped.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidPathElement> {
        let (kind, rest) = match text.as_bytes() {
            [kind, b':', ..] => (*kind, &text[2..]),
            [] | [_] => return Err(InvalidPathElement::TooShort(text.to_owned())),
            _ => return Err(InvalidPathElement::MissingColon(text.to_owned())),
        };
        let bad_value = || InvalidPathElement::BadValue(text.to_owned());
        Ok(Some(match kind {
            b'f' => Self::Field(rest.to_owned()),
            b'v' => Self::Value(serde_json::from_str(rest).map_err(|_| bad_value())?),
            b'k' => match serde_json::from_str(rest) {
                // A JSON object's keys come sorted.
                Ok(Value::Object(fields)) => Self::Key(fields.into_iter().collect()),
                _ => return Err(bad_value()),
            },
            b'i' => Self::Index(rest.parse().map_err(|_| InvalidPathElement::BadIndex(text.to_owned()))?),
            _ => return Ok(None),
        }))
    }

    /// The form that is a key in `fieldsV1`.
    pub fn serialize(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let fields: api_meta::Map<_, _> = fields.iter().cloned().collect();
                format!("k:{}", go::json(&Value::Object(fields)))
            }
            Self::Value(value) => format!("v:{}", go::json(value)),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

/// `.spec`, `[name="a"]`, `[="a"]`, `[0]`.
impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", human(value))).collect();
                write!(f, "[{}]", fields.join(","))
            }
            Self::Value(value) => write!(f, "[={}]", human(value)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

fn human(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::String(text) => go::quote(text),
        Value::Array(items) => format!("[{}]", items.iter().map(human).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => fields.iter().map(|(k, v)| format!("{k}={}", human(v))).collect(),
        scalar => go::format(scalar),
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => compare_fields(a.iter(), b.iter()),
            (Self::Value(a), Self::Value(b)) => compare(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PathElement {}

fn compare_fields<'a>(
    mut a: impl Iterator<Item = &'a (String, Value)>,
    mut b: impl Iterator<Item = &'a (String, Value)>,
) -> Ordering {
    loop {
        return match (a.next(), b.next()) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some((name_a, a)), Some((name_b, b))) => match name_a.cmp(name_b).then_with(|| compare(a, b)) {
                Ordering::Equal => continue,
                other => other,
            },
        };
    }
}

/// A total order of JSON values: numbers (by value, whatever their type), strings, booleans, lists, objects, null.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)),
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let first = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|o| o.is_ne());
            first.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let pairs = a.iter().zip(b).map(|((ka, a), (kb, b))| ka.cmp(kb).then_with(|| compare(a, b)));
            pairs.into_iter().find(|o| o.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

/// Equality by value: an integer equals the float of the same value.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => compare(a, b).is_eq(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => equal_fields(a, b),
        _ => a == b,
    }
}

pub(super) fn equal_fields(a: &api_meta::Map<String, Value>, b: &api_meta::Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(k, a)| b.get(k).is_some_and(|b| equal(a, b)))
}
