//! PATCH: JSON, merge and strategic merge patches, and server-side apply.

use api_meta::{Details, FieldErrors, FieldPath, GroupKind, GroupVersionKind, Map, Object, Reason, Status, Value};
use apiserver_model::schema::builtin;
use apiserver_model::schema::decode::DecodeError;
use apiserver_patch::{JsonPatch, decode, go, json_patch, merge_patch, strategic_merge};
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};

use crate::body::{self, Body};
use crate::context::Call;
use crate::options::WriteOptions;
use crate::update::{Committed, RACES, check_name, check_version, commit};
use crate::{create, fields, negotiate, respond};

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A patch, read but not yet applied.
#[derive(Clone)]
pub(crate) enum Patch {
    Json(JsonPatch),
    Merge(Map<String, Value>),
    Strategic(Map<String, Value>),
    Apply(Map<String, Value>),
}

impl Patch {
    pub(crate) async fn read(call: &Call<'_>, body: Body) -> Result<Self, Status> {
        let media = call.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim().to_owned();
        let custom = call.served.resource.schema.is_structural();
        if !([JSON, MERGE, APPLY].contains(&&*media) || (media == STRATEGIC && !custom)) {
            return Err(if media == STRATEGIC {
                Status::unsupported_media_type(&[JSON, MERGE, APPLY].join(", "))
            } else {
                unsupported()
            });
        }
        let bytes = body::read(body).await?;
        let patch = match &*media {
            JSON => Self::Json(decode::steps(&bytes).map_err(decode::Error::into_status)?),
            MERGE => Self::Merge(decode::object(&bytes).map_err(decode::Error::into_status)?),
            STRATEGIC => Self::Strategic(decode::object(&bytes).map_err(decode::Error::into_strategic_status)?),
            _ => Self::Apply(fields::read_apply(&bytes)?),
        };
        if let Some(record) = call.record {
            record.request_patch(|| patch.as_written(&bytes));
        }
        Ok(patch)
    }

    /// As audit records it.
    fn as_written(&self, bytes: &[u8]) -> Value {
        match self {
            Self::Json(_) => serde_json::from_slice(bytes).unwrap_or_default(),
            Self::Merge(patch) | Self::Strategic(patch) | Self::Apply(patch) => Value::Object(patch.clone()),
        }
    }

    /// The patched object, without ownership and not yet decoded.
    pub(crate) fn apply_plainly(
        &self,
        call: &Call<'_>,
        object: &Object,
        kind: &GroupVersionKind,
    ) -> Result<Object, Status> {
        match self {
            Self::Json(patch) => {
                let mut value = object.to_value();
                json_patch(&mut value, patch.clone())?;
                Object::try_from(value).map_err(|_| Status::bad_request("the patched object is not an object"))
            }
            Self::Merge(patch) | Self::Apply(patch) => {
                let mut fields: Map<String, Value> = (**object).clone();
                merge_patch(&mut fields, patch.clone());
                Ok(fields.into())
            }
            Self::Strategic(patch) => {
                let schema = if *kind == call.served.info().group_version_kind() {
                    call.served.resource.schema.clone()
                } else {
                    builtin(&kind.group, &kind.version, &kind.kind)
                        .ok_or_else(|| Status::internal(format!("no schema for {kind}")))?
                };
                Ok(strategic_merge(object.clone(), patch.clone(), &schema)?)
            }
        }
    }
}

impl Patch {
    pub(crate) fn applies(&self) -> bool {
        matches!(self, Self::Apply(_))
    }

    /// A patched object that is none of this kind any more (upstream: `interpretPatchError` and its callers).
    fn unreadable(&self, patched: &Object, error: DecodeError) -> Status {
        let (value, why) = match self {
            // Upstream reads these without going through text, and has other words for the same.
            Self::Strategic(patch) => {
                let why = error.why();
                let why = unrestorable(&why).unwrap_or(why);
                (go::format(&Value::Object(patch.clone())), why)
            }
            _ => (go_text(&patched.to_value()), error.why()),
        };
        let mut errors = FieldErrors::new();
        errors.invalid(&FieldPath::new("patch"), value, why);
        Status::invalid(&GroupKind { group: String::new(), kind: String::new() }, "", &errors)
    }
}

/// What upstream's converter from maps says (`runtime.fromUnstructured`) where its JSON decoder would say `why`.
///
/// Of a type with a name it is not told whether that is a string or a structure; where both could be, it is taken for a
/// structure, as most are.
fn unrestorable(why: &str) -> Option<String> {
    let (value, rest) = why.strip_prefix("json: cannot unmarshal ")?.split_once(" into Go ")?;
    let (_, wanted) = rest.rsplit_once(" of type ")?;
    let found = match value.split(' ').next()? {
        "array" => "slice",
        "object" => "map",
        // The JSON decoder adds the number itself where a whole one was wanted.
        "number" if value.contains('.') => "float64",
        "number" => "int64",
        other => other,
    };
    Some(match wanted {
        map if map.starts_with("map[") => format!("cannot restore map from {found}"),
        slice if slice.starts_with("[]") => format!("cannot restore slice from {found}"),
        "string" if found == "int64" => "cannot convert int64 to string".to_owned(),
        "int32" | "int64" if found == "float64" => format!("cannot convert float64 to {wanted}"),
        "string" | "bool" | "int32" | "int64" | "float64" => format!("unrecognized type: {wanted}"),
        // A map is what a structure is made from.
        _ if found == "map" => "unrecognized type: string".to_owned(),
        _ => format!("cannot restore struct from: {found}"),
    })
}

