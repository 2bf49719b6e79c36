//! Many requests at once on few connections, as client-go sends them: HTTP/2, up to 250 streams each.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::ConfigExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

const STREAMS: usize = 250;

pub(crate) struct Streams {
    server: http::Uri,
    connections: Vec<SendRequest<Empty<Bytes>>>,
    opened: usize,
    _tasks: JoinSet<()>,
}

impl Streams {
    /// With what a kubeconfig says, room for `count` streams.
    pub(crate) async fn connect(kubeconfig: &Path, count: usize) -> anyhow::Result<Self> {
        let config = Kubeconfig::read_from(kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        let mut tls = config.rustls_client_config()?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Self::over(config.cluster_url, tls, count).await
    }

    /// To this server, room for `count` streams.
    pub(crate) async fn over(server: http::Uri, tls: ClientConfig, count: usize) -> anyhow::Result<Self> {
        let tls = TlsConnector::from(Arc::new(tls));
        let host = server.host().context("the server has a host")?.to_owned();
        let port = server.port_u16().unwrap_or(443);
        let mut tasks = JoinSet::new();
        let mut connections = Vec::new();
        for _ in 0..count.div_ceil(STREAMS) {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            let stream = tls.connect(ServerName::try_from(host.clone())?, stream).await?;
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tasks.spawn(async move { drop(connection.await) });
            connections.push(sender);
        }
        Ok(Self { server, connections, opened: 0, _tasks: tasks })
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Response<Incoming>> {
        self.get_as(path, None).await
    }

    /// With somebody's token.
    pub(crate) async fn get_as(&mut self, path: &str, token: Option<&str>) -> anyhow::Result<Response<Incoming>> {
        let uri = format!("{}{path}", self.server.to_string().trim_end_matches('/'));
        let connection = self.opened / STREAMS % self.connections.len();
        self.opened += 1;
        let mut request = Request::get(uri);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        Ok(self.connections[connection].send_request(request.body(Empty::new())?).await?)
    }
}
