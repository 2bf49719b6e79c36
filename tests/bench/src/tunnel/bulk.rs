//! An API server with one long log: made up here, while all else is asked of the API server behind.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use fleet::{Body, ClusterApi, boxed, full};
use futures::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kube::config::{KubeConfigOptions, Kubeconfig};
use lib_tls::{Authority, ClientVerification, Leaf, Subject, server_config};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::paced::{Paced, Rate};

/// As long as `limitBytes` says.
pub(super) const LOG: &str = "/api/v1/namespaces/default/pods/bulk/log";

const PIECE: usize = 32 * 1024;

pub(super) struct Bulk {
    pub(super) kubeconfig: PathBuf,
    _tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl Bulk {
    /// Before the API server of a kubeconfig, with the rights that this one gives; over a link of so much, if it is said.
    pub(super) async fn before(kubeconfig: &Path, link: Option<Arc<Rate>>) -> anyhow::Result<Self> {
        let read = Kubeconfig::read_from(kubeconfig)?;
        let access = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
        let behind = ClusterApi::https(&access)?;
        let folder = tempfile::tempdir()?;
        let authority = Authority::load_or_create(folder.path(), "bulk")?;
        let server = authority.issue(&Leaf::Server(vec!["127.0.0.1".to_owned()]))?;
        let trust = ClientVerification::Required(authority.certificate_pem().to_owned());
        let tls = server_config(&server, &trust, &[b"h2", b"http/1.1"])?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = authority.issue(&Leaf::Client(Subject::new("bench", ["system:masters"])))?;
        let kubeconfig = folder.path().join("kubeconfig");
        lib_tls::Kubeconfig {
            cluster: "bulk",
            user: "bench",
            server: &format!("https://{}", listener.local_addr()?),
            authority_pem: authority.certificate_pem(),
            credential: &client,
        }
        .write(&kubeconfig)
        .context("the kubeconfig can be written")?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), link, behind));
        Ok(Self { kubeconfig, _tasks: tasks, _folder: folder })
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, link: Option<Arc<Rate>>, behind: ClusterApi) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        connections.spawn(serve(Paced::new(stream, link.clone()), acceptor.clone(), behind.clone()));
    }
}

async fn serve(stream: Paced<TcpStream>, acceptor: TlsAcceptor, behind: ClusterApi) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request| {
        let behind = behind.clone();
        async move { Ok::<_, Infallible>(answer(&behind, request).await) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(behind: &ClusterApi, request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() == LOG {
        let limit = request.uri().query().and_then(|query| query.strip_prefix("limitBytes="));
        return Response::new(log(limit.and_then(|limit| limit.parse().ok()).unwrap_or_default()));
    }
    behind.send(request.map(boxed)).await.unwrap_or_else(|error| {
        let mut answer = Response::new(full(error.to_string()));
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
        answer
    })
}

fn log(bytes: usize) -> Body {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let pieces = stream::iter(
        (0..bytes.div_ceil(PIECE))
            .map(move |number| Ok::<_, Infallible>(Frame::data(piece.slice(..PIECE.min(bytes - number * PIECE))))),
    );
    boxed(StreamBody::new(pieces).map_err(|never| match never {}))
}
