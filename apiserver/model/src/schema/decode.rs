//! From the bytes of a request to an object of a known kind.
//!
//! # Flow
//!
//! Built-in kinds are read the way Go reads JSON into a struct: in one pass
//! over the bytes, values of the wrong type are an error in Go's words, `null`
//! is as good as absent, fields nobody knows are dropped and told, and the
//! result is as Go would write it ([`Schema::tidy`]). Custom resources are
//! read as they are, then `metadata` is read like a built-in type and the rest
//! pruned by the structural schema; whether values fit is for validation.
//!
//! YAML becomes untyped JSON first and takes the same way from there.
//!
//! # Guarantees
//!
//! No body, however nested, overflows the stack, and no YAML alias makes an
//! object much larger than its body: beyond the limits the body is refused.

mod scalar;
mod structural;
mod syntax;
mod walk;
mod yaml;

use api_meta::{GroupVersion, GroupVersionKind, Map, Object, Status, Value};
use serde::de::DeserializeSeed;

use self::walk::{Node, Walk};
use super::{Schema, builtin};

pub use self::syntax::json_error;

/// What happens to fields that nobody knows and to fields that come twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub object: Object,
    /// Texts for the `Warning` header.
    pub warnings: Vec<String>,
}

/// Why a body is not an object of the wanted kind. All of them are the client's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Neither kind nor version could be told.
    #[error("the object provided is unrecognized (must be of type {kind}): {why} ({summary})")]
    Unrecognized { kind: String, why: String, summary: String },
    #[error("{kind} in version {version:?} cannot be handled as a {wanted}: {why}")]
    Unhandled { kind: String, version: String, wanted: String, why: String },
    #[error("the API version in the data ({found}) does not match the expected API version ({wanted})")]
    OtherVersion { found: GroupVersion, wanted: GroupVersion },
}

impl DecodeError {
    /// The cause alone, without saying which object was wanted.
    pub fn why(&self) -> String {
        match self {
            Self::Unrecognized { why, .. } | Self::Unhandled { why, .. } => why.clone(),
            Self::OtherVersion { .. } => self.to_string(),
        }
    }
}

impl From<DecodeError> for Status {
    fn from(error: DecodeError) -> Self {
        Status::bad_request(error.to_string())
    }
}

/// Reads one object. A missing `kind` or `apiVersion` is taken from `gvk`.
pub fn decode(
    body: &[u8],
    format: Format,
    gvk: &GroupVersionKind,
    schema: &Schema,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    let unrecognized =
        |why: String| DecodeError::Unrecognized { kind: gvk.kind.clone(), why, summary: summarize(body) };
    let mut walk = Walk::new(validation != FieldValidation::Ignore, schema.is_structural());
    let value = match format {
        Format::Json => {
            let mut json = serde_json::Deserializer::from_slice(body);
            Node::root(&mut walk, schema).deserialize(&mut json).and_then(|value| json.end().map(|()| value)).map_err(
                |error| {
                    let why = json_error(body).unwrap_or_else(|| error.to_string());
                    unrecognized(format!("couldn't get version/kind; json parse error: {why}"))
                },
            )?
        }
        Format::Yaml => {
            let document = yaml::parse(body).map_err(|error| unrecognized(error.to_string()))?;
            if let Some(duplicates) = document.duplicates() {
                walk.strict_error(duplicates);
            }
            Node::root(&mut walk, schema)
                .deserialize(document.value)
                .map_err(|error| unrecognized(error.to_string()))?
        }
    };
    finish(value, walk, gvk, schema, validation, summarize(body))
}

/// Reads an object that is JSON already, such as the result of a patch.
pub fn decode_value(
    value: Value,
    gvk: &GroupVersionKind,
    schema: &Schema,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    let mut walk = Walk::new(validation != FieldValidation::Ignore, schema.is_structural());
    let value = Node::root(&mut walk, schema).deserialize(value).map_err(|error| DecodeError::Unrecognized {
        kind: gvk.kind.clone(),
        why: error.to_string(),
        summary: String::new(),
    })?;
    finish(value, walk, gvk, schema, validation, String::new())
}

/// A YAML (or JSON) document as untyped JSON, for bodies that are not an object of one kind, such as apply patches.
/// Also returns what is to be said of keys that come twice.
pub fn yaml_to_value(body: &[u8]) -> Result<(Value, Option<String>), InvalidYaml> {
    let document = yaml::parse(body)?;
    let duplicates = document.duplicates();
    Ok((document.value, duplicates))
}

