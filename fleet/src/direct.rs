//! Clusters that are reached at their address.
//!
//! The name is resolved and every address checked at each connect, and the connection goes to the address that was
//! checked: an answer of DNS that changes afterwards changes nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use lib_drain::Drain;
use lib_tls::{Trust, client_config};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;

use crate::access::{Access, Login};
use crate::address::{AddressPolicy, AddressRefused};
use lib_kubernetes::{Body, BoxError, ClusterApi, IDLE_FOR, boxed};

/// For the connection and for the handshake, each.
const CONNECT: Duration = Duration::from_secs(5);
/// The most that a member may send as the head of a response.
const MAX_HEAD: usize = 256 * 1024;
/// How many connections to a cluster are kept for the next request. With HTTP/1.1 every request under way has one of its
/// own; where fewer are kept than are in use, each further request begins with a handshake.
const IDLE: usize = 128;

/// From names to addresses.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a host.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// As the system does it.
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// How the hub dials.
#[derive(Clone)]
pub struct Dialler {
    /// Where it may.
    pub addresses: AddressPolicy,
    /// How it finds out where names lead.
    pub resolver: Arc<dyn Resolve>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The configuration is unusable.
    #[error("could not use the cluster's certificates")]
    Tls(#[source] lib_tls::Error),
    /// The name leads nowhere.
    #[error("could not resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The name leads where no cluster is.
    #[error("{host} leads where no cluster may be")]
    Refused {
        /// The name.
        host: String,
        /// Where.
        #[source]
        source: AddressRefused,
    },
    /// Nobody answers.
    #[error("could not connect to {0}")]
    Connect(SocketAddr, #[source] io::Error),
    /// It is not the cluster, or it does not want us.
    #[error("could not agree on TLS with {0}")]
    Handshake(String, #[source] io::Error),
    /// It took too long.
    #[error("{0} did not answer in time")]
    Deadline(String),
}

#[derive(Clone)]
struct Connector {
    host: Arc<str>,
    port: u16,
    dialler: Dialler,
    tls: Arc<ClientConfig>,
}

/// The API of a cluster at its address. Tasks belong to `drain`.
pub(crate) fn api(access: &Access, dialler: &Dialler, drain: &Drain) -> Result<ClusterApi, DialError> {
    let credential = match &access.login {
        Login::Certificate(credential) => Some(&**credential),
        Login::Bearer(_) => None,
    };
    // HTTP/1.1 only: upgrades need it, and a watch that stops reading must not stop others.
    let trust = Trust::bundle(&access.authority_pem).map_err(DialError::Tls)?;
    let tls = client_config(&trust, credential, &[b"http/1.1"]).map_err(DialError::Tls)?;
    let connector = Connector {
        host: access.server.host().into(),
        port: access.server.port(),
        dialler: dialler.clone(),
        tls: Arc::new(tls),
    };
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(IDLE)
        .pool_idle_timeout(IDLE_FOR)
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(MAX_HEAD)
        .retry_canceled_requests(false)
        .build::<_, Body>(connector.clone());
    let shared = Arc::new((connector, client, drain.clone()));
    let (prefix, authority, authorization) =
        (access.server.prefix().to_owned(), access.server.authority(), access.authorization());
    Ok(ClusterApi::from_fn(move |mut request| {
        let shared = shared.clone();
        let aimed = aim(&mut request, &prefix, &authority, authorization.as_ref());
        Box::pin(async move {
            aimed?;
            let (connector, client, drain) = &*shared;
            match request.headers().contains_key(header::UPGRADE) {
                true => upgrade(connector, drain, request).await,
                false => Ok(client.request(request).await?.map(boxed)),
            }
        })
    }))
}

/// Makes the request one for this server, with this credential and no other.
fn aim(
    request: &mut Request<Body>,
    prefix: &str,
    authority: &str,
    authorization: Option<&HeaderValue>,
) -> Result<(), BoxError> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() =
        Uri::builder().scheme("https").authority(authority).path_and_query(format!("{prefix}{path}")).build()?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_str(authority)?);
    headers.remove(header::AUTHORIZATION);
    if let Some(value) = authorization {
        headers.insert(header::AUTHORIZATION, value.clone());
    }
    Ok(())
}

/// An upgrade has a connection of its own, which ends with it: whatever the answer, no byte of the client's can reach
/// another request.
async fn upgrade(connector: &Connector, drain: &Drain, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let stream = connector.connect().await?;
    let origin_form = request.uri().path_and_query().cloned().map(Uri::from).unwrap_or_default();
    *request.uri_mut() = origin_form;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake::<_, Body>(TokioIo::new(stream)).await?;
    drain.spawn(async move {
        // Whoever holds the response meets the same error there.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender.send_request(request).await?.map(boxed))
}

impl Connector {
    async fn connect(&self) -> Result<TlsStream<TcpStream>, DialError> {
        let host = || self.host.to_string();
        let resolved = timeout(CONNECT, self.dialler.resolver.resolve(&self.host, self.port)).await;
        let addresses = resolved
            .map_err(|_| DialError::Deadline(host()))?
            .map_err(|source| DialError::Resolve { host: host(), source })?;
        // One bad address spoils the name: an honest cluster has none.
        for address in &addresses {
            let checked = self.dialler.addresses.check_target(*address);
            checked.map_err(|source| DialError::Refused { host: host(), source })?;
        }
        let stream = self.reach(&addresses).await?;
        let name = ServerName::try_from(host())
            .map_err(|error| DialError::Handshake(host(), io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        timeout(CONNECT, TlsConnector::from(self.tls.clone()).connect(name, stream))
            .await
            .map_err(|_| DialError::Deadline(host()))?
            .map_err(|source| DialError::Handshake(host(), source))
    }

    /// The first address that answers, of those that were checked.
    async fn reach(&self, addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
        let mut last = DialError::Resolve {
            host: self.host.to_string(),
            source: io::Error::new(io::ErrorKind::NotFound, "the name has no addresses"),
        };
        for address in addresses {
            last = match timeout(CONNECT, TcpStream::connect(*address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(source)) => DialError::Connect(*address, source),
                Err(_) => DialError::Deadline(address.to_string()),
            };
        }
        Err(last)
    }
}

impl tower::Service<Uri> for Connector {
    type Response = Link;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Link, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    /// There is one server, whatever the URI says.
    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { Ok(Link(TokioIo::new(connector.connect().await?))) })
    }
}

/// A connection, as the pool wants it.
struct Link(TokioIo<TlsStream<TcpStream>>);

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Link {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