/// As Go writes an object whose metadata the patch did not touch: fields of metadata in the order of its type.
fn go_text(object: &Value) -> String {
    const META: [&str; 15] = [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ];
    const ENTRY: [&str; 7] = ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];
    let member = |key: &str, text: String| format!("{}:{text}", Value::from(key));
    let ordered = |value: &Value, order: &[&str], text: &dyn Fn(&str, &Value) -> String| {
        let known = order.iter().filter_map(|key| Some(member(key, text(key, value.get(*key)?))));
        format!("{{{}}}", known.collect::<Vec<_>>().join(","))
    };
    let entries = |value: &Value| {
        let entries = value.as_array().into_iter().flatten();
        let texts: Vec<_> = entries.map(|e| ordered(e, &ENTRY, &|_, v| v.to_string())).collect();
        format!("[{}]", texts.join(","))
    };
    let meta = |key: &str, value: &Value| if key == "managedFields" { entries(value) } else { value.to_string() };
    let members = object.as_object().into_iter().flatten().map(|(key, value)| {
        member(key, if key == "metadata" { ordered(value, &META, &meta) } else { value.to_string() })
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Upstream's answer to a patch of an unknown type has no more to say.
fn unsupported() -> Status {
    Status::failure(415, Reason::UnsupportedMediaType, "415: Unsupported Media Type").with_details(Details::default())
}

pub(crate) async fn patch(call: &Call<'_>, body: Body) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let options = WriteOptions::parse(call.query, "PatchOptions", call.user_agent())?;
    let patch = Patch::read(call, body).await?;
    WriteOptions::check_patch(call.query, patch.applies())?;
    let kind = call.served.info().group_version_kind();
    let mut found = match call.registry().get(call.served, &call.target.namespace, &call.target.name).await {
        Ok(current) => current,
        Err(status) if status.code == 404 && call.target.subresource.is_empty() => match &patch {
            Patch::Apply(applied) => return create_applied(call, applied, &form, &options).await,
            _ => return Err(status),
        },
        Err(status) => return Err(status),
    };
    for _ in 0..RACES {
        let new = next_state(call, &patch, &found.object, &kind, &options)?;
        let version = new.resource_version();
        if !version.is_empty() && version != found.object.resource_version() {
            return Err(Status::modified(&call.served.group_resource(), &call.target.name));
        }
        match commit(call, &found, new, &options).await? {
            Committed::Done(stored) => {
                return respond::object(call.served, &kind, stored, &form, call.query, StatusCode::OK);
            }
            Committed::Lost(newer) => found = newer,
        }
    }
    Err(Status::modified(&call.served.group_resource(), &call.target.name))
}

fn next_state(
    call: &Call<'_>,
    patch: &Patch,
    old: &Object,
    kind: &GroupVersionKind,
    options: &WriteOptions,
) -> Result<Object, Status> {
    let new = match patch {
        Patch::Apply(applied) => fields::applied(call, old, applied, options)?,
        other => {
            let mut typed = old.clone();
            typed.set_type(kind);
            let patched = other.apply_plainly(call, &typed, kind)?;
            let object = fields::reread(call, patched.clone(), options.validation)
                .map_err(|error| other.unreadable(&patched, error))?;
            fields::updated(call, old, object, options)
        }
    };
    check_name(call, &new)?;
    check_version(&new)?;
    if new.namespace() != old.namespace() {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(new)
}

/// Server-side apply to a name that does not exist creates the object.
async fn create_applied(
    call: &Call<'_>,
    applied: &Map<String, Value>,
    form: &negotiate::Form,
    options: &WriteOptions,
) -> Result<Response<Body>, Status> {
    let kind = call.served.info().group_version_kind();
    let mut new = fields::applied(call, &Object::default(), applied, options)?;
    check_name(call, &new)?;
    create::place(call, &mut new)?;
    if !new.resource_version().is_empty() || !new.uid().is_empty() {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        if !new.uid().is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                new.uid()
            );
            return Err(Status::conflict(&call.served.group_resource(), new.name(), why));
        }
        return Err(Status::failure(409, Reason::Conflict, why));
    }
    let stored = create::store(call, new, options).await?;
    respond::object(call.served, &kind, stored, form, call.query, StatusCode::CREATED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, wanted: &str, expect: &str) {
        let why = format!("json: cannot unmarshal {value} into Go struct field ConfigMap.data of type {wanted}");
        assert_eq!(unrestorable(&why).as_deref(), Some(expect));
    }

    #[test]
    fn a_strategic_patch_of_another_form() {
        check("array", "map[string]string", "cannot restore map from slice");
        check("object", "[]v1.Container", "cannot restore slice from map");
        check("string", "[]v1.Container", "cannot restore slice from string");
        check("number", "string", "cannot convert int64 to string");
        check("bool", "string", "unrecognized type: string");
        check("string", "int32", "unrecognized type: int32");
        check("number 1.5", "int32", "cannot convert float64 to int32");
        check("number", "bool", "unrecognized type: bool");
        check("string", "v1.PodSpec", "cannot restore struct from: string");
        check("object", "v1.PullPolicy", "unrecognized type: string");
        assert_eq!(unrestorable("quantities must match the regular expression"), None);
    }
}
