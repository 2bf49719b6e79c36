//! The member's Kubernetes API, wherever it is.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that streams.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A future whose insides are erased: of some the compiler cannot prove that they are `Send` inside another one.
type Erased<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// The Kubernetes API of the agent's cluster, under the agent's own identity.
///
/// Who calls it cannot tell whether there is a network in between. Redirects are not followed.
#[derive(Clone)]
pub struct MemberApi(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl MemberApi {
    /// An API server in this process. The service knows by itself that the caller is the agent.
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

    /// An API server behind HTTPS, with the address, trust and credentials of a kubeconfig or of a service account.
    pub fn https(config: &kube::Config) -> Result<Self, kube::Error> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(10)));
        let client: Client<_, Body> = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(16)
            .build(config.rustls_https_connector_with_connector(connector)?);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .map_err(BoxError::from)
            .service(client);
        Ok(Self::in_process(service))
    }

    /// Sends a request and waits for the head of the response. Dropping the future gives up.
    pub(crate) fn send(&self, mut request: Request<Body>) -> Erased<Response<Body>> {
        *request.version_mut() = Version::HTTP_11;
        Box::pin(self.0.clone().oneshot(request))
    }
}

pub(crate) fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// The whole body, up to a limit.
pub(crate) async fn read(mut body: Body, limit: usize) -> Result<Bytes, BoxError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if whole.len() + data.len() > limit {
                return Err("the answer is too long".into());
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    boxed(Full::new(bytes.into()))
}
