//! Bodies into objects, and who owns which of their fields.

use std::sync::{Arc, LazyLock};

use api_meta::{GroupVersion, GroupVersionKind, Map, Object, Status, Value};
use apiserver_model::Schema;
use apiserver_model::schema::builtin;
use apiserver_model::schema::decode::{DecodeError, Decoded, FieldValidation, Format, decode_value, yaml_to_value};
use apiserver_patch::FieldManager;
use apiserver_patch::managed_fields::{Set, Versions, keep_times_of_unchanged};
use jiff::Timestamp;

use crate::body::{self, Body};
use crate::context::Call;
use crate::negotiate::{Encoding, content_type};
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
pub(crate) async fn read(call: &Call<'_>, body: Body, validation: Validation) -> Result<Object, Status> {
    let format = format(call)?;
    let bytes = body::read(body).await?;
    let kind = call.served.info().group_version_kind();
    let decoded = decode(&bytes, format, &kind, &call.served.resource.schema, validation.into())?;
    record(call, &decoded.object, &kind);
    Ok(defaulted(call, decoded))
}

/// Audit records the object as the client wrote it, with its type.
fn record(call: &Call<'_>, object: &Object, kind: &GroupVersionKind) {
    let Some(record) = call.record else { return };
    let mut object = object.clone();
    if object.kind().is_empty() || object.api_version().is_empty() {
        object.set_type(kind);
    }
    record.request_object(&object);
}

fn defaulted(call: &Call<'_>, decoded: Decoded) -> Object {
    let Decoded { mut object, warnings } = decoded;
    call.warn(warnings);
    call.served.resource.strategy.default(&mut object);
    object
}

/// The body as an object of another built-in kind: what a subresource takes.
pub(crate) async fn read_kind(
    call: &Call<'_>,
    body: Body,
    group: &str,
    version: &str,
    kind: &str,
    validation: Validation,
) -> Result<Object, Status> {
    let format = format(call)?;
    let bytes = body::read(body).await?;
    let schema = builtin(group, version, kind)
        .ok_or_else(|| Status::internal(format!("no schema for {kind} in {group}/{version}")))?;
    let kind = GroupVersionKind::new(group, version, kind);
    let Decoded { object, warnings } = decode(&bytes, format, &kind, &schema, validation.into())?;
    record(call, &object, &kind);
    call.warn(warnings);
    Ok(object)
}

/// The result of a patch as an object of the served kind, defaulted.
pub(crate) fn reread(call: &Call<'_>, object: Object, validation: Validation) -> Result<Object, DecodeError> {
    let kind = call.served.info().group_version_kind();
    let decoded = decode_value(object.into(), &kind, &call.served.resource.schema, validation.into())?;
    Ok(defaulted(call, decoded))
}

fn format(call: &Call<'_>) -> Result<Encoding, Status> {
    content_type(call.headers)
}

fn decode(
    body: &[u8],
    encoding: Encoding,
    kind: &GroupVersionKind,
    schema: &Schema,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let format = match encoding {
        Encoding::Json => Format::Json,
        Encoding::Yaml => Format::Yaml,
        // Only built-in kinds have messages.
        Encoding::Protobuf if schema.is_structural() => {
            return Err(Status::unsupported_media_type("application/json, application/yaml"));
        }
        Encoding::Protobuf => return Ok(apiserver_protobuf::decode(body, kind, schema, validation)?),
    };
    Ok(apiserver_model::schema::decode(body, format, kind, schema, validation)?)
}

/// What a write through this address cannot change, and so does not own (upstream: `GetResetFields`).
static STATUS: LazyLock<Set> = LazyLock::new(|| Set::of_fields(&[&["status"]]));
static SPEC: LazyLock<Set> = LazyLock::new(|| Set::of_fields(&[&["spec"]]));
static NOTHING: Set = Set::new();

/// Who owns what in objects of one kind, written at one address.
pub(crate) struct Tracked<'a> {
    call: &'a Call<'a>,
    kind: GroupVersionKind,
    schema: Arc<Schema>,
    reset: &'static Set,
}

