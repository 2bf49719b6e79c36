//! Connections: TLS, and by what the two agreed on, requests or a tunnel.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fleet::boxed;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use lib_drain::Drain;
use lib_telemetry::chain as error_chain;
use lib_tls::PeerIdentity;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::TlsStream;
use tunnel_hub::{Peer, ReplicaPeer};
use tunnel_protocol::{ALPN, replica};

use crate::chain::{Chain, Connection};
use crate::framing::{Framing, Watched};
use crate::turns::Turns;

/// How long a client may take for its handshake, and for a request's headers.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The most that a request's head may take.
const HEAD: usize = 64 * 1024;
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 250;
/// Connections at a time.
const CONNECTIONS: usize = 20_000;
/// How long requests may go on when the door closes.
pub(crate) const LAST: Duration = Duration::from_secs(3);

/// What handshakes take.
#[derive(Clone)]
struct Handshakes {
    /// The latest.
    tls: watch::Receiver<Arc<ServerConfig>>,
    /// A hub that restarts has all its agents before the door at once, and people too.
    agents: Turns,
}

impl Handshakes {
    async fn shake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        // The client says what it wants to speak before anything has to be worked out.
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let is_agent = begun.client_hello().alpn().is_some_and(|mut protocols| protocols.any(|name| name == ALPN));
        let tls = self.tls.borrow().clone();
        let rest = begun.into_stream(tls);
        if is_agent { self.agents.take(rest).await } else { rest.await }
    }
}

pub(crate) async fn accept(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    chain: Arc<Chain>,
    drain: Drain,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let handshakes = Handshakes { tls, agents: Turns::on_half_the_processors() };
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = drain.finishing() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (chain, owner) = (chain.clone(), drain.clone());
                let handshakes = handshakes.clone();
                drain.spawn(async move {
                    let _place = place;
                    chain.metrics.connections.inc();
                    serve(stream, lib_listen::peer(peer), &handshakes, &chain, &owner).await;
                    chain.metrics.connections.dec();
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: wait for some to come back.
                tracing::warn!(error = %error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, handshakes: &Handshakes, chain: &Arc<Chain>, drain: &Drain) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, handshakes.shake(stream)).await else {
        chain.metrics.refused_connection();
        return;
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|all| all.first()).cloned();
    let served = Box::pin(async {
        match stream.get_ref().1.alpn_protocol() {
            Some(ALPN) => tunnel(stream, chain).await,
            Some(replica::ALPN) => replica(stream, chain).await,
            _ => requests(stream, peer, chain, drain).await,
        }
    });
    tokio::select! {
        () = served => {}
        () = retired(certificate, chain) => tracing::info!("a connection ended with the authority that let it in"),
    }
}

/// Completes when the authority of a client's certificate counts no more. Who has shown none owes it nothing.
async fn retired(certificate: Option<CertificateDer<'static>>, chain: &Chain) {
    let Some(certificate) = certificate else { return std::future::pending().await };
    let mut authorities = chain.hub.fleet.authorities().changes();
    let counts_no_more = authorities.wait_for(|authorities| !authorities.have_issued(&certificate)).await.is_ok();
    if !counts_no_more {
        std::future::pending::<()>().await;
    }
}

/// An agent: its certificate says of which cluster, and the cluster says whether with this key.
async fn tunnel(stream: TlsStream<TcpStream>, chain: &Chain) {
    let peer = match Peer::of(&stream) {
        Ok(peer) => peer,
        Err(refused) => {
            tracing::warn!(error = %error_chain(&refused), "a tunnel was refused");
            return;
        }
    };
    if !is_admitted(&peer, chain).await {
        return;
    }
    let session = match chain.hub.sessions.enter(&peer, stream).await {
        Ok(session) => session,
        Err(refused) => {
            tracing::warn!(cluster = %peer.cluster(), error = %error_chain(&refused), "a tunnel was refused");
            return;
        }
    };
    // Whoever removed the cluster in between has found no session to end.
    if is_admitted(&peer, chain).await {
        session.run().await;
    }
}

/// Another replica of the hub: only the hub's own authority says that somebody is one.
async fn replica(stream: TlsStream<TcpStream>, chain: &Chain) {
    let peer = match ReplicaPeer::of(&stream) {
        Ok(peer) => peer,
        Err(refused) => {
            tracing::warn!(error = %error_chain(&refused), "somebody who is no replica of the hub was refused");
            return;
        }
    };
    if let Err(refused) = chain.hub.sessions.serve_replica(stream).await {
        tracing::warn!(replica = peer.name(), error = %error_chain(&refused), "a replica of the hub was refused");
    }
}

async fn is_admitted(peer: &Peer, chain: &Chain) -> bool {
    let cluster = peer.cluster();
    match tokio::time::timeout(HANDSHAKE, chain.hub.fleet.admit(cluster, peer.key())).await {
        Ok(Ok(())) => return true,
        Ok(Err(refused)) => {
            tracing::warn!(cluster = %cluster, error = %error_chain(&refused), "a tunnel was refused");
        }
        Err(_) => tracing::warn!(cluster = %cluster, "a tunnel was refused: the hub's API did not answer in time"),
    }
    false
}

async fn requests(stream: TlsStream<TcpStream>, address: SocketAddr, chain: &Arc<Chain>, drain: &Drain) {
    let certificate = stream.get_ref().1.peer_certificates().and_then(|certificates| certificates.first());
    let identity = match certificate.map(|der| PeerIdentity::of(der)).transpose() {
        Ok(identity) => identity.map(Arc::new),
        Err(error) => {
            tracing::debug!(error = %error_chain(&error), "a client certificate could not be read");
            return;
        }
    };
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => {
            let connection = Connection { address, identity, framing: Framing::default() };
            serve_requests(builder().http2_only(), stream, connection, chain, drain).await;
        }
        _ => {
            let stream = Watched::new(stream, HEAD);
            let connection = Connection { address, identity, framing: stream.framing() };
            serve_requests(builder().http1_only(), stream, connection, chain, drain).await;
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).max_buf_size(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD as u32)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

async fn serve_requests<S>(
    builder: Builder<TokioExecutor>,
    stream: S,
    connection: Connection,
    chain: &Arc<Chain>,
    drain: &Drain,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let asked = Arc::new(Notify::new());
    let (chain, first) = (chain.clone(), asked.clone());
    let handle = hyper::service::service_fn(move |request: Request<Incoming>| {
        first.notify_one();
        let (chain, connection) = (chain.clone(), connection.clone());
        async move {
            // Behind these the bytes are not watched any more, so there is no next request.
            let last =
                [header::TRANSFER_ENCODING, header::UPGRADE].iter().any(|name| request.headers().contains_key(name));
            let framing = connection.framing.clone();
            let mut response = chain.answer(connection, request.map(boxed)).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                framing.switch();
            } else if last {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), handle);
    let silent = async {
        // hyper times heads, but not what HTTP/2 says before the first.
        if tokio::time::timeout(HANDSHAKE, asked.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    tokio::pin!(served);
    tokio::select! {
        // How a connection ends is its client's affair.
        _ = served.as_mut() => {}
        () = silent => {}
        () = drain.finishing() => {
            served.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(LAST, served).await;
        }
    }
}
