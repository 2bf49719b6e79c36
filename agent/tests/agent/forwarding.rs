//! Requests through the agent, by hand where their exact bytes matter.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use agent::{Body, ClusterApi};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tunnel_hub::{Deadlines, Room};
use tunnel_protocol::Target;

use crate::support::*;

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";

/// Sends bytes on a stream of their own and reads until the agent closes it.
async fn raw(hub: &Hub, bytes: &[u8]) -> String {
    let mut stream = hub.sessions.open(&cluster(), Room::People, Target::KubernetesApi, SOON).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    timeout(SOON, async {
        // Closing and resetting are both ends; what counts is what came before.
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..count]);
        }
    })
    .await
    .unwrap();
    String::from_utf8(answer).unwrap()
}

/// The agent refuses these bytes with this status, and the member sees nothing.
async fn check_refused(bytes: &[u8], code: u16) {
    let hub = Hub::start(&["token"]).await;
    let member = RawMember::start(FINE).await;
    let _agent = connect(&hub, member.api()).await;
    let answer = raw(&hub, bytes).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    assert_eq!(member.seen(), "");
}

#[tokio::test]
async fn a_request_reaches_the_member_in_the_users_name() {
    let hub = Hub::start(&["token"]).await;
    let member = RawMember::start(FINE).await;
    let _agent = connect(&hub, member.api()).await;
    let request = Request::get("/api/v1/pods?limit=1")
        .header("Impersonate-User", "jane")
        .header("Impersonate-Group", "dev")
        .header("Authorization", "Bearer of-the-hub")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response =
        hub.sessions.send(&cluster(), Room::People, Target::KubernetesApi, request, DEADLINES).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "fine");
    let seen = member.seen();
    assert!(seen.starts_with("GET /api/v1/pods?limit=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("impersonate-user: jane") && seen.contains("impersonate-group: dev"), "{seen}");
    assert!(!seen.contains("of-the-hub") && !seen.contains("kubernetes-api"), "{seen}");
}

#[tokio::test]
async fn case_02_a_connection_option_cannot_remove_the_user() {
    check_refused(
        b"GET /api HTTP/1.1\r\nhost: x\r\nImpersonate-User: jane\r\nConnection: Impersonate-User\r\n\r\n",
        400,
    )
    .await;
}

#[tokio::test]
async fn case_04_nothing_goes_on_in_nobodys_name() {
    check_refused(b"GET /api HTTP/1.1\r\nhost: x\r\n\r\n", 403).await;
    check_refused(b"GET /api HTTP/1.1\r\nhost: x\r\nimpersonate-user: \r\n\r\n", 403).await;
}

#[tokio::test]
async fn case_03_upgrades_are_judged_like_everything_else() {
    check_refused(b"GET /exec HTTP/1.1\r\nhost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 403).await;
    check_refused(
        b"GET /exec HTTP/1.1\r\nhost: x\r\nImpersonate-User: a\r\nConnection: Upgrade, Impersonate-User\r\nUpgrade: SPDY/3.1\r\n\r\n",
        400,
    )
    .await;
}

#[tokio::test]
async fn case_07_other_servers_cannot_be_asked_for() {
    check_refused(b"GET http://169.254.169.254/ HTTP/1.1\r\nhost: x\r\nImpersonate-User: a\r\n\r\n", 400).await;
    check_refused(b"CONNECT 10.0.0.1:10250 HTTP/1.1\r\nhost: x\r\nImpersonate-User: a\r\n\r\n", 400).await;
}

#[tokio::test]
async fn case_08_two_lengths_are_no_length() {
    let head = "POST /api HTTP/1.1\r\nhost: x\r\nImpersonate-User: a\r\n";
    check_refused(format!("{head}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd").as_bytes(), 400).await;
}

#[tokio::test]
async fn case_08_a_length_beside_an_encoding_smuggles_nothing() {
    let hub = Hub::start(&["token"]).await;
    let member = RawMember::start(FINE).await;
    let _agent = connect(&hub, member.api()).await;
    let smuggling = b"POST /api HTTP/1.1\r\nhost: x\r\nImpersonate-User: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
        0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\nImpersonate-User: root\r\n\r\n";
    let answer = raw(&hub, smuggling).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(!member.seen().contains("smuggled") && !member.seen().contains("root"), "{}", member.seen());
}

#[tokio::test]
async fn case_08_a_second_request_on_a_stream_is_not_answered() {
    let hub = Hub::start(&["token"]).await;
    let member = RawMember::start(FINE).await;
    let _agent = connect(&hub, member.api()).await;
    let both = b"GET /first HTTP/1.1\r\nhost: x\r\nImpersonate-User: a\r\n\r\nGET /second HTTP/1.1\r\nhost: x\r\nImpersonate-User: a\r\n\r\n";
    let answer = raw(&hub, both).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert!(member.seen().contains("/first") && !member.seen().contains("/second"), "{}", member.seen());
}

#[tokio::test]
async fn case_09_bytes_after_a_failed_upgrade_do_not_reach_the_member() {
    let hub = Hub::start(&["token"]).await;
    let member = RawMember::start(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    let _agent = connect(&hub, member.api()).await;
    let attack =
        b"GET /exec HTTP/1.1\r\nhost: x\r\nImpersonate-User: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
        GET /secrets HTTP/1.1\r\nhost: x\r\nImpersonate-User: root\r\n\r\n";
    let answer = raw(&hub, attack).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.ends_with("no"), "{answer}");
    assert!(!member.seen().contains("secrets"), "{}", member.seen());
}

#[tokio::test]
async fn case_10_redirects_end_here() {
    for head in ["GET /x HTTP/1.1", "GET /exec HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket"] {
        let hub = Hub::start(&["token"]).await;
        let member = RawMember::start(
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: https://evil.example.org/\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        let _agent = connect(&hub, member.api()).await;
        let answer = raw(&hub, format!("{head}\r\nhost: x\r\nImpersonate-User: a\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert!(!answer.contains("evil") && answer.contains("\"kind\":\"Status\""), "{answer}");
    }
}

#[tokio::test]
async fn case_15_endless_heads_are_refused() {
    let mut head = String::from("GET /api HTTP/1.1\r\nhost: x\r\nImpersonate-User: a\r\n");
    while head.len() < 100 * 1024 {
        head.push_str("x: 0123456789\r\n");
    }
    check_refused(head.as_bytes(), 431).await;
}

#[tokio::test]
async fn upgrades_carry_bytes_both_ways() {
    let hub = Hub::start(&["token"]).await;
    let member =
        RawMember::start(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n").await;
    let _agent = connect(&hub, member.api()).await;
    let request = Request::post("/exec")
        .header("Impersonate-User", "jane")
        .header("Connection", "Upgrade")
        .header("Upgrade", "SPDY/3.1")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let mut response =
        hub.sessions.send(&cluster(), Room::People, Target::KubernetesApi, request, DEADLINES).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["upgrade"], "SPDY/3.1");
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    let sent: Vec<u8> = (0..1024 * 1024u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let mut back = vec![0; sent.len()];
    timeout(SOON, async { tokio::try_join!(write.write_all(&sent), read.read_exact(&mut back)) })
        .await
        .unwrap()
        .unwrap();
    assert!(back == sent);
    drop(stream);
    // The hub's end is gone, and so the member's goes.
    let _closed = timeout(SOON, member.closed.acquire()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_member_that_is_down_is_a_503() {
    let hub = Hub::start(&["token"]).await;
    let nowhere = ClusterApi::https(&kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let _agent = connect(&hub, nowhere).await;
    let answer = raw(&hub, b"GET /api HTTP/1.1\r\nhost: x\r\nImpersonate-User: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"reason\":\"ServiceUnavailable\""), "{answer}");
}

#[tokio::test]
async fn a_quiet_watch_ends_at_the_member_when_the_hub_hangs_up() {
    let hub = Hub::start(&["token"]).await;
    let member = RawMember::start(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let _agent = connect(&hub, member.api()).await;
    let request =
        Request::get("/api/v1/pods?watch=1").header("Impersonate-User", "a").body(Empty::<Bytes>::new()).unwrap();
    let response =
        hub.sessions.send(&cluster(), Room::People, Target::KubernetesApi, request, DEADLINES).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(member.closed.available_permits(), 0);
    drop(response);
    let _closed = timeout(SOON, member.closed.acquire()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_hangs_ends_when_the_hub_gives_up() {
    let hub = Hub::start(&["token"]).await;
    let member = RawMember::start(b"").await;
    let _agent = connect(&hub, member.api()).await;
    let request = Request::get("/slow").header("Impersonate-User", "a").body(Empty::<Bytes>::new()).unwrap();
    let deadlines = Deadlines { head: Duration::from_secs(2), ..DEADLINES };
    let late = hub.sessions.send(&cluster(), Room::People, Target::KubernetesApi, request, deadlines).await;
    assert!(matches!(late, Err(tunnel_hub::SendError::Deadline { .. })), "{late:?}");
    let _closed = timeout(SOON, member.closed.acquire()).await.unwrap().unwrap();
}

/// A body that is produced elsewhere.
struct Channelled(tokio::sync::mpsc::Receiver<Bytes>);

impl http_body::Body for Channelled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

#[tokio::test]
async fn an_agent_that_stops_ends_watches_and_finishes_other_answers() {
    // What the member says goes through here.
    let (says, mut heard) = tokio::sync::mpsc::channel(4);
    let member = ClusterApi::in_process(tower::service_fn(move |request: Request<Body>| {
        let says = says.clone();
        async move {
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            if request.uri().path() == "/api/v1/pods" {
                says.send(sender).await.unwrap();
            }
            Ok::<_, Infallible>(Response::new(Channelled(receiver)))
        }
    }));
    let hub = Hub::start(&["token"]).await;
    let agent = connect(&hub, member).await;
    let ask = async |path: &str| {
        let request = Request::get(path).header("Impersonate-User", "a").body(Empty::<Bytes>::new()).unwrap();
        hub.sessions.send(&cluster(), Room::People, Target::KubernetesApi, request, DEADLINES).await.unwrap()
    };
    let watch = ask("/api/v1/pods?watch=true").await;
    let watched = heard.recv().await.unwrap();
    let list = ask("/api/v1/pods").await;
    let listed = heard.recv().await.unwrap();
    watched.send(Bytes::from_static(b"event")).await.unwrap();
    agent.drain.finish();
    // The member would go on with both.
    assert_eq!(timeout(SOON, watch.into_body().collect()).await.unwrap().unwrap().to_bytes(), "event");
    listed.send(Bytes::from_static(b"all of it")).await.unwrap();
    drop(listed);
    assert_eq!(timeout(SOON, list.into_body().collect()).await.unwrap().unwrap().to_bytes(), "all of it");
    assert_eq!(agent.drain.drain(SOON).await, lib_drain::Drained::Complete);
}

#[tokio::test]
async fn case_13_a_reader_who_stops_stops_the_member() {
    let produced = Arc::new(AtomicU64::new(0));
    let counter = produced.clone();
    let member = ClusterApi::in_process(tower::service_fn(move |request: Request<Body>| {
        let counter = counter.clone();
        async move {
            // The agent's own looks are not counted.
            let counter = if request.uri().path() == "/log" { counter } else { Arc::default() };
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            tokio::spawn(async move {
                while sender.send(Bytes::from(vec![0; 64 * 1024])).await.is_ok() {
                    counter.fetch_add(64 * 1024, Ordering::SeqCst);
                }
            });
            Ok::<_, Infallible>(Response::new(Channelled(receiver)))
        }
    }));
    let hub = Hub::start(&["token"]).await;
    let _agent = connect(&hub, member).await;
    let request = Request::get("/log").header("Impersonate-User", "a").body(Empty::<Bytes>::new()).unwrap();
    let response =
        hub.sessions.send(&cluster(), Room::People, Target::KubernetesApi, request, DEADLINES).await.unwrap();
    // Nobody reads: what is under way stays within the windows, however long one looks.
    let mut last = 0;
    let settled = timeout(SOON, async {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = produced.load(Ordering::SeqCst);
            if now == last && now > 0 {
                return now;
            }
            last = now;
        }
    })
    .await
    .unwrap();
    assert!(settled < 4 * 1024 * 1024, "{settled}");
    drop(response);
}
