//! The way of a request through the server, in the order in which it goes.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use api_meta::{Details, Status};
use apiserver_access::{Attributes, Authenticator, Authorizer, Decision, User};
use apiserver_audit::Auditor;
use apiserver_endpoints::{Body, BoxError, Endpoints, Info, Target, body, status_response};
use apiserver_flowcontrol::FlowControl;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{ACCEPT, CONNECTION, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use lib_tls::PeerIdentity;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::documents::Documents;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::trail::{Completion, Trail};
use crate::{compress, impersonation, seats};

/// How long a request that is no stream may take (upstream: `RequestTimeout`).
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The server behind its sockets.
pub(crate) struct Handler {
    pub(crate) endpoints: Endpoints,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) documents: Documents,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Metrics,
    pub(crate) flow_control: FlowControl,
    pub(crate) auditor: Option<Auditor>,
    pub(crate) latency: Option<watch::Receiver<Duration>>,
    /// Requests that are not answered yet, so that stopping can wait for them.
    pub(crate) under_way: TaskTracker,
}

/// Marks a request that comes from inside this process, from this user. Only code can set it, no socket.
#[derive(Clone)]
pub(crate) struct InProcess(pub(crate) User);

/// The certificate that the client showed, verified.
#[derive(Clone)]
pub(crate) struct Peer(pub(crate) Arc<PeerIdentity>);

impl Handler {
    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        // Held before the look at the signal: whoever is not counted sees it.
        let _under_way = self.under_way.token();
        let started = Instant::now();
        let info = Info::new(request.method(), request.uri().path(), request.uri().query());
        let verb = info.verb.clone();
        let resource = match &info.target {
            Target::Resource { attributes, .. } => attributes.resource.clone(),
            Target::Path => String::new(),
        };
        let handler = self.clone();
        let headers = accepted(request.headers());
        let gzip = request.method() == Method::GET && compress::takes_gzip(request.headers());
        let trail = Trail::begin(request.headers());
        let completion = Completion::of(trail.clone());
        let (long_running, on_trail) = (info.is_long_running(), trail.clone());
        let run: BoxFuture<'static, _> = async move { handler.bounded(info, request, on_trail).await }.boxed();
        let response = match std::panic::AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => status_response(&status, &headers),
            Err(_) => {
                trail.panicked().await;
                let status = Status::internal("the request could not be served; the server's log says why");
                status_response(&status, &headers)
            }
        };
        let response = completion.finish(long_running, response).await;
        let response = if gzip { compress::gzip(response).await } else { response };
        // Names nobody serves must not grow the metrics without bound.
        let resource = if response.status() == StatusCode::NOT_FOUND { String::new() } else { resource };
        self.metrics.observe(&verb, &resource, response.status(), started.elapsed());
        response
    }

    async fn bounded(
        self: Arc<Self>,
        info: Info,
        request: Request<Body>,
        trail: Trail,
    ) -> Result<Response<Body>, Status> {
        let is_probe = Health::is_probe(&info.path);
        if self.endpoints.stopping.is_cancelled() && !is_probe {
            return Ok(stopping(request.headers(), request.version()));
        }
        if info.is_long_running() {
            return self.filter(info, request, trail).await;
        }
        match tokio::time::timeout(REQUEST_TIMEOUT, self.filter(info, request, trail)).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::timeout("request did not complete within the allotted timeout", 0)),
        }
    }

    /// Wait if told to, authenticate, begin the record, impersonate, wait for seats, authorise, run.
    async fn filter(
        self: Arc<Self>,
        info: Info,
        mut request: Request<Body>,
        trail: Trail,
    ) -> Result<Response<Body>, Status> {
        self.be_slow().await;
        let inside = request.extensions().get::<InProcess>().map(|i| i.0.clone());
        let user = match inside {
            Some(user) => user,
            None => {
                let peer = request.extensions().get::<Peer>().map(|p| p.0.clone());
                match authenticate(self.authenticator.clone(), request.headers().clone(), peer, &info.path).await {
                    Ok(user) => user,
                    Err(refused) => {
                        trail.unauthenticated(self.auditor.as_ref(), &mut request, &info).await;
                        return Err(refused);
                    }
                }
            }
        };
        trail.received(self.auditor.as_ref(), &mut request, &info, &user).await?;
        let user = match impersonation::requested(request.headers(), &info.path) {
            Ok(None) => user,
            Ok(Some(wanted)) => {
                let assumed = impersonation::assume(&*self.authorizer, &user, wanted)?;
                trail.impersonated(&assumed);
                assumed
            }
            Err(text) => return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, text)),
        };
        impersonation::strip(request.headers_mut());
        match self.seats(&user, &info).await {
            Ok(seats) => {
                let headers = accepted(request.headers());
                seats.serve(&self, &info, &headers, self.clone().serve(&user, &info, request, &trail)).await
            }
            Err(refused) => Ok(seats::refuse(&refused)),
        }
    }

    async fn be_slow(&self) {
        let wait = self.latency.as_ref().map_or(Duration::ZERO, |latency| *latency.borrow());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    async fn serve(
        self: Arc<Self>,
        user: &User,
        info: &Info,
        request: Request<Body>,
        trail: &Trail,
    ) -> Result<Response<Body>, Status> {
        self.authorize(user, info, trail)?;
        if let Target::Resource { .. } = &info.target {
            let endpoints = self.endpoints.clone();
            return endpoints.handle(user, info, request).await;
        }
        if let Some(answer) = self.health.answer(info).await {
            return Ok(answer);
        }
        match &*info.path {
            "/metrics" => return Ok(self.metrics.answer()),
            "/metrics/slis" => return Ok(self.health.metrics().await),
            _ => {}
        }
        self.documents.answer(&self.endpoints.registry, request.method(), info, request.headers(), &self.health)
    }

    fn authorize(&self, user: &User, info: &Info, trail: &Trail) -> Result<(), Status> {
        let attributes = Attributes {
            user: user.clone(),
            verb: info.verb.clone(),
            resource: info.attributes(),
            path: info.path.clone(),
        };
        let decision = self.authorizer.authorize(&attributes);
        trail.decided(&decision);
        if decision.is_allowed() { Ok(()) } else { Err(forbidden(&attributes, &decision)) }
    }
}

