//! Values during evaluation.
//!
//! Cheap to clone: whatever can be large is shared.

mod arithmetic;
mod convert;
mod data;
mod equality;
mod temporal;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::civil::DateTime;

use crate::error::Error;
use crate::library::opaque::Opaque;
use crate::types::Type;

pub(crate) use arithmetic::{add, divide, modulo, multiply, negate, subtract};
pub(crate) use convert::{convert, duration_text, float_text, parse_duration, parse_timestamp, timestamp_text};
pub(crate) use equality::{compare, equal};
pub(crate) use temporal::part;

/// The result of whatever can fail during evaluation.
pub type Outcome = Result<Val, Error>;

/// A value.
#[derive(Clone, Debug)]
pub enum Val {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    /// Nanoseconds.
    Duration(i64),
    /// In UTC. jiff's own timestamps end a day before the year 9999 does, which is a common way to say "never".
    Timestamp(DateTime),
    List(List),
    Map(Map),
    Type(Type),
    Optional(Option<Arc<Val>>),
    /// A value of one of the Kubernetes libraries.
    Opaque(Opaque),
    /// Data that does not fit its schema; whoever looks at it gets the error.
    Invalid(Error),
}

#[derive(Clone, Debug, Default)]
pub struct List {
    pub(crate) items: Arc<Vec<Val>>,
    pub(crate) order: Order,
}

/// What the order of a list means, as its schema says.
#[derive(Clone, Debug, Default)]
pub(crate) enum Order {
    #[default]
    Given,
    /// Nothing: equal lists have the same items.
    Set,
    /// Nothing: items belong together that agree in these fields.
    Keys(Arc<[String]>),
}

#[derive(Clone, Debug, Default)]
pub struct Map {
    pub(crate) entries: Arc<BTreeMap<Key, Val>>,
    /// For an object with declared fields, what differs from a map.
    pub(crate) object: Option<Arc<ObjectPart>>,
}

/// What an object has beside the fields that expressions can reach.
#[derive(Debug, Default)]
pub(crate) struct ObjectPart {
    /// Fields that its schema does not know or does not describe; they count when objects are compared.
    pub(crate) hidden: BTreeMap<String, Val>,
    /// How many fields it has in all, null ones included.
    pub(crate) size: usize,
}

/// A key of a map. Numbers are one family: `1`, `1u` and `1.0` are the same key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    String(Arc<str>),
}

impl Key {
    pub(crate) fn of(value: &Val) -> Option<Self> {
        Some(match value {
            Val::Bool(b) => Self::Bool(*b),
            Val::Int(i) => Self::Int(*i),
            Val::Uint(u) => Self::Uint(*u),
            Val::String(text) => Self::String(Arc::clone(text)),
            _ => return None,
        })
    }

    pub(crate) fn to_val(&self) -> Val {
        match self {
            Self::Bool(b) => Val::Bool(*b),
            Self::Int(i) => Val::Int(*i),
            Self::Uint(u) => Val::Uint(*u),
            Self::String(text) => Val::String(Arc::clone(text)),
        }
    }
}

impl Map {
    /// A value by its key, under any of the types that a number's key may have.
    pub(crate) fn get(&self, key: &Val) -> Option<&Val> {
        if self.object.is_some()
            && let Val::String(name) = key
        {
            let name = crate::escape::unescape(name)?;
            return self.entries.get(&Key::String(name.as_ref().into()));
        }
        if let Some(found) = Key::of(key).and_then(|key| self.entries.get(&key)) {
            return Some(found);
        }
        let as_int = match key {
            Val::Uint(u) => i64::try_from(*u).ok(),
            Val::Double(d) => equality::exact_int(*d),
            _ => None,
        };
        let as_uint = match key {
            Val::Int(i) => u64::try_from(*i).ok(),
            Val::Double(d) => equality::exact_uint(*d),
            _ => None,
        };
        let find = |key: Option<Key>| key.and_then(|key| self.entries.get(&key));
        find(as_int.map(Key::Int)).or_else(|| find(as_uint.map(Key::Uint)))
    }

    pub(crate) fn len(&self) -> usize {
        self.object.as_ref().map_or(self.entries.len(), |object| object.size)
    }

    /// Keys as expressions see them.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Val> + '_ {
        self.entries.keys().map(move |key| match key {
            Key::String(name) if self.object.is_some() => {
                Val::from(crate::escape::escape(name).as_deref().unwrap_or(name))
            }
            key => key.to_val(),
        })
    }
}

impl List {
    pub(crate) fn of(items: Vec<Val>) -> Val {
        Val::List(Self { items: Arc::new(items), order: Order::Given })
    }
}

impl Val {
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    pub fn list(items: Vec<Val>) -> Self {
        List::of(items)
    }

