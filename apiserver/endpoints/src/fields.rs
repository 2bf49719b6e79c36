//! Bodies into objects, and who owns which of their fields.

use std::sync::LazyLock;

use api_meta::{FieldErrors, FieldPath, GroupKind, GroupVersionKind, Map, Object, Status, Value};
use apiserver_model::schema::builtin;
use apiserver_model::schema::decode::{Decoded, FieldValidation, Format, decode, decode_value, yaml_to_value};
use apiserver_patch::FieldManager;
use apiserver_patch::managed_fields::{Set, keep_times_of_unchanged};
use jiff::Timestamp;

use crate::body::{self, Body};
use crate::context::Call;
use crate::negotiate::{Media, content_type};
use crate::options::{Validation, WriteOptions, unclassified};

impl From<Validation> for FieldValidation {
    fn from(validation: Validation) -> Self {
        match validation {
            Validation::Ignore => Self::Ignore,
            Validation::Warn => Self::Warn,
            Validation::Strict => Self::Strict,
        }
    }
}

/// The body as an object of the served kind, defaulted.
pub(crate) async fn read(call: &Call<'_>, body: Body, validation: Validation) -> Result<Decoded, Status> {
    let format = format(call)?;
    let bytes = body::read(body).await?;
    let kind = call.served.info().group_version_kind();
    let mut decoded = decode(&bytes, format, &kind, &call.served.resource.schema, validation.into())?;
    call.served.resource.strategy.default(&mut decoded.object);
    Ok(decoded)
}

/// The body as an object of another built-in kind: what a subresource takes.
pub(crate) async fn read_kind(
    call: &Call<'_>,
    body: Body,
    group: &str,
    version: &str,
    kind: &str,
    validation: Validation,
) -> Result<Decoded, Status> {
    let format = format(call)?;
    let bytes = body::read(body).await?;
    let schema = builtin(group, version, kind)
        .ok_or_else(|| Status::internal(format!("no schema for {kind} in {group}/{version}")))?;
    let kind = GroupVersionKind::new(group, version, kind);
    Ok(decode(&bytes, format, &kind, &schema, validation.into())?)
}

/// The result of a patch as an object of the served kind, defaulted.
pub(crate) fn reread(call: &Call<'_>, object: Object, validation: Validation) -> Result<Decoded, Status> {
    let kind = call.served.info().group_version_kind();
    let mut decoded = decode_value(object.into(), &kind, &call.served.resource.schema, validation.into())?;
    call.served.resource.strategy.default(&mut decoded.object);
    Ok(decoded)
}

fn format(call: &Call<'_>) -> Result<Format, Status> {
    Ok(match content_type(call.headers)? {
        Media::Json => Format::Json,
        Media::Yaml => Format::Yaml,
    })
}

/// What a write through this address cannot change, and so does not own (upstream: `GetResetFields`).
static STATUS: LazyLock<Set> = LazyLock::new(|| Set::of_fields(&[&["status"]]));
static SPEC: LazyLock<Set> = LazyLock::new(|| Set::of_fields(&[&["spec"]]));
static NOTHING: Set = Set::new();

fn manager<'a>(call: &'a Call<'_>, kind: &'a GroupVersionKind) -> FieldManager<'a> {
    let resource = &call.served.resource;
    let reset: &'static Set = match &*call.target.subresource {
        "status" => &SPEC,
        "" if resource.strategy.has_status() => &STATUS,
        _ => &NOTHING,
    };
    FieldManager::new(kind, resource.schema.clone()).subresource(&call.target.subresource).reset_fields(reset)
}

fn track(call: &Call<'_>, live: &Object, mut new: Object, options: &WriteOptions) -> Object {
    let kind = call.served.info().group_version_kind();
    if let Err(error) = manager(call, &kind).update(live, &mut new, &options.field_manager, Timestamp::now()) {
        // As upstream: a write is not refused because its ownership cannot be told.
        tracing::warn!(kind = %kind, name = new.name(), error = %error, "managed fields could not be updated");
    }
    new
}

/// A new object with its managed fields.
pub(crate) fn created(call: &Call<'_>, object: Object, options: &WriteOptions) -> Object {
    track(call, &Object::default(), object, options)
}

/// The next state of an object with its managed fields.
pub(crate) fn updated(call: &Call<'_>, old: &Object, new: Object, options: &WriteOptions) -> Object {
    track(call, old, new, options)
}

/// An apply patch is YAML, and so also JSON.
pub(crate) fn read_apply(bytes: &[u8]) -> Result<Map<String, Value>, Status> {
    let (value, duplicates) = yaml_to_value(bytes)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
    if let Some(duplicates) = duplicates {
        return Err(unclassified(format!("error decoding YAML: {duplicates}")));
    }
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(Status::bad_request("error decoding YAML: the patch is not an object")),
    }
}

pub(crate) fn no_manager() -> Status {
    let mut errors = FieldErrors::new();
    errors.required(&FieldPath::new("fieldManager"), "is required for apply patch");
    let kind = GroupKind { group: "meta.k8s.io".into(), kind: "PatchOptions".into() };
    Status::invalid(&kind, "", &errors)
}

/// The state that a server-side apply asks for, and warnings. For a creation `old` is empty.
pub(crate) fn applied(
    call: &Call<'_>,
    old: &Object,
    patch: &Map<String, Value>,
    options: &WriteOptions,
) -> Result<(Object, Vec<String>), Status> {
    let kind = call.served.info().group_version_kind();
    let mut configuration = Object::from(patch.clone());
    if configuration.name().is_empty() {
        configuration.set_meta_str("name", &call.target.name);
    }
    if call.served.info().namespaced() && configuration.namespace().is_empty() {
        configuration.set_meta_str("namespace", &call.target.namespace);
    }
    let new = manager(call, &kind).apply(
        old,
        configuration,
        &options.field_manager,
        options.force,
        Timestamp::now(),
    )?;
    let decoded = reread(call, new, options.validation)?;
    let mut object = decoded.object;
    keep_times_of_unchanged(&mut object, old);
    Ok((object, decoded.warnings))
}
