//! A cluster's Kubernetes API as something that takes requests, wherever it is.
//!
//! The API server may be in this process, behind HTTPS, or at the far end of whatever [`ClusterApi::from_fn`] wraps: who
//! sends requests cannot tell. Nothing here decides in whose name a request is made.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, Version};
use http_body::Body as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt};

/// As many connections as are in use at once are kept for the next request: each new one begins with a handshake.
const IDLE: usize = 128;

/// How long one is kept. API servers and what stands before them hang up on who says nothing, ours after 10 seconds; what is
/// sent at that very moment is lost, and nobody knows whether it was done. So we hang up before.
pub const IDLE_FOR: Duration = Duration::from_secs(5);

/// An error of whatever is underneath.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bodies, which stream.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// An answer to come. Dropping it gives up.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

/// A Kubernetes API. Bodies stream both ways. Whoever answers 101 puts its end of the stream, a `hyper` `OnUpgrade`, into
/// the response's extensions: the caller of [`ClusterApi::send`] owns both ends, and decides when the stream is over.
#[derive(Clone)]
pub struct ClusterApi(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl ClusterApi {
    /// An API in this process. Its privileges are the caller's affair.
    pub fn in_process<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service.map_response(|response: Response<B>| response.map(boxed)).map_err(Into::into);
        Self(BoxCloneSyncService::new(service))
    }

    /// An API behind HTTPS, with the address, trust and credentials of a kubeconfig or of a service account. Redirects are
    /// not followed.
    ///
    /// # Errors
    /// When the configuration's certificates or credentials cannot be used.
    pub fn https(config: &kube::Config) -> Result<Self, kube::Error> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(10)));
        let client: Client<_, Body> = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE)
            .build(config.rustls_https_connector_with_connector(connector)?);
        let service = ServiceBuilder::new()
            .map_request(|mut request: Request<Body>| {
                // Upgrades need it, and a watch that stops reading must not stop others.
                *request.version_mut() = Version::HTTP_11;
                request
            })
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .map_err(BoxError::from)
            .service(client);
        Ok(Self::in_process(service))
    }

    /// Anything that answers requests.
    pub fn from_fn<F>(send: F) -> Self
    where
        F: Fn(Request<Body>) -> Answer + Clone + Send + Sync + 'static,
    {
        Self(BoxCloneSyncService::new(tower::service_fn(send)))
    }

    /// Sends one request and waits for the head of the answer.
    pub fn send(&self, request: Request<Body>) -> Answer {
        Box::pin(self.0.clone().oneshot(request))
    }

    /// A typed client under the API's own identity.
    pub fn client(&self) -> kube::Client {
        self.client_with(|_| {})
    }

    /// A typed client whose every request gets these headers before it goes out.
    pub fn client_with<F>(&self, headers: F) -> kube::Client
    where
        F: Fn(&mut HeaderMap) + Clone + Send + Sync + 'static,
    {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let mut request = request.map(boxed);
            headers(request.headers_mut());
            api.send(request)
        });
        kube::Client::new(service, "default")
    }
}

/// Any body, with its type erased.
pub fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// A body that is all there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    boxed(Full::new(bytes.into()))
}

/// Why a body is not whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// There is more than anybody wants.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// It broke off.
    #[error("the body broke off")]
    Broken(#[source] BoxError),
}

/// A whole body of at most `limit` bytes. More is not kept.
///
/// # Errors
/// When there is more, or the body breaks off.
pub async fn collect(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    if usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX) > limit {
        return Err(BodyError::TooLong(limit));
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(BodyError::TooLong(limit));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}
