//! Over real sockets, with clients that mean well and ill.

use std::time::SystemTime;

use hyper::client::conn::http1 as client;
use lib_tls::{Trust, client_config};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

const SOON: Duration = Duration::from_secs(10);

/// Does what the name of the object says.
#[derive(Default)]
struct ByName {
    waiting: Notify,
    go: Notify,
}

#[async_trait]
impl Handler for ByName {
    async fn review(&self, request: &AdmissionRequest) -> Verdict {
        match &*request.name {
            "good" => Verdict::allow(),
            "slow" => {
                self.waiting.notify_one();
                self.go.notified().await;
                Verdict::allow()
            }
            "broken" => panic!("a handler with a mistake"),
            _ => Verdict::deny(Refusal::forbidden("no")),
        }
    }
}

struct Running {
    address: std::net::SocketAddr,
    trust: Trust,
    handler: Arc<ByName>,
    drain: Drain,
}

impl Running {
    async fn start(limits: Limits) -> Self {
        let authority = Arc::new(Authority::generate("hooks", SystemTime::now()).unwrap());
        let trust = Trust::bundle(authority.certificate_pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (handler, drain) = (Arc::new(ByName::default()), Drain::new());
        let routes: [(String, Arc<dyn Handler>); 1] = [("/hook".into(), handler.clone())];
        let config = tls(authority, vec!["localhost".into()]).unwrap();
        drain.spawn(Server::new(routes, limits).serve(listener, config, drain.clone()));
        Self { address, trust, handler, drain }
    }

    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let config = client_config(&self.trust, None, &[b"http/1.1"]).unwrap();
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<(StatusCode, Bytes), hyper::Error> {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.body(Full::new(body.into())).unwrap();
        let stream = self.connect().await.unwrap();
        let exchange = async {
            let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
            let answer = async {
                let response = sender.send_request(request).await?;
                let status = response.status();
                Ok((status, response.into_body().collect().await?.to_bytes()))
            };
            tokio::pin!(answer);
            tokio::select! {
                answer = &mut answer => answer,
                _ = connection => answer.await,
            }
        };
        timeout(SOON, exchange).await.unwrap()
    }

    async fn ask(&self, name: &str) -> Value {
        let (code, body) = self.send(Method::POST, "/hook?timeout=10s", question(name)).await.unwrap();
        assert_eq!(code, StatusCode::OK);
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["response"]["uid"], "u");
        answer["response"].clone()
    }
}

fn question(name: &str) -> String {
    let request = json!({"uid": "u", "operation": "UPDATE", "name": name});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

#[tokio::test]
async fn reviews_are_answered() {
    let server = Running::start(Limits::default()).await;
    assert_eq!(server.ask("good").await, json!({"uid": "u", "allowed": true}));
    assert_eq!(server.ask("bad").await["status"]["message"], "no");
}

#[tokio::test]
async fn what_is_no_review_is_told_so() {
    let server = Running::start(Limits { body: 1000, ..Limits::default() }).await;
    for (method, path, body, expect) in [
        (Method::GET, "/hook", String::new(), 405),
        (Method::POST, "/", question("good"), 404),
        (Method::POST, "/hook/more", question("good"), 404),
        (Method::POST, "/hook", "{".into(), 400),
        (Method::POST, "/hook", "[".repeat(900), 400),
        (Method::POST, "/hook", " ".repeat(1001), 413),
        (Method::POST, "/hook", "{\"kind\": \"s3cret\"}".into(), 400),
    ] {
        let (code, text) = server.send(method, path, body).await.unwrap();
        assert_eq!(code.as_u16(), expect, "{path}");
        assert!(!text.windows(6).any(|window| window == b"s3cret"));
    }
    assert_eq!(server.ask("good").await["allowed"], true);
}

#[tokio::test]
async fn case_55_late_verdicts_and_broken_handlers_refuse() {
    let server = Running::start(Limits { verdict: Duration::from_millis(50), ..Limits::default() }).await;
    let late = server.ask("slow").await;
    assert_eq!((&late["allowed"], &late["status"]["code"]), (&json!(false), &json!(504)));
    assert!(server.send(Method::POST, "/hook", question("broken")).await.is_err());
    assert_eq!(server.ask("good").await["allowed"], true);
}

#[tokio::test]
async fn reviews_beyond_the_limit_wait_for_their_turn() {
    let server = Running::start(Limits { reviews: 1, ..Limits::default() }).await;
    let first = server.ask("slow");
    let second = async {
        server.handler.waiting.notified().await;
        let second = server.ask("good");
        tokio::pin!(second);
        // It has no answer while the first has none.
        assert!(timeout(Duration::from_millis(100), &mut second).await.is_err());
        server.handler.go.notify_one();
        second.await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((&first["allowed"], &second["allowed"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn whoever_is_slow_is_dropped() {
    let limits = Limits { connections: 1, arrival: Duration::from_millis(100), ..Limits::default() };
    let server = Running::start(limits).await;
    // Says nothing; begins a head; begins a body. Each holds the only place.
    let silent = TcpStream::connect(server.address).await.unwrap();
    for begin in
        ["", "POST /hook HTTP/1.1\r\nhost: a\r\n", "POST /hook HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{"]
    {
        let mut stream = timeout(SOON, server.connect()).await.unwrap().unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
    }
    drop(silent);
    assert_eq!(server.ask("good").await["allowed"], true);
}

#[tokio::test]
async fn case_55_a_server_of_another_authority_is_not_believed() {
    let mut server = Running::start(Limits::default()).await;
    let other = Authority::generate("hooks", SystemTime::now()).unwrap();
    server.trust = Trust::bundle(other.certificate_pem()).unwrap();
    assert!(server.connect().await.is_err());
}

#[tokio::test]
async fn draining_answers_what_is_under_way() {
    let server = Running::start(Limits::default()).await;
    let asked = server.ask("slow");
    let drained = async {
        server.handler.waiting.notified().await;
        server.drain.finish();
        server.handler.go.notify_one();
    };
    let (answer, ()) = tokio::join!(asked, drained);
    assert_eq!(answer["allowed"], true);
    assert_eq!(server.drain.drain(SOON).await, lib_drain::Drained::Complete);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[test]
fn paths_are_known_to_who_knows_the_secret() {
    let path = unguessable_path("/hook", "one");
    assert_eq!(path, unguessable_path("/hook", "one"));
    assert_ne!(path, unguessable_path("/hook", "two"));
    assert_eq!(path.len(), "/hook/".len() + 32);
}
