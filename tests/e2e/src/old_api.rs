//! A server that says it is a Kubernetes of some version, and nothing else: what an import meets before it looks closer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use lib_tls::{Authority, ClientVerification, Leaf, server_config};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// It lives as long as the value.
pub struct OldApi {
    pub address: SocketAddr,
    pub ca_pem: String,
    _tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl OldApi {
    /// One of version `1.minor`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(minor: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let authority = Authority::load_or_create(folder.path(), "old").expect("an authority can be made");
        let names = vec!["127.0.0.1".to_owned()];
        let credential = authority.issue(&Leaf::Server(names)).expect("a server certificate can be issued");
        let tls = server_config(&credential, &ClientVerification::None, &[b"http/1.1"]).expect("TLS can be configured");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), minor));
        Self { address, ca_pem: authority.certificate_pem().to_owned(), _tasks: tasks, _folder: folder }
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, minor: u32) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, acceptor.clone(), minor));
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, minor: u32) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request: Request<Incoming>| async move { Ok::<_, Infallible>(answer(&request, minor)) });
    // Whoever asked may have gone; that is theirs to notice.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

fn answer(request: &Request<Incoming>, minor: u32) -> Response<Full<Bytes>> {
    let (status, body) = match request.uri().path() {
        "/version" => (StatusCode::OK, version(minor)),
        "/healthz" | "/livez" | "/readyz" => (StatusCode::OK, json!("ok")),
        "/api/v1/nodes" => {
            (StatusCode::OK, json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": []}))
        }
        _ => (StatusCode::NOT_FOUND, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn version(minor: u32) -> Value {
    json!({
        "major": "1", "minor": minor.to_string(), "gitVersion": format!("v1.{minor}.0"), "gitCommit": "0",
        "gitTreeState": "clean", "buildDate": "2018-12-03T20:56:12Z", "goVersion": "go1.11", "compiler": "gc",
        "platform": "linux/amd64",
    })
}
