//! The kubelet's HTTP endpoints: what [`metrics`](super::metrics) tell, `containerLogs`, `exec`, `attach`, `portForward`, in the real kubelet's URL form; and
//! `proxy/NAMESPACE/POD/PORT/...`, which here is the way to what listens in a pod: its address leads nowhere.
//!
//! # Flow
//!
//! An upgrade takes over the connection that the request carries (a hyper server's). A request without one, as from a
//! client in the same process, goes over a connection in memory, and its answer can be upgraded instead.

mod exec;
mod log_stream;
mod port_forward;
mod upgrade;
mod websocket;

use std::{borrow::Cow, convert::Infallible, fmt::Display, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};

use super::{
    Kubelets, behaviour, http_service,
    nodes::{self, Spec},
};

/// What may go wrong while an answer is read.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A refusal in plain text, as kubelets give it.
type Refusal = (StatusCode, String);

/// Nobody answers at a node's kubelet. In the words that an API server has for it, which differ by what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreachable {
    /// The HTTP status of the API server's answer.
    pub code: StatusCode,
    /// What its client is told.
    pub message: String,
}

impl Unreachable {
    fn new(node: &Spec, asked: &Uri) -> Self {
        let address = format!("{}:{}", node.address, nodes::PORT);
        let refused = format!("dial tcp {address}: connect: connection refused");
        let first = asked.path().trim_start_matches('/').split('/').next().unwrap_or_default();
        let (code, message) = match first {
            "exec" | "attach" | "portForward" => {
                (StatusCode::INTERNAL_SERVER_ERROR, format!("error dialing backend: {refused}"))
            }
            "containerLogs" => {
                let target = asked.path_and_query().map_or("/", |target| target.as_str());
                (StatusCode::INTERNAL_SERVER_ERROR, format!("Get \"https://{address}{target}\": {refused}"))
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, format!("error trying to reach service: {refused}")),
        };
        Self { code, message }
    }
}

impl Kubelets {
    /// Answers a request to a node's kubelet; `101` for streams.
    ///
    /// # Errors
    ///
    /// When the node is unreachable.
    pub async fn handle<B>(self: &Arc<Self>, node: &str, request: Request<B>) -> Result<Response<Body>, Unreachable>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Some(known) = self.nodes.get(node) else {
            return Ok(text(StatusCode::BAD_GATEWAY, format!("node {node:?} is not simulated here")));
        };
        if !self.acts(&known.name) {
            return Err(Unreachable::new(&known, request.uri()));
        }
        let upgrades = request.headers().contains_key(header::UPGRADE);
        if !upgrades || request.extensions().get::<OnUpgrade>().is_some() {
            return Ok(self.answer(&known.name, request));
        }
        Ok(match self.connect(known.name.clone(), request).await {
            Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
            Err(error) => text(StatusCode::BAD_GATEWAY, crate::error::chain(&error)),
        })
    }

    /// Sends a request over a connection in memory.
    async fn connect<B>(self: &Arc<Self>, node: String, request: Request<B>) -> Result<Response<Incoming>, hyper::Error>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (this, token) = (self.clone(), self.cluster.token.clone());
        self.cluster.tasks.spawn(async move {
            let service = service_fn(move |request| {
                let response = this.answer(&node, request);
                async { Ok::<_, Infallible>(response) }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            tokio::select! {
                () = token.cancelled() => {}
                _ = builder.serve_connection(TokioIo::new(far), service).with_upgrades() => {}
            }
        });
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await?;
        let token = self.cluster.token.clone();
        self.cluster.tasks.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                _ = connection.with_upgrades() => {}
            }
        });
        sender.send_request(relative(request)).await
    }

    fn answer<B>(self: &Arc<Self>, node: &str, mut request: Request<B>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let segments: Vec<Cow<'_, str>> = path
            .trim_start_matches('/')
            .split('/')
            .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy())
            .collect();
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        if matches!(*request.method(), Method::GET | Method::HEAD)
            && let Some(told) = self.told(node, &segments)
        {
            return told;
        }
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let answer = match (request.method(), segments.as_slice()) {
            (&Method::GET, ["containerLogs", namespace, pod, container]) => {
                self.container(node, namespace, pod, container).and_then(|found| self.logs(found, &query))
            }
            (&Method::GET | &Method::POST, ["exec", namespace, pod, .., container]) => {
                self.container(node, namespace, pod, container).and_then(|found| self.exec(found, &query, &mut request))
            }
            (&Method::GET | &Method::POST, ["attach", namespace, pod, .., container]) => self
                .container(node, namespace, pod, container)
                .and_then(|found| self.attach(found, &query, &mut request)),
            (&Method::GET | &Method::POST, ["portForward", namespace, pod, ..]) => {
                self.pod(node, namespace, pod).and_then(|pod| self.port_forward(pod, &query, &mut request))
            }
            (_, ["proxy", namespace, pod, port, _, ..]) => {
                self.pod(node, namespace, pod).and_then(|pod| self.proxy(&pod, port, &request))
            }
            _ => Err((StatusCode::NOT_FOUND, "404 page not found\n".to_owned())),
        };
        answer.unwrap_or_else(|(code, message)| text(code, message))
    }

    fn proxy<B>(&self, pod: &Pod, port: &str, request: &Request<B>) -> Result<Response<Body>, Refusal> {
        let port = port.parse().map_err(|_| (StatusCode::BAD_REQUEST, format!("{port:?} is no port")))?;
        if crate::pods::phase(pod) != "Running" {
            let message = format!("error trying to reach service: pod {:?} is not running", crate::meta::name(pod));
            return Err((StatusCode::SERVICE_UNAVAILABLE, message));
        }
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        // Behind the slash and the four parts that say which pod.
        let below = target.splitn(6, '/').nth(5).unwrap_or_default();
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first()).map_or("", |c| c.name.as_str());
        let log = self.log_of(pod, container);
        let answer = http_service::respond(pod, port, request.method(), &format!("/{below}"), request.headers(), &log);
        Ok(answer.map(|body| body.map_err(|never| match never {}).boxed_unsync()))
    }

    fn pod(&self, node: &str, namespace: &str, name: &str) -> Result<Arc<Pod>, Refusal> {
        self.find(node, namespace, name).ok_or_else(|| (StatusCode::NOT_FOUND, format!("pod {name:?} does not exist")))
    }

    fn container(&self, node: &str, namespace: &str, pod: &str, name: &str) -> Result<Found, Refusal> {
        let pod = self.pod(node, namespace, pod)?;
        let Some(container) = pod.spec.as_ref().and_then(|spec| container_of(spec, name)) else {
            let message = format!("container {name} not found in pod {}", crate::meta::name(&*pod));
            return Err((StatusCode::NOT_FOUND, message));
        };
        let status = status_of(&pod, name).cloned().unwrap_or_default();
        Ok(Found { pod, container, status })
    }
}