    /// A map with text keys.
    pub fn map(entries: impl IntoIterator<Item = (Arc<str>, Val)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (Key::String(key), value)).collect();
        Self::Map(Map { entries: Arc::new(entries), object: None })
    }

    pub(crate) fn some(value: Val) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// An optional value with or without one.
    pub fn optional(value: Option<Val>) -> Self {
        Self::Optional(value.map(Arc::new))
    }

    /// The type as far as the value itself tells it: a list is one of anything.
    pub fn type_(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::Duration(_) => Type::Duration,
            Self::Timestamp(_) => Type::Timestamp,
            Self::List(_) => Type::list(Type::Dyn),
            Self::Map(_) => Type::map(Type::Dyn, Type::Dyn),
            Self::Type(_) => Type::Type(None),
            Self::Optional(_) => Type::optional(Type::Dyn),
            Self::Opaque(opaque) => opaque.type_(),
            Self::Invalid(_) => Type::Error,
        }
    }

    /// The size that costs are counted by (cel-go: `traits.Sizer`); values without one count as 1.
    pub(crate) fn cost_size(&self) -> u64 {
        match self {
            Self::Optional(Some(inner)) => inner.cost_size(),
            other => other.size().unwrap_or(1),
        }
    }

    /// Characters, bytes, items or entries.
    pub(crate) fn size(&self) -> Option<u64> {
        let size = match self {
            Self::String(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.items.len(),
            Self::Map(map) => map.len(),
            Self::Opaque(opaque) => return opaque.size(),
            _ => return None,
        };
        Some(size as u64)
    }

    /// What `optional.ofNonZeroValue` takes for nothing.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(b) => !b,
            Self::Int(i) => *i == 0,
            Self::Uint(u) => *u == 0,
            Self::Double(d) => *d == 0.0,
            Self::Duration(d) => *d == 0,
            // Go's zero time is the first of January of the year one.
            Self::Timestamp(time) => *time == jiff::civil::date(1, 1, 1).at(0, 0, 0, 0),
            Self::String(_) | Self::Bytes(_) | Self::List(_) | Self::Map(_) => self.size() == Some(0),
            Self::Optional(inner) => inner.is_none(),
            _ => false,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Val {
    /// The items of a list that holds nothing but text.
    pub fn as_texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::List(list) => list.items.iter().map(Val::as_str).collect(),
            _ => None,
        }
    }
}

impl From<&str> for Val {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Val {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<bool> for Val {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<i64> for Val {
    fn from(i: i64) -> Self {
        Self::Int(i)
    }
}

/// As Go prints a value within an error text, cut off where nobody reads on.
impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Uint(u) => write!(f, "{u}"),
            Self::Double(d) => f.write_str(&float_text(*d)),
            Self::String(text) => f.write_str(text),
            Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Duration(nanos) => f.write_str(&duration_text(*nanos)),
            Self::Timestamp(time) => f.write_str(&timestamp_text(*time)),
            Self::List(_) | Self::Map(_) | Self::Optional(_) => {
                let mut cut = Cut { text: String::new(), left: MAX_SHOWN };
                let whole = show(self, &mut cut).is_ok();
                f.write_str(&cut.text)?;
                f.write_str(if whole { "" } else { "..." })
            }
            Self::Type(type_) => f.write_str(type_.name()),
            Self::Opaque(opaque) => write!(f, "{opaque}"),
            Self::Invalid(error) => write!(f, "{error}"),
        }
    }
}

/// Bytes of a list or a map that a text shows.
const MAX_SHOWN: usize = 4096;

/// Takes so much text and no more.
struct Cut {
    text: String,
    left: usize,
}

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.left = self.left.checked_sub(text.len().max(1)).ok_or(fmt::Error)?;
        self.text.push_str(text);
        Ok(())
    }
}

fn show(value: &Val, out: &mut Cut) -> fmt::Result {
    use fmt::Write as _;
    match value {
        Val::List(list) => {
            out.write_str("[")?;
            for (index, item) in list.items.iter().enumerate() {
                out.write_str(if index > 0 { ", " } else { "" })?;
                show(item, out)?;
            }
            out.write_str("]")
        }
        Val::Map(map) => {
            out.write_str("{")?;
            for (index, (key, value)) in map.entries.iter().enumerate() {
                write!(out, "{}{}: ", if index > 0 { ", " } else { "" }, key.to_val())?;
                show(value, out)?;
            }
            out.write_str("}")
        }
        Val::Optional(None) => out.write_str("optional.none()"),
        Val::Optional(Some(inner)) => {
            out.write_str("optional(")?;
            show(inner, out)?;
            out.write_str(")")
        }
        scalar => write!(out, "{scalar}"),
    }
}
