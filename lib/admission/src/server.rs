//! Serves reviews over TLS.
//!
//! A connection takes one review. They are few, and whoever could keep connections open without asking anything would keep
//! others out, which refuses their writes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lib_drain::Drain;
use lib_tls::{Authority, ClientVerification, renewing_server_config};
use ring::digest::{SHA256, digest};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::review::{AdmissionRequest, Refusal, Verdict, decode, encode};

/// The most that a request's head may take.
const MAX_HEAD: usize = 16 * 1024;

/// Judges writes.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Whether this write may be. Dropped when it takes too long, and then the write is refused.
    async fn review(&self, request: &AdmissionRequest) -> Verdict;
}

/// How much, how long and how many.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a review: two of the largest objects, and what is around them.
    pub body: usize,
    /// Reviews at once; more wait.
    pub reviews: usize,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// For a handshake, and then for the whole question to arrive.
    pub arrival: Duration,
    /// For a verdict, waiting for its turn included. Less than the API server waits, so that it hears why.
    pub verdict: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 8 << 20,
            reviews: 64,
            connections: 512,
            arrival: Duration::from_secs(5),
            verdict: Duration::from_secs(8),
        }
    }
}

/// A configuration for a server of these names, certified by `authority` for as long as it runs: the certificate is
/// replaced before it expires.
pub fn tls(authority: Arc<Authority>, names: Vec<String>) -> Result<Arc<ServerConfig>, lib_tls::Error> {
    renewing_server_config(authority, names, &ClientVerification::None, &[b"http/1.1"]).map(Arc::new)
}

/// A path below `prefix` that is known to who holds `secret`, and to whom they tell it.
pub fn unguessable_path(prefix: &str, secret: &str) -> String {
    let hash = hash(&format!("{prefix}\n{secret}"));
    let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}/{hex}")
}

type Hash = [u8; 32];

fn hash(text: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

/// A server of webhooks.
#[derive(Clone)]
pub struct Server {
    /// By the hash of their path: how long a look takes says nothing of a path that is not known.
    routes: Arc<HashMap<Hash, Arc<dyn Handler>>>,
    limits: Limits,
    reviews: Arc<Semaphore>,
}

impl Server {
    /// Handlers by their paths.
    pub fn new(routes: impl IntoIterator<Item = (String, Arc<dyn Handler>)>, limits: Limits) -> Self {
        let routes = routes.into_iter().map(|(path, handler)| (hash(&path), handler)).collect();
        Self { routes: Arc::new(routes), limits, reviews: Arc::new(Semaphore::new(limits.reviews)) }
    }

    /// Serves until `drain` finishes. Reviews that are under way then are answered.
    pub async fn serve(self, listener: TcpListener, tls: Arc<ServerConfig>, drain: Drain) {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        loop {
            let accepted = async {
                let place = room.clone().acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = drain.finishing() => return,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (server, tls) = (self.clone(), tls.clone());
                    drain.spawn(async move {
                        let _place = place;
                        server.converse(stream, tls).await;
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: wait for some to come back.
                    tracing::warn!(error = %error, "could not accept a connection of an API server");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn converse(&self, stream: TcpStream, tls: Arc<ServerConfig>) {
        let stream = match timeout(self.limits.arrival, TlsAcceptor::from(tls).accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(error = %error, "no handshake with who came for a review"),
            Err(_) => return,
        };
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.answer(request).await) });
        let served = http1::Builder::new()
            .keep_alive(false)
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.arrival)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(error = %lib_telemetry::chain(&error), "a review ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(handler) = self.routes.get(&hash(request.uri().path())) else {
            return plain(StatusCode::NOT_FOUND, "there is no webhook here");
        };
        if request.method() != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "a review is posted");
        }
        let body = Limited::new(request.into_body(), self.limits.body).collect();
        let bytes = match timeout(self.limits.arrival, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return plain(StatusCode::PAYLOAD_TOO_LARGE, "the review is too long");
            }
            Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST, "the review broke off"),
            Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the review did not arrive in time"),
        };
        let request = match decode(&bytes) {
            Ok(request) => request,
            Err(error) => return plain(StatusCode::BAD_REQUEST, error.to_string()),
        };
        drop(bytes);
        let verdict = async {
            // Never closed.
            let _turn = self.reviews.acquire().await;
            handler.review(&request).await
        };
        let verdict = timeout(self.limits.verdict, verdict).await.unwrap_or_else(|_| {
            Verdict::deny(Refusal::timeout("the write could not be judged in time; try again in a moment"))
        });
        if let Some(refusal) = verdict.refusal() {
            tracing::info!(request = ?request, code = refusal.code, reason = refusal.reason, "refused a write");
        }
        let mut response = Response::new(Full::from(encode(&request.uid, &verdict)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

fn plain(code: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests;