/// A container by its name, which no other of the pod has, of whatever sort.
pub(super) fn container_of(spec: &PodSpec, name: &str) -> Option<Container> {
    let mut lasting = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let mut ephemeral = spec.ephemeral_containers.iter().flatten();
    let found = lasting.find(|container| container.name == name).cloned();
    found.or_else(|| ephemeral.find(|container| container.name == name).map(behaviour::as_container))
}

pub(super) fn status_of<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    all.into_iter().flatten().flatten().find(|status| status.name == name)
}

/// A container that a request names.
struct Found {
    pod: Arc<Pod>,
    container: Container,
    status: ContainerStatus,
}

impl Found {
    fn require_running(&self) -> Result<(), Refusal> {
        let running = self.status.state.as_ref().is_some_and(|state| state.running.is_some());
        running.then_some(()).ok_or_else(|| {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("container not found (\"{}\")", self.container.name))
        })
    }
}

struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true" | "True" | "TRUE" | "t"))
    }

    /// A number; a refusal if it is none.
    fn number<N: std::str::FromStr<Err: Display>>(&self, name: &str) -> Result<Option<N>, Refusal> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse().map(Some).map_err(|error| (StatusCode::BAD_REQUEST, format!("invalid {name} {text:?}: {error}")))
    }
}

pub(super) fn text(code: StatusCode, message: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(message.into()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = code;
    let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// An HTTP/1.1 client sends the path only, and a host.
fn relative<B>(mut request: Request<B>) -> Request<B> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).parse();
    if let Ok(target) = target {
        *request.uri_mut() = target;
    }
    *request.version_mut() = http::Version::HTTP_11;
    request.headers_mut().entry(header::HOST).or_insert(header::HeaderValue::from_static("kubelet"));
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: &str, code: u16, message: &str) {
        let config = crate::SandboxConfig { nodes: 1, ..crate::SandboxConfig::default() };
        let node = nodes::Nodes::new(&config).get("node-1").unwrap();
        let error = Unreachable::new(&node, &asked.parse().unwrap());
        assert_eq!((error.code.as_u16(), error.to_string()), (code, message.to_owned()));
    }

    #[test]
    fn api_servers_have_words_for_a_dead_kubelet() {
        let refused = "dial tcp 172.18.0.2:10250: connect: connection refused";
        check("/exec/n/p/c?command=ls", 500, &format!("error dialing backend: {refused}"));
        check(
            "/containerLogs/n/p/c?follow=true",
            500,
            &format!("Get \"https://172.18.0.2:10250/containerLogs/n/p/c?follow=true\": {refused}"),
        );
        check("/stats/summary", 503, &format!("error trying to reach service: {refused}"));
    }
}