/// What is kept of a request's headers to answer it when it fails.
fn accepted(headers: &HeaderMap) -> HeaderMap {
    headers.get(ACCEPT).map(|accept| (ACCEPT, accept.clone())).into_iter().collect()
}

async fn authenticate(
    authenticator: Arc<dyn Authenticator>,
    headers: HeaderMap,
    peer: Option<Arc<PeerIdentity>>,
    path: &str,
) -> Result<User, Status> {
    match authenticator.authenticate(&headers, peer.as_deref()).await {
        Ok(Some(user)) => Ok(user),
        Ok(None) if authenticator.lets_strangers_in(path) => Ok(User::anonymous()),
        Ok(None) => Err(Status::unauthorized()),
        Err(error) => {
            tracing::debug!(error = %error, "authentication failed");
            Err(Status::unauthorized())
        }
    }
}

pub(crate) fn forbidden(attributes: &Attributes, decision: &Decision) -> Status {
    let (resource, name) = match &attributes.resource {
        Some(r) => (api_meta::GroupResource::new(&*r.group, &*r.resource), r.name.as_str()),
        None => (api_meta::GroupResource::new("", ""), ""),
    };
    match decision.reason() {
        "" => Status::forbidden(&resource, name, attributes.describe()),
        reason => Status::forbidden(&resource, name, format!("{}: {reason}", attributes.describe())),
    }
}

/// Another server may take the request, or this one when it is back (upstream: `WithRetryAfter`).
fn stopping(headers: &HeaderMap, version: Version) -> Response<Body> {
    let details = Details { retry_after_seconds: 1, ..Details::default() };
    let status = Status::service_unavailable("the API server is shutting down, please try again later");
    let mut response = status_response(&status.with_details(details), headers);
    if version <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

pub(crate) fn plain(code: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = code;
    let headers: HeaderMap = [
        (http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ]
    .into_iter()
    .collect();
    *response.headers_mut() = headers;
    response
}

/// The server as a service that a client in this process, or a connection, can call.
#[derive(Clone)]
pub struct Service {
    handler: Arc<Handler>,
    user: Option<User>,
}

impl Service {
    /// Requests are authenticated by what they carry.
    pub(crate) fn new(handler: Arc<Handler>) -> Self {
        Self { handler, user: None }
    }

    /// Requests come from this user, whatever they carry.
    pub(crate) fn as_user(handler: Arc<Handler>, user: User) -> Self {
        Self { handler, user: Some(user) }
    }
}

impl<B> tower::Service<Request<B>> for Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let handler = self.handler.clone();
        let mut request = request.map(body::boxed);
        if let Some(user) = &self.user {
            request.extensions_mut().insert(InProcess(user.clone()));
        }
        async move { Ok(handler.answer(request).await) }.boxed()
    }
}
