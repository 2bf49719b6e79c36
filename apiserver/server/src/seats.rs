//! What priority and fairness needs of this server: its objects, how wide requests are, and how long they hold seats.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use api_meta::{Object, Status};
use apiserver_access::User;
use apiserver_endpoints::{Body, BoxError, Info, Target, body, status_response};
use apiserver_flowcontrol::{ConfigurationSource, Digest, LENDING_PERIOD, Permit, Refused};
use apiserver_registry::{Registry, Served};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::chain::{Handler, REQUEST_TIMEOUT, plain};

/// How long a request may wait for seats (upstream: a quarter of its time).
const PATIENCE: Duration = Duration::from_secs(REQUEST_TIMEOUT.as_secs() / 4);

/// How many objects of a list make one seat (upstream: `objectsPerSeat`).
const OBJECTS_PER_SEAT: u64 = 100;

const FLOW_SCHEMA: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const PRIORITY_LEVEL: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

struct Objects {
    schemas: Option<Arc<Served>>,
    levels: Option<Arc<Served>>,
}

/// The objects as the mirror has them.
pub(crate) fn configuration(registry: &Registry) -> Arc<dyn ConfigurationSource> {
    let find = |plural| registry.catalog().find("flowcontrol.apiserver.k8s.io", "v1", plural);
    Arc::new(Objects { schemas: find("flowschemas"), levels: find("prioritylevelconfigurations") })
}

fn all(served: Option<&Arc<Served>>) -> Vec<Object> {
    let collection = served.and_then(|s| s.collection.as_ref());
    collection.into_iter().flat_map(|c| c.list("")).filter_map(|entry| entry.object().ok()).collect()
}

impl ConfigurationSource for Objects {
    fn version(&self) -> u64 {
        let kinds = [&self.schemas, &self.levels].into_iter().flatten();
        kinds.filter_map(|k| k.collection.as_ref()).map(|c| c.version()).max().unwrap_or_default()
    }

    fn flow_schemas(&self) -> Vec<Object> {
        all(self.schemas.as_ref())
    }

    fn priority_levels(&self) -> Vec<Object> {
        all(self.levels.as_ref())
    }
}

/// Lets priority levels lend each other seats until the server stops.
pub(crate) async fn lend(handler: Arc<Handler>, stopping: CancellationToken) {
    while stopping.run_until_cancelled(tokio::time::sleep(LENDING_PERIOD)).await.is_some() {
        handler.flow_control.lend();
    }
}

/// The right of one request to run now.
pub(crate) enum Seats {
    Held(Permit),
    /// Streams that people hold open; nobody counts them (upstream: long-running requests but watches).
    Uncounted,
}

impl Handler {
    /// Waits for the request's turn.
    pub(crate) async fn seats(&self, user: &User, info: &Info) -> Result<Seats, Refused> {
        if info.is_long_running() && !info.is_watch() {
            return Ok(Seats::Uncounted);
        }
        let resource = match &info.target {
            Target::Resource { attributes, .. } => Some(attributes),
            Target::Path => None,
        };
        let digest = Digest { user, verb: &info.verb, resource, path: &info.path };
        let permit = self.flow_control.admit(&digest, || self.width(info), PATIENCE).await?;
        Ok(Seats::Held(permit))
    }

    /// Lists, and watches that begin with one, are as wide as there are objects to go through.
    fn width(&self, info: &Info) -> u64 {
        let Target::Resource { attributes, .. } = &info.target else { return 1 };
        let lists = match &*info.verb {
            "list" => true,
            "watch" => {
                info.query.flag("sendInitialEvents")
                    || matches!(info.query.get("resourceVersion"), None | Some("" | "0"))
            }
            _ => false,
        };
        if !lists || info.attributes().is_some_and(|a| !a.name.is_empty()) {
            return 1;
        }
        let served =
            self.endpoints.registry.catalog().find(&attributes.group, &attributes.version, &attributes.resource);
        let objects = served.and_then(|s| s.collection.as_ref().map(|c| c.len())).unwrap_or_default();
        (objects as u64).div_ceil(OBJECTS_PER_SEAT).max(1)
    }
}

impl Seats {
    /// Runs the request on its seats. A watch gives them back when what it begins with has been sent.
    pub(crate) async fn serve(
        self,
        handler: &Handler,
        info: &Info,
        headers: &HeaderMap,
        run: impl Future<Output = Result<Response<Body>, Status>>,
    ) -> Result<Response<Body>, Status> {
        let Self::Held(permit) = self else { return run.await };
        let mut answer = run.await.unwrap_or_else(|status| status_response(&status, headers));
        say_uids(answer.headers_mut(), &permit.flow_schema_uid, &permit.priority_level_uid);
        if !info.is_watch() || !answer.status().is_success() {
            return Ok(answer);
        }
        let (began, has_begun) = oneshot::channel::<()>();
        let stopping = handler.endpoints.stopping.clone();
        handler.under_way.spawn(async move {
            // A client that does not read must not keep them for ever.
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, stopping.run_until_cancelled(has_begun)).await;
            drop(permit);
        });
        Ok(answer.map(|content| body::boxed(Beginning { content, began: Some(began) })))
    }
}

/// 429 in upstream's form, which is plain text.
pub(crate) fn refuse(refused: &Refused) -> Response<Body> {
    let text = "Too many requests, please try again later.\n".to_owned();
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(refused.retry_after_seconds));
    say_uids(response.headers_mut(), &refused.flow_schema_uid, &refused.priority_level_uid);
    response
}

fn say_uids(headers: &mut HeaderMap, flow_schema: &str, priority_level: &str) {
    for (name, uid) in [(FLOW_SCHEMA, flow_schema), (PRIORITY_LEVEL, priority_level)] {
        if let Ok(uid) = HeaderValue::from_str(uid) {
            headers.insert(name, uid);
        }
    }
}

/// A stream that tells when it first has nothing more to send.
struct Beginning {
    content: Body,
    began: Option<oneshot::Sender<()>>,
}

impl http_body::Body for Beginning {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.content).poll_frame(context);
        if !matches!(polled, Poll::Ready(Some(Ok(_)))) {
            // Dropped is as good as sent.
            self.began = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
