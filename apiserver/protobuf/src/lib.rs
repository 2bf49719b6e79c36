//! Reads built-in kinds from Kubernetes' protobuf form.
//!
//! Typed Go clients, and so most `kubectl create …`, send built-in kinds as
//! `application/vnd.kubernetes.protobuf`. Objects are JSON inside this server,
//! so a body becomes the JSON that the same client would have sent, and then
//! takes the way of all JSON ([`decode_value`]): what Go writes as the zero
//! value of a field that is not a pointer is dropped there, as for JSON.
//!
//! Only reading is here. Clients that prefer protobuf also accept JSON, and
//! that is what they are answered with.
//!
//! # Guarantees
//!
//! Any bytes lead to an object or an error. Messages nest to
//! [`MAX_DEPTH`] levels and hold [`MAX_VALUES`] values; a body beyond is refused.

mod table;
mod value;
mod wire;

use api_meta::{GroupVersion, GroupVersionKind, Map, Value};
use apiserver_model::schema::{DecodeError, Decoded, FieldValidation, Schema, decode_value};

use self::table::table;
use self::value::Reader;
use self::wire::Fields;

pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body starts with (upstream: `protoEncodingPrefix`); no JSON does. [`Error::Prefix`] spells it as Go does.
const PREFIX: &[u8] = b"k8s\0";

/// How deep messages may nest. Only the schemas of custom resources have no end of their own; as JSON they nest twice
/// as deep, and JSON is read to 128 levels.
pub const MAX_DEPTH: usize = 64;

/// How many values a body may hold. An empty message takes two bytes, so the size of a body alone does not bound what
/// it becomes.
pub const MAX_VALUES: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Prefix,
    #[error("unexpected EOF")]
    Truncated,
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: illegal tag {0}")]
    Tag(u64),
    #[error("proto: wrong wireType for field {0}")]
    WireType(&'static str),
    #[error("field {0} is not UTF-8")]
    Text(&'static str),
    #[error("field {0} is not a time")]
    Time(&'static str),
    #[error("field {0} is not a number")]
    Number(&'static str),
    #[error("field {field} holds no JSON: {why}")]
    Embedded { field: &'static str, why: String },
    #[error("messages nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("the object holds more than {MAX_VALUES} values")]
    TooLarge,
}

/// Whether a body has the form that this crate reads.
pub fn is_protobuf(body: &[u8]) -> bool {
    body.starts_with(PREFIX)
}

/// Reads one object. A missing kind or version is taken from `wanted`.
///
/// # Errors
///
/// As [`decode_value`]; a body that is no protobuf message is the client's fault too.
pub fn decode(
    body: &[u8],
    wanted: &GroupVersionKind,
    schema: &Schema,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    let value = to_value(body, wanted).map_err(|error| DecodeError::Unhandled {
        kind: wanted.kind.clone(),
        version: wanted.version.clone(),
        wanted: wanted.kind.clone(),
        why: error.to_string(),
    })?;
    decode_value(value, wanted, schema, validation)
}

/// The body as JSON. Of a kind that is not built in, only what the body says it is.
///
/// # Errors
///
/// The body is not a message of the kind it says it is.
pub fn to_value(body: &[u8], wanted: &GroupVersionKind) -> Result<Value, Error> {
    let envelope = Envelope::read(body)?;
    let or = |text: String, default: String| if text.is_empty() { default } else { text };
    let api_version = or(envelope.api_version, wanted.group_version().to_string());
    let kind = or(envelope.kind, wanted.kind.clone());
    let mut object = match api_version.parse().ok().and_then(|v: GroupVersion| table().kind(&v.to_string(), &kind)) {
        Some(message) => Reader::default().object(message, envelope.raw)?,
        None => Map::new(),
    };
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(Value::Object(object))
}

/// Upstream: `runtime.Unknown`.
#[derive(Default)]
struct Envelope<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Error> {
        let mut envelope = Self::default();
        for field in Fields::of(body.strip_prefix(PREFIX).ok_or(Error::Prefix)?) {
            match field? {
                (1, payload) => envelope.read_type(payload.bytes("typeMeta")?)?,
                (2, payload) => envelope.raw = payload.bytes("raw")?,
                _ => {}
            }
        }
        Ok(envelope)
    }

    fn read_type(&mut self, type_meta: &[u8]) -> Result<(), Error> {
        for field in Fields::of(type_meta) {
            match field? {
                (1, payload) => self.api_version = payload.text("apiVersion")?,
                (2, payload) => self.kind = payload.text("kind")?,
                _ => {}
            }
        }
        Ok(())
    }
}
