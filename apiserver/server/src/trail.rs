//! The trail that one request leaves in the audit log, from when it comes to its last byte.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use api_meta::Status;
use apiserver_access::{Attributes, Decision, User};
use apiserver_audit::{Auditor, Record, Request as Asked, Stage};
use apiserver_endpoints::{Body, BoxError, Info, body};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use jiff::Timestamp;

use crate::chain::Peer;

/// Names a request in the log and in its answer; whoever asks may choose it.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// Longer ones are not taken: the log repeats them at each stage.
const LONGEST_ID: usize = 256;

/// Where a connection comes from.
#[derive(Clone, Copy)]
pub(crate) struct RemoteAddress(pub(crate) IpAddr);

/// What the filter chain and its end share about a request.
#[derive(Clone)]
pub(crate) struct Trail(Arc<Inner>);

struct Inner {
    id: HeaderValue,
    received: Timestamp,
    record: OnceLock<Record>,
    /// The last event is written already.
    ended: AtomicBool,
}

impl Trail {
    pub(crate) fn begin(headers: &HeaderMap) -> Self {
        let wanted = headers.get(AUDIT_ID).filter(|id| !id.is_empty() && id.len() <= LONGEST_ID && id.to_str().is_ok());
        let id = wanted.cloned().unwrap_or_else(|| {
            // A uuid is always a header's value.
            HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
        });
        Self(Arc::new(Inner { id, received: Timestamp::now(), record: OnceLock::new(), ended: AtomicBool::new(false) }))
    }

    fn open(&self, auditor: Option<&Auditor>, request: &Request<Body>, info: &Info, user: &User) -> Option<Record> {
        let auditor = auditor?;
        let headers = request.headers();
        let text = |name: &HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let attributes = Attributes {
            user: user.clone(),
            verb: info.verb.clone(),
            resource: info.attributes(),
            path: info.path.clone(),
        };
        let forwarded = HeaderName::from_static("x-forwarded-for");
        let record = auditor.begin(&Asked {
            audit_id: self.0.id.to_str().unwrap_or_default(),
            uri: request.uri().path_and_query().map_or("/", |p| p.as_str()),
            attributes: &attributes,
            forwarded_for: headers.get_all(forwarded).iter().filter_map(|v| v.to_str().ok()).collect(),
            real_ip: text(&HeaderName::from_static("x-real-ip")),
            peer: request.extensions().get::<RemoteAddress>().map(|address| address.0),
            user_agent: text(&USER_AGENT),
            received: self.0.received,
        })?;
        let _ = self.0.record.set(record.clone());
        Some(record)
    }

    /// Opens the record of a request whose user is known, and hands it on with the request.
    ///
    /// # Errors
    ///
    /// The first event is lost and nothing may be done without.
    pub(crate) async fn received(
        &self,
        auditor: Option<&Auditor>,
        request: &mut Request<Body>,
        info: &Info,
        user: &User,
    ) -> Result<(), Status> {
        let Some(record) = self.open(auditor, request, info, user) else { return Ok(()) };
        record.received().await.map_err(|_| Status::internal("failed to store audit event"))?;
        request.extensions_mut().insert(record);
        Ok(())
    }

    /// Records a request whose user could not be told (upstream: `WithFailedAuthenticationAudit`).
    pub(crate) async fn unauthenticated(&self, auditor: Option<&Auditor>, request: &mut Request<Body>, info: &Info) {
        if let Some(record) = self.open(auditor, request, info, &User::default()) {
            self.0.ended.store(true, Ordering::Relaxed);
            record.response_message(401, "", &attempted(request));
            // The answer is a refusal anyway.
            let _ = record.emit(Stage::ResponseStarted).await;
        }
    }

    pub(crate) fn impersonated(&self, user: &User) {
        if let Some(record) = self.0.record.get() {
            record.impersonated(user);
        }
    }

    pub(crate) fn decided(&self, decision: &Decision) {
        if let Some(record) = self.0.record.get() {
            let word = if decision.is_allowed() { "allow" } else { "forbid" };
            record.annotate("authorization.k8s.io/decision", word);
            record.annotate("authorization.k8s.io/reason", decision.reason());
        }
    }

    pub(crate) async fn panicked(&self) {
        if let Some(record) = self.0.record.get() {
            self.0.ended.store(true, Ordering::Relaxed);
            record.response_message(500, "Failure", "the request could not be served");
            let _ = record.emit(Stage::Panic).await;
        }
    }
}

/// What the client tried, never what it said.
fn attempted(request: &Request<Body>) -> String {
    let mut methods = Vec::new();
    let scheme = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match scheme.split(' ').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "basic" => methods.push("basic"),
        "bearer" => methods.push("bearer"),
        _ => {}
    }
    if request.extensions().get::<Peer>().is_some() {
        methods.push("x509");
    }
    match &methods[..] {
        [] => "Authentication failed, no credentials provided".to_owned(),
        some => format!("Authentication failed, attempted: {}", some.join(", ")),
    }
}

/// Sees to it that a request's last event is written, also when its client goes away before the answer.
pub(crate) struct Completion(Trail);

impl Completion {
    pub(crate) fn of(trail: Trail) -> Self {
        Self(trail)
    }

    /// Records the answer. What streams is complete when it ends.
    pub(crate) async fn finish(self, long_running: bool, response: Response<Body>) -> Response<Body> {
        let Inner { id, record, ended, .. } = &*self.0.0;
        let mut response = match record.get() {
            Some(record) if !ended.swap(true, Ordering::Relaxed) => recorded(record, long_running, response).await,
            _ => response,
        };
        response.headers_mut().insert(AUDIT_ID, id.clone());
        response
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        let Inner { record, ended, .. } = &*self.0.0;
        if let Some(record) = record.get().filter(|_| !ended.swap(true, Ordering::Relaxed)) {
            record.response_message(200, "Success", "Connection closed early");
            record.emit_later(Stage::ResponseComplete);
        }
    }
}

async fn recorded(record: &Record, long_running: bool, response: Response<Body>) -> Response<Body> {
    let code = response.status().as_u16();
    if long_running {
        record.response(code, None);
        let _ = record.emit(Stage::ResponseStarted).await;
        return response.map(|content| body::boxed(Streamed { content, _end: StreamEnd(record.clone()) }));
    }
    if code < 400 && !record.wants_response() {
        record.response(code, None);
        let _ = record.emit(Stage::ResponseComplete).await;
        return response;
    }
    let (parts, content) = response.into_parts();
    // The answer of a verb is at hand as a whole; this only looks at it.
    let bytes = content.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
    record.response(code, Some(&bytes));
    let _ = record.emit(Stage::ResponseComplete).await;
    Response::from_parts(parts, body::full(bytes))
}

/// Writes the last event when it goes.
struct StreamEnd(Record);

impl Drop for StreamEnd {
    fn drop(&mut self) {
        self.0.emit_later(Stage::ResponseComplete);
    }
}

struct Streamed {
    content: Body,
    _end: StreamEnd,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.content).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
