//! Watches: one JSON document per event, until the time is over or a party leaves.

use std::time::Duration;

use api_meta::{FieldErrors, FieldPath, GroupKind, Object, Status, Value, json};
use apiserver_registry::{ObjectEvent, Served, Watch, WatchEvent, WatchEventType, WatchOptions, WatchStart};
use bytes::Bytes;
use futures::Stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::body::{Body, BoxError, boxed};
use crate::context::Call;
use crate::negotiate::{self, Transform};
use crate::options::{Selection, parse_version, unclassified};
use crate::request::Query;
use crate::respond::{decoded_at, partial, same_bytes};
use crate::table::{self, Include};

/// How long a watch lasts when the client does not say: 30 to 60 minutes, spread so that
/// clients that came together do not come again together (upstream: `MinRequestTimeout`).
const SHORTEST: u64 = 1800;
/// And at most, whatever the client says: a year, which clocks can still add up.
const LONGEST: u64 = 365 * 24 * 3600;

pub(crate) async fn watch(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let form = negotiate::accept_stream(call.headers)?;
    let selection = Selection::parse(call.served, call.query)?;
    let initial = initial_events(call.query)?;
    let version = call.query.get("resourceVersion").unwrap_or_default();
    let number = if version.is_empty() { 0 } else { parse_version(version).map_err(unclassified)? };
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let start = match initial {
        Some(true) => WatchStart::State { fresh: version.is_empty(), at_least: number },
        Some(false) if number == 0 => WatchStart::Now,
        None if number == 0 => WatchStart::State { fresh: version.is_empty(), at_least: 0 },
        _ => WatchStart::After(number),
    };
    let seconds = selection.timeout_seconds.filter(|s| *s > 0).unwrap_or_else(|| SHORTEST + spread());
    let options = WatchOptions {
        labels: selection.labels,
        fields: selection.fields,
        start,
        bookmarks,
        mark_initial_end: initial == Some(true) && bookmarks,
    };
    let printer = Printer {
        served: call.served.clone(),
        transform: form.transform,
        include: Include::parse(call.query)?,
        said_columns: false,
    };
    let deadline = Instant::now() + Duration::from_secs(seconds.min(LONGEST));
    let stopping = call.endpoints.stopping.clone();
    let events = match call.registry().watch(call.served, &call.target.namespace, options).await {
        Ok(watch) => Events { watch: Some(watch), printer, deadline, stopping, parting: None },
        // Too late to watch from there: said in the stream, as clients of watches expect.
        Err(status) if status.code == 410 => Events { watch: None, printer, deadline, stopping, parting: Some(status) },
        Err(status) => return Err(status),
    };
    let mut response = Response::new(boxed(StreamBody::new(frames(events))));
    *response.headers_mut() = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    Ok(response)
}

fn spread() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| u64::from(d.subsec_nanos()) % SHORTEST)
}

fn initial_events(query: &Query) -> Result<Option<bool>, Status> {
    let wanted = query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents"));
    let matching = query.get("resourceVersionMatch").unwrap_or_default();
    let mut errors = FieldErrors::new();
    let field = FieldPath::new("resourceVersionMatch");
    match (wanted, matching) {
        (Some(_), "NotOlderThan") | (None, "") => {}
        (Some(_), other) => {
            errors.forbidden(&field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
            if !other.is_empty() {
                errors.not_supported(&field, other, &["NotOlderThan"]);
            }
        }
        (None, _) => {
            errors
                .forbidden(&field, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
        }
    }
    if errors.is_empty() {
        return Ok(wanted);
    }
    let kind = GroupKind { group: "meta.k8s.io".into(), kind: "ListOptions".into() };
    Err(Status::invalid(&kind, "", &errors))
}

struct Events {
    watch: Option<Watch>,
    printer: Printer,
    deadline: Instant,
    stopping: CancellationToken,
    parting: Option<Status>,
}

fn frames(events: Events) -> impl Stream<Item = Result<Frame<Bytes>, BoxError>> + Send {
    futures::stream::unfold(events, |mut events| async move {
        if let Some(status) = events.parting.take() {
            return Some((Ok(Frame::data(error_line(&status))), events));
        }
        let watch = events.watch.as_mut()?;
        let event = tokio::select! {
            biased;
            // First, because under load there is always a next event.
            () = events.stopping.cancelled() => return None,
            () = tokio::time::sleep_until(events.deadline) => return None,
            event = watch.next() => event?,
        };
        let line = match event.and_then(|event| events.printer.line(&event)) {
            Ok(line) => line,
            Err(status) => {
                events.watch = None;
                error_line(&status)
            }
        };
        Some((Ok(Frame::data(line)), events))
    })
}

fn error_line(status: &Status) -> Bytes {
    format!("{}\n", json!({"type": "ERROR", "object": status.to_value()})).into()
}

/// The object as it is stored, in an event.
fn stored_line(kind: &str, event: &ObjectEvent) -> Bytes {
    let mut line = Vec::with_capacity(event.entry.size() + 80);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    event.entry.write_at(event.revision, &mut line);
    line.extend_from_slice(b"}\n");
    line.into()
}

struct Printer {
    served: Served,
    transform: Transform,
    include: Include,
    /// The columns of a Table are sent with the first row only.
    said_columns: bool,
}

impl Printer {
    fn line(&mut self, event: &WatchEvent) -> Result<Bytes, Status> {
        let event = match event {
            WatchEvent::Object(event) => event,
            WatchEvent::Bookmark { revision, initial_end } => return Ok(self.bookmark(*revision, *initial_end)),
        };
        let kind = match event.kind {
            WatchEventType::Added => "ADDED",
            WatchEventType::Modified => "MODIFIED",
            WatchEventType::Deleted => "DELETED",
        };
        if self.transform == Transform::None && same_bytes(&self.served) {
            return Ok(event.encoded(|| stored_line(kind, event)));
        }
        let object = decoded_at(&self.served, &event.entry, event.revision)?;
        let object = self.transformed(object)?;
        Ok(format!("{}\n", json!({"type": kind, "object": object})).into())
    }

    fn transformed(&mut self, object: Object) -> Result<Value, Status> {
        match &self.transform {
            Transform::None => Ok(object.into()),
            Transform::Metadata { version } | Transform::MetadataList { version } => Ok(partial(object, version)),
            Transform::Table { version } => {
                let meta = json!({"resourceVersion": object.resource_version()});
                let mut table = table::of(&self.served, &[object], meta, version, self.include)?;
                if std::mem::replace(&mut self.said_columns, true)
                    && let Some(table) = table.as_object_mut()
                {
                    table.insert("columnDefinitions".into(), Value::Null);
                }
                Ok(table)
            }
        }
    }

    fn bookmark(&self, revision: u64, initial_end: bool) -> Bytes {
        let info = self.served.info();
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (kind, version) = match &self.transform {
            Transform::None => (info.kind.clone(), info.group_version().to_string()),
            Transform::Table { version } => ("Table".to_owned(), format!("meta.k8s.io/{version}")),
            Transform::Metadata { version } | Transform::MetadataList { version } => {
                ("PartialObjectMetadata".to_owned(), format!("meta.k8s.io/{version}"))
            }
        };
        let mut object = json!({"kind": kind, "apiVersion": version, "metadata": metadata});
        if matches!(self.transform, Transform::Table { .. }) {
            object["columnDefinitions"] = Value::Null;
            object["rows"] = json!([]);
        }
        format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into()
    }
}
