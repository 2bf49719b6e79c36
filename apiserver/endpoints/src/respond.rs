//! Answers: objects, lists and statuses in the form that the client accepts.

use api_meta::{GroupVersionKind, Object, Status, Value, json};
use apiserver_registry::{Entry, Listed, Served};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Response, StatusCode};

use crate::body::{Body, boxed, full};
use crate::list_body::ListBody;
use crate::negotiate::{self, Form, Media, Transform};
use crate::request::Query;
use crate::table;

/// A failure in the form that the client accepts, or in JSON.
pub fn status(status: &Status, headers: &HeaderMap) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media = negotiate::accept(headers).map_or(Media::Json, |form| form.media);
    let bytes = || serde_json::to_vec(status).unwrap_or_default();
    let mut response =
        value_response(code, media, &status.to_value()).unwrap_or_else(|_| bytes_response(code, Media::Json, bytes()));
    if let Some(seconds) = status.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A path below a group that nobody serves.
pub(crate) fn page_not_found() -> Response<Body> {
    let mut response = Response::new(full("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(crate) fn bytes_response(code: StatusCode, media: Media, mut bytes: Vec<u8>) -> Response<Body> {
    if media == Media::Json {
        bytes.push(b'\n');
    }
    let mut response = Response::new(full(bytes));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    response
}

pub(crate) fn value_response(code: StatusCode, media: Media, value: &Value) -> Result<Response<Body>, Status> {
    let bytes = match media {
        Media::Json => serde_json::to_vec(value).map_err(Status::internal)?,
        Media::Yaml => lib_yaml::to_string(value).into_bytes(),
    };
    Ok(bytes_response(code, media, bytes))
}

/// Adds `Warning: 299 - "text"` headers (RFC 7234); texts are quoted and kept on one line.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let text: String = warning.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// One object.
pub(crate) fn object(
    served: &Served,
    kind: &GroupVersionKind,
    mut object: Object,
    form: &Form,
    query: &Query,
    code: StatusCode,
) -> Result<Response<Body>, Status> {
    object.set_type(kind);
    let value = match &form.transform {
        Transform::None => object.into(),
        Transform::Metadata { version } => partial(object, version),
        Transform::MetadataList { .. } => {
            return Err(Status::not_acceptable_text(format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list (*{}.{})",
                internal_group(&served.info().group),
                served.info().kind
            )));
        }
        Transform::Table { version } => {
            let meta = json!({"resourceVersion": object.resource_version()});
            table::of(served, &[object], meta, version, table::Include::parse(query)?)?
        }
    };
    value_response(code, form.media, &value)
}

/// A list, with the bytes of its items copied where nothing has to be changed in them.
pub(crate) fn list(served: &Served, listed: Listed, form: &Form, query: &Query) -> Result<Response<Body>, Status> {
    let mut meta = json!({"resourceVersion": listed.revision.to_string()});
    if !listed.continue_token.is_empty() {
        meta["continue"] = listed.continue_token.clone().into();
    }
    if let Some(remaining) = listed.remaining {
        meta["remainingItemCount"] = remaining.into();
    }
    if form.transform == Transform::None && form.media == Media::Json && same_bytes(served) {
        return Ok(stored_list(served, listed, &meta));
    }
    let mut items = decoded_list(served, &listed, &form.transform)?;
    if form.transform == Transform::None && !items_are_typed(served) {
        for item in &mut items {
            item.remove("apiVersion");
            item.remove("kind");
        }
    }
    objects(served, items, meta, form, query)
}

/// A list of these objects, which are written as they are.
pub(crate) fn objects(
    served: &Served,
    items: Vec<Object>,
    meta: Value,
    form: &Form,
    query: &Query,
) -> Result<Response<Body>, Status> {
    let info = served.info();
    let head = |kind: String, version: String, items: Vec<Value>| {
        let mut list = json!({"kind": kind, "apiVersion": version, "metadata": meta});
        // Not by the macro, which copies what it is given.
        list["items"] = Value::Array(items);
        list
    };
    let value = match &form.transform {
        Transform::None => {
            let items = items.into_iter().map(Value::from).collect();
            head(info.list_kind.clone(), info.group_version().to_string(), items)
        }
        Transform::MetadataList { version } => {
            let items = items.into_iter().map(|o| partial(o, version)).collect();
            head("PartialObjectMetadataList".into(), format!("meta.k8s.io/{version}"), items)
        }
        Transform::Metadata { .. } => {
            return Err(Status::not_acceptable_text(format!(
                "you requested PartialObjectMetadata, but the requested object is a list (*{}.{})",
                internal_group(&info.group),
                info.list_kind
            )));
        }
        Transform::Table { version } => table::of(served, &items, meta, version, table::Include::parse(query)?)?,
    };
    value_response(StatusCode::OK, form.media, &value)
}

/// Go's package of a group's internal types, as its error texts show it.
fn internal_group(group: &str) -> &str {
    if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) }
}

/// Stored objects carry their type and are stored in the version that is served.
pub(crate) fn same_bytes(served: &Served) -> bool {
    served.info().storage_version == served.info().group_version()
}

/// The items of a list of a built-in kind do not repeat their type; those of custom resources do.
fn items_are_typed(served: &Served) -> bool {
    served.resource.schema.is_structural()
}

fn stored_list(served: &Served, listed: Listed, meta: &Value) -> Response<Body> {
    let info = served.info();
    let (kind, version) = (&info.list_kind, info.group_version());
    let head = format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{meta},"items":["#);
    let items = ListBody::new(head.into_bytes(), listed.entries, !items_are_typed(served));
    let mut response = Response::new(boxed(items));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Media::Json.content_type()));
    response
}

/// The listed objects; of those of which only the metadata is wanted, no more than that at any time.
fn decoded_list(served: &Served, listed: &Listed, transform: &Transform) -> Result<Vec<Object>, Status> {
    let items = listed.entries.iter().map(|entry| {
        let mut item = decoded(served, entry)?;
        if let Transform::MetadataList { .. } = transform {
            item.retain(|field, _| field == "metadata");
        }
        Ok(item)
    });
    items.collect()
}

/// A stored object in the version that is served.
pub(crate) fn decoded(served: &Served, entry: &Entry) -> Result<Object, Status> {
    decoded_at(served, entry, entry.revision())
}

pub(crate) fn decoded_at(served: &Served, entry: &Entry, revision: u64) -> Result<Object, Status> {
    let object = entry.object_at(revision)?;
    if same_bytes(served) {
        return Ok(object);
    }
    Ok(served.resource.strategy.convert(object, &served.info().group_version()))
}

/// Only the metadata of an object.
pub(crate) fn partial(mut object: Object, version: &str) -> Value {
    let mut partial = json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}")});
    partial["metadata"] = object.remove("metadata").unwrap_or_else(|| json!({}));
    partial
}

/// A 406 with a text of its own.
trait NotAcceptableText {
    fn not_acceptable_text(message: String) -> Status;
}

impl NotAcceptableText for Status {
    fn not_acceptable_text(message: String) -> Status {
        Status::failure(406, api_meta::Reason::NotAcceptable, message)
    }
}
