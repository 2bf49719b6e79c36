//! Questions to servers that behave, and to others.

#![expect(clippy::unwrap_used, reason = "a test fails where its set-up does")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lib_fetch::{Authorization, Client, Error, Question};
use lib_tls::{Authority, ClientVerification, Leaf, Trust, server_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

struct Server {
    port: u16,
    authority: Authority,
}

impl Server {
    /// Reads one request of each connection and answers `answer` to it, with every `REQUEST` in it replaced by what was
    /// read.
    async fn start(answer: &str) -> Self {
        Self::with_certificate(answer, SystemTime::now()).await
    }

    async fn with_certificate(answer: &str, issued: SystemTime) -> Self {
        let authority = Authority::generate("test", SystemTime::now()).unwrap();
        let leaf = Leaf::Server(vec!["127.0.0.1".into(), "localhost".into()]);
        let credential = authority.issue_at(&leaf, issued).unwrap();
        let tls = server_config(&credential, &ClientVerification::None, &[b"http/1.1"]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let answer = answer.to_owned();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let request = request(&mut stream).await;
                    let body = answer.replace("REQUEST", &serde_json::json!(request).to_string());
                    let _ = stream.write_all(body.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { port, authority }
    }

    fn url(&self, path: &str) -> Url {
        format!("https://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }

    fn client(&self) -> Client {
        Client::new(&Trust::bundle(self.authority.certificate_pem()).unwrap()).unwrap()
    }
}

/// A head, and as much body as it says.
async fn request(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

const ECHO: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[REQUEST]";

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn a_document() {
    let server = Server::start(ECHO).await;
    let answer = server.client().json(&server.url("/a/b?c=d#e")).await.unwrap();
    let asked = answer[0].as_str().unwrap();
    assert!(asked.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("\r\nhost: 127.0.0.1:{}\r\n", server.port)), "{asked}");
    assert!(!asked.contains("authorization"), "{asked}");
}

#[tokio::test]
async fn a_form_of_a_client() {
    let server = Server::start(ECHO).await;
    let url = server.url("/token");
    let (by, fields) = (Authorization::client("us", "hush"), [("code", "a&b=c d"), ("x", "")]);
    let answer = server.client().ask(Question::form(&url, &fields).by(&by)).await.unwrap();
    let answer = answer.ok().unwrap().json().unwrap();
    let asked = answer[0].as_str().unwrap();
    assert!(asked.starts_with("POST /token HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nauthorization: Basic dXM6aHVzaA==\r\n"), "{asked}");
    assert!(asked.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\ncode=a%26b%3Dc+d&x="), "{asked}");
}

#[tokio::test]
async fn an_answer_that_is_of_no_use() {
    let told = |answer: &str| {
        let answer = answer.to_owned();
        async move {
            let server = Server::start(&answer).await;
            server.client().at_most(1000).json(&server.url("/x?secret=1")).await.unwrap_err()
        }
    };
    let redirect = told("HTTP/1.1 302 Found\r\nlocation: https://127.0.0.1/\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(&redirect, Error::Answer(_, status) if *status == 302), "{redirect}");
    assert!(!chain(&redirect).contains("secret"), "{redirect}");
    let html = told("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<script>alert(1)</script>").await;
    assert!(matches!(html, Error::Json(..)) && !chain(&html).contains("script"), "{html}");
    let flood = told(&format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(2000))).await;
    assert!(matches!(flood, Error::Large(_, 1000)), "{flood}");
    let endless =
        told(&format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n{}\r\n", "x".repeat(2000)));
    assert!(matches!(endless.await, Error::Large(_, 1000)));
    assert!(matches!(told("SSH-2.0-OpenSSH\r\n").await, Error::Http(..)));
    assert!(matches!(told("").await, Error::Http(..)));
    let short = told("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{}").await;
    assert!(matches!(short, Error::Http(..)), "{short}");
}

#[tokio::test]
async fn case_26_an_address_that_may_not_be_asked() {
    let server = Server::start(ECHO).await;
    let public = server.client().allowing(|address| match address {
        IpAddr::V4(four) => !four.is_loopback() && !four.is_link_local() && !four.is_unspecified(),
        IpAddr::V6(six) => !six.is_loopback() && !six.is_unspecified(),
    });
    for host in ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1", "[::ffff:127.0.0.1]", "169.254.169.254"]
    {
        let url = format!("https://{host}:{}/", server.port).parse().unwrap();
        let error = public.json(&url).await.unwrap_err();
        assert!(matches!(error, Error::Forbidden(..)), "{host}: {error}");
    }
    let seen = Client::allowing(server.client(), |address| address == IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert!(seen.json(&server.url("/")).await.is_ok());
}

#[tokio::test]
async fn whoever_answers_proves_who_it_is() {
    let server = Server::start(ECHO).await;
    let stranger = Server::start(ECHO).await;
    let error = stranger.client().json(&server.url("/")).await.unwrap_err();
    assert!(
        matches!(error, Error::Handshake(..)) && chain(&error).contains("invalid peer certificate"),
        "{}",
        chain(&error)
    );
    let past = SystemTime::now() - Duration::from_secs(20 * 365 * 86400);
    let expired = Server::with_certificate(ECHO, past).await;
    let error = expired.client().json(&expired.url("/")).await.unwrap_err();
    assert!(matches!(error, Error::Handshake(..)) && chain(&error).contains("xpired"), "{}", chain(&error));
    let mut other = server.url("/");
    other.set_host(Some("127.0.0.2")).unwrap();
    let error = server.client().json(&other).await.unwrap_err();
    assert!(matches!(error, Error::Handshake(..) | Error::Connect(..)), "{error}");
    for url in ["http://127.0.0.1/", "file:///etc/passwd", "data:,{}", "ftp://127.0.0.1/"] {
        let error = server.client().json(&url.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::Address(_)), "{url}: {error}");
    }
}

#[tokio::test]
async fn nobody_is_waited_for_long() {
    // Accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(ECHO).await;
    let url = format!("https://{}/", silent.local_addr().unwrap()).parse().unwrap();
    let client = server.client().within(Duration::from_millis(50));
    assert!(matches!(client.json(&url).await, Err(Error::Late(..))));
    drop(silent);
    assert!(matches!(client.within(Duration::from_secs(10)).json(&url).await, Err(Error::Connect(..))));
}
