//! The reference: HTTPS on loopback with the same TLS and HTTP libraries, and no work behind them.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use lib_tls::{Authority, ClientVerification, Leaf, server_config};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Reads what is sent and answers with as many bytes as the path's last part says.
pub(crate) struct Echo {
    pub(crate) url: String,
    pub(crate) ca_pem: String,
    _tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl Echo {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::load_or_create(folder.path(), "echo")?;
        let credential = authority.issue(&Leaf::Server(vec!["127.0.0.1".to_owned()]))?;
        let tls = server_config(&credential, &ClientVerification::None, &[b"h2", b"http/1.1"])?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://{}", listener.local_addr()?);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(tls))));
        Ok(Self { url, ca_pem: authority.certificate_pem().to_owned(), _tasks: tasks, _folder: folder })
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        connections.spawn(serve(stream, acceptor.clone()));
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let length = request.uri().path().rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or(0);
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(Bytes::from(vec![b' '; length])));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