pub use self::yaml::InvalidYaml;

fn finish(
    value: Value,
    mut walk: Walk<'_>,
    gvk: &GroupVersionKind,
    schema: &Schema,
    validation: FieldValidation,
    summary: String,
) -> Result<Decoded, DecodeError> {
    let unrecognized =
        |why: String| DecodeError::Unrecognized { kind: gvk.kind.clone(), why, summary: summary.clone() };
    if let Some(why) = walk.type_meta_error.take() {
        return Err(unrecognized(format!("couldn't get version/kind; json parse error: {why}")));
    }
    let mut object = match value {
        Value::Object(fields) => Object::from(fields),
        // Go leaves the struct as it is, with all that it writes even when empty.
        _ => {
            let mut empty = Value::Object(Map::new());
            schema.tidy(&mut empty);
            Object::try_from(empty).unwrap_or_default()
        }
    };
    let found = type_of(&object, gvk).map_err(|error| unrecognized(error.to_string()))?;
    let unhandled = |why: String| DecodeError::Unhandled {
        kind: found.kind.clone(),
        version: found.version.clone(),
        wanted: gvk.kind.clone(),
        why,
    };
    check_type(&object, &found, gvk, schema, &unhandled)?;
    if schema.is_structural() {
        structural::finish(&mut object, schema, &mut walk);
    }
    if let Some(why) = walk.error.take() {
        return Err(unhandled(why));
    }
    let warnings = walk.strict_errors;
    if validation == FieldValidation::Strict && !warnings.is_empty() {
        return Err(unhandled(format!("strict decoding error: {}", warnings.join(", "))));
    }
    object.set_type(&found);
    Ok(Decoded { object, warnings })
}

/// What the object says it is; what it does not say is as wanted.
fn type_of(object: &Object, wanted: &GroupVersionKind) -> Result<GroupVersionKind, api_meta::InvalidGroupVersion> {
    let version = match object.api_version() {
        "" => wanted.group_version(),
        text => text.parse()?,
    };
    Ok(version.kind(if object.kind().is_empty() { &wanted.kind } else { object.kind() }))
}

fn check_type(
    object: &Object,
    found: &GroupVersionKind,
    wanted: &GroupVersionKind,
    schema: &Schema,
    unhandled: &dyn Fn(String) -> DecodeError,
) -> Result<(), DecodeError> {
    if found == wanted {
        return Ok(());
    }
    let other_version = || DecodeError::OtherVersion { found: found.group_version(), wanted: wanted.group_version() };
    if schema.is_structural() {
        // Validation says what is wrong with the kind of a custom resource.
        return if found.group_version() == wanted.group_version() { Ok(()) } else { Err(other_version()) };
    }
    let Some(own) = builtin(&found.group, &found.version, &found.kind) else {
        return Err(unhandled(format!(
            "no kind {:?} is registered for version {:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            found.kind,
            found.group_version().to_string()
        )));
    };
    if found.group_kind() == wanted.group_kind() {
        return Err(other_version());
    }
    // Upstream decodes what the body says it is before it notices that something else is wanted.
    if let Some(why) = decode_error(object, &own) {
        return Err(unhandled(why));
    }
    Err(unhandled(format!(
        "converting ({}.{}) to ({}.{}): unknown conversion",
        found.version,
        found.kind,
        builtin::internal_package(&wanted.group),
        wanted.kind
    )))
}

/// What is wrong with an object by another schema than the one it was read by.
fn decode_error(object: &Object, schema: &Schema) -> Option<String> {
    let mut walk = Walk::new(false, schema.is_structural());
    match Node::root(&mut walk, schema).deserialize(object.to_value()) {
        Ok(_) => walk.error.take(),
        Err(error) => Some(error.to_string()),
    }
}

/// The start of a body, as upstream shows it in errors (upstream: `summarizeData`).
fn summarize(body: &[u8]) -> String {
    const LENGTH: usize = 30;
    let start = &body[..body.len().min(LENGTH)];
    let more = if body.len() > LENGTH { " ..." } else { "" };
    match body.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => format!("{}{more}", start.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
}

#[cfg(test)]
mod tests;