impl<'a> Tracked<'a> {
    /// The served kind itself, also through `/status` and the like.
    fn served(call: &'a Call<'a>) -> Self {
        let resource = &call.served.resource;
        let reset: &'static Set = match &*call.target.subresource {
            "status" => &SPEC,
            "" if resource.strategy.has_status() => &STATUS,
            _ => &NOTHING,
        };
        Self { call, kind: resource.info.group_version_kind(), schema: resource.schema.clone(), reset }
    }

    /// The kind of its own that a subresource takes.
    pub(crate) fn of_kind(call: &'a Call<'a>, kind: GroupVersionKind) -> Result<Self, Status> {
        let schema = builtin(&kind.group, &kind.version, &kind.kind)
            .ok_or_else(|| Status::internal(format!("no schema for {kind}")))?;
        Ok(Self { call, kind, schema, reset: &NOTHING })
    }

    fn manager(&self) -> FieldManager<'_> {
        FieldManager::new(&self.kind, self.schema.clone())
            .subresource(&self.call.target.subresource)
            .reset_fields(self.reset)
            .versions(self.call)
    }

    /// The next state with its managed fields. For a creation `old` is empty.
    pub(crate) fn updated(&self, old: &Object, mut new: Object, options: &WriteOptions) -> Object {
        if let Err(error) = self.manager().update(old, &mut new, &options.field_manager, Timestamp::now()) {
            // As upstream: a write is not refused because its ownership cannot be told.
            tracing::warn!(kind = %self.kind, name = new.name(), error = %error, "managed fields could not be updated");
        }
        new
    }

    /// The state that a server-side apply asks for, not defaulted. For a creation `old` is empty.
    pub(crate) fn applied(
        &self,
        old: &Object,
        patch: &Map<String, Value>,
        options: &WriteOptions,
    ) -> Result<Object, Status> {
        let mut configuration = Object::from(patch.clone());
        if configuration.name().is_empty() {
            configuration.set_meta_str("name", &self.call.target.name);
        }
        Ok(self.manager().apply(old, configuration, &options.field_manager, options.force, Timestamp::now())?)
    }
}

/// Owners may have written in another version of the resource.
impl Versions for Call<'_> {
    fn schema(&self, api_version: &str) -> Option<Arc<Schema>> {
        let info = self.served.info();
        let version = api_version.rsplit('/').next()?;
        let served = self.registry().catalog().find(&info.group, version, &info.plural)?;
        (served.info().group_version().to_string() == api_version).then(|| served.resource.schema.clone())
    }

    fn convert(&self, object: Object, api_version: &str) -> Option<Object> {
        let group_version: GroupVersion = api_version.parse().ok()?;
        Some(self.served.resource.strategy.convert(object, &group_version))
    }
}

/// A new object with its managed fields.
pub(crate) fn created(call: &Call<'_>, object: Object, options: &WriteOptions) -> Object {
    Tracked::served(call).updated(&Object::default(), object, options)
}

/// The next state of an object with its managed fields.
pub(crate) fn updated(call: &Call<'_>, old: &Object, new: Object, options: &WriteOptions) -> Object {
    Tracked::served(call).updated(old, new, options)
}

/// An apply patch is YAML, and so also JSON.
pub(crate) fn read_apply(bytes: &[u8]) -> Result<Map<String, Value>, Status> {
    let (value, duplicates) = yaml_to_value(bytes)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}")))?;
    if let Some(duplicates) = duplicates {
        return Err(unclassified(format!("error decoding YAML: {duplicates}")));
    }
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(Status::bad_request("error decoding YAML: the patch is not an object")),
    }
}

/// The state that a server-side apply asks for. For a creation `old` is empty.
pub(crate) fn applied(
    call: &Call<'_>,
    old: &Object,
    patch: &Map<String, Value>,
    options: &WriteOptions,
) -> Result<Object, Status> {
    let new = Tracked::served(call).applied(old, patch, options)?;
    let mut object = reread(call, new, options.validation)?;
    keep_times_of_unchanged(&mut object, old);
    Ok(object)
}
