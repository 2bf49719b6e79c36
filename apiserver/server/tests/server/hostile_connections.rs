//! Clients that mean harm below the level of requests: streams reset as soon as they are opened, heads that never end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use apiserver_server::{Config, Running};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lib_tls::{Authority, ClientVerification, Leaf, server_config};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::start;

/// A server that answers on a port of its own, and how to get there.
struct Door {
    _server: Running,
    address: std::net::SocketAddr,
    roots: RootCertStore,
}

impl Door {
    async fn open() -> Self {
        let authority = Authority::generate("doors", SystemTime::now()).expect("an authority is made");
        let credential = authority.issue(&Leaf::Server(vec!["localhost".to_owned()])).expect("it vouches for a server");
        let tls =
            server_config(&credential, &ClientVerification::None, &[b"h2", b"http/1.1"]).expect("a server is made");
        let server = start(Config::default()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = server.serve(listener, Arc::new(tls)).expect("it listens");
        let mut roots = RootCertStore::empty();
        let der = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).expect("it is PEM");
        roots.add(der).expect("it is an authority");
        Self { _server: server, address, roots }
    }

    async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.expect("TLS is known").with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.address).await.expect("the server takes connections");
        let name = ServerName::try_from("localhost").expect("it is a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("the handshake succeeds")
    }

    /// That somebody else is still served.
    async fn answers(&self) {
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(self.connect(b"h2").await)).await.expect("HTTP/2");
        let driver = tokio::spawn(async move { drop(connection.await) });
        let request = Request::get("https://localhost/livez").body(Empty::<Bytes>::new()).expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.expect("it is whole").to_bytes(), "ok");
        driver.abort();
    }
}

/// CVE-2023-44487: each stream is reset at once, and none waits for an answer.
#[tokio::test]
async fn threat_15_rapid_resets_end_the_connection_and_nothing_else() {
    let door = Door::open().await;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(door.connect(b"h2").await)).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let attack = async {
        for _ in 0..20_000 {
            if sender.ready().await.is_err() {
                return;
            }
            let uri = "https://localhost/api/v1/namespaces";
            let request = Request::get(uri).body(Empty::<Bytes>::new()).expect("a request");
            // Dropped before it is answered: the stream is reset.
            let answer = sender.send_request(request);
            tokio::select! {
                biased;
                _ = answer => {}
                () = tokio::task::yield_now() => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), attack).await.expect("the server keeps up with its refusals");
    door.answers().await;
    driver.abort();
}

/// A head that comes byte by byte is not waited for for ever, and its sender holds nothing that others need.
#[tokio::test]
async fn threat_15_heads_that_never_end_are_given_up() {
    let door = Door::open().await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = door.connect(b"http/1.1").await;
        stream.write_all(b"GET /api HTTP/1.1\r\nhost: local").await.expect("it takes the start of a head");
        slow.push(stream);
    }
    door.answers().await;
    let closed = async {
        let mut rest = Vec::new();
        // Whether it says goodbye or not: the connection ends.
        let _ = slow[0].read_to_end(&mut rest).await;
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.expect("the server gives up");
}

#[tokio::test]
async fn a_head_beyond_all_measure_is_refused() {
    let door = Door::open().await;
    let mut stream = door.connect(b"http/1.1").await;
    stream.write_all(b"GET /api HTTP/1.1\r\nhost: localhost\r\n").await.expect("it takes the start of a head");
    let line = format!("x-filler: {}\r\n", "x".repeat(8000));
    let mut refused = false;
    for _ in 0..100 {
        if stream.write_all(line.as_bytes()).await.is_err() {
            refused = true;
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(refused || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    door.answers().await;
}
