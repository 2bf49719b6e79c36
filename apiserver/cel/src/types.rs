//! Types of values, as far as they are known before evaluation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::schema::DeclType;
use crate::syntax::words;

/// The type of an expression.
#[derive(Clone, Debug)]
pub enum Type {
    /// Known only during evaluation.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    Optional(Arc<Type>),
    /// The type of types, and of which if that is known.
    Type(Option<Arc<Type>>),
    /// Values of the Kubernetes libraries that cel-go knows as abstract: `net.IP`.
    Abstract(&'static str),
    /// An object with declared fields, or a value of a library, which has none.
    Object(Arc<ObjectType>),
    /// A type variable of a function's signature.
    Param(Arc<str>),
    /// Of an expression that is wrong; fits everything, so that one mistake is told once.
    Error,
}

/// An object's name and fields, by names as expressions write them.
#[derive(Debug, Default)]
pub struct ObjectType {
    pub name: Arc<str>,
    pub fields: BTreeMap<String, Arc<DeclType>>,
}

impl ObjectType {
    /// A field by its name; words of the language need no escaping after a dot.
    pub fn field(&self, name: &str) -> Option<&Arc<DeclType>> {
        self.fields.get(name).or_else(|| {
            let escaped = words::is_own(name).then(|| format!("__{name}__"))?;
            self.fields.get(&escaped)
        })
    }
}

impl Type {
    pub fn list(item: Type) -> Self {
        Self::List(Arc::new(item))
    }

    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new(key), Arc::new(value))
    }

    pub fn optional(inner: Type) -> Self {
        Self::Optional(Arc::new(inner))
    }

    /// A type of a library: without fields.
    pub(crate) fn opaque(name: &'static str) -> Self {
        Self::Object(Arc::new(ObjectType { name: name.into(), fields: BTreeMap::new() }))
    }

    pub(crate) fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn)
    }

    pub(crate) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// The types that this one is made of.
    pub(crate) fn parameters(&self) -> Vec<&Type> {
        match self {
            Self::List(a) | Self::Optional(a) | Self::Type(Some(a)) => vec![a],
            Self::Map(a, b) => vec![a, b],
            _ => Vec::new(),
        }
    }

    /// Whether values of this type always take about the same room.
    pub(crate) fn is_scalar(&self) -> bool {
        match self {
            Self::Bool | Self::Double | Self::Duration | Self::Int | Self::Timestamp | Self::Uint => true,
            Self::Optional(inner) => inner.is_scalar(),
            _ => false,
        }
    }

    /// The name alone, without parameters: what `type()` compares and errors of evaluation say.
    pub fn name(&self) -> &str {
        match self {
            Self::Dyn => "dyn",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Duration => "google.protobuf.Duration",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(..) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Abstract(name) => name,
            Self::Object(object) => &object.name,
            Self::Param(name) => name,
            Self::Error => "!error!",
        }
    }
}

/// Exactly the same type, type variables included.
impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a == b,
            (Self::Map(a, b), Self::Map(c, d)) => a == c && b == d,
            (Self::Type(a), Self::Type(b)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other) && self.name() == other.name(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            _ => {
                f.write_str(self.name())?;
                let parameters: Vec<String> = self.parameters().iter().map(ToString::to_string).collect();
                if parameters.is_empty() { Ok(()) } else { write!(f, "({})", parameters.join(", ")) }
            }
        }
    }
}
