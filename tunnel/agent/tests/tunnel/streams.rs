//! Bytes through the tunnel, and what one stream may do to others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use lib_drain::Drained;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tunnel_agent::{Handler, TunnelStream};
use tunnel_hub::{Figures, OpenError, Room};
use tunnel_protocol::Target;
use tunnel_protocol::limits::{
    FAR_STREAM_WINDOW, HUB_STREAMS, NEAR_STREAM_WINDOW, STREAM_WINDOW, STREAMS, Timing, UNREAD,
};

use crate::support::*;

#[tokio::test]
async fn bytes_go_both_ways_and_both_ends_can_finish() {
    let hub = Hub::start(Timing::default()).await;
    let _agent = agent_of(&hub, "one", Echo, Timing::default());
    hub.connected("one").await;
    let mut stream = hub.open("one").await;
    echo_once(&mut stream, b"hello").await;
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"last words");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_is_sane() {
    const SIZE: usize = 64 * 1024 * 1024;
    let hub = Hub::start(Timing::default()).await;
    let _agent = agent_of(&hub, "one", Flood, Timing::default());
    hub.connected("one").await;
    let mut stream = hub.open("one").await;
    let mut buffer = vec![0; 128 * 1024];
    let (mut taken, began) = (0, Instant::now());
    while taken < SIZE {
        taken += stream.read(&mut buffer).await.unwrap();
    }
    // An unoptimized build does some 100 MB/s; a window that is not given back does nothing at all.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let figures = &hub.sessions.snapshots()[0];
    assert!(figures.figures.received >= SIZE as u64 && figures.streams == 1, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_13_readers_who_stop_do_not_stop_others() {
    /// More than one person's; what they leave unread takes 128 MiB.
    const STOPPED: u32 = 512;
    let hub = Hub::start(Timing::default()).await;
    let agent = agent_of(&hub, "one", Flood, Timing::default());
    hub.connected("one").await;
    // Of the streams that people may have, many are full and unread, and all but one are open.
    let mut stopped = Vec::new();
    for number in 1..STREAMS - HUB_STREAMS {
        let target = if number <= STOPPED { Target::KubernetesApi } else { Target::AgentStatus };
        let mut stream = hub.sessions.open(&cluster("one"), Room::People, target, SOON).await.unwrap();
        if number <= STOPPED {
            stream.read_exact(&mut [0]).await.unwrap();
        }
        stopped.push(stream);
    }
    let mut lively = hub.sessions.open(&cluster("one"), Room::People, Target::AgentStatus, SOON).await.unwrap();
    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        let began = Instant::now();
        echo_once(&mut lively, &[7; 1024]).await;
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let figures = hub.sessions.snapshots()[0].figures;
    let received = figures.received;
    assert!(received < u64::from(STREAM_WINDOW) * 8, "unread bytes were counted as taken: {received}");
    // What they hold is known, and is no more than their windows. The far end fills these by and by.
    let window = u64::from(STREAM_WINDOW);
    wait_for(|| hub.sessions.snapshots()[0].figures.buffered >= u64::from(STOPPED) * (window - 1)).await;
    let figures = hub.sessions.snapshots()[0].figures;
    assert_eq!((figures.unread, figures.untaken), (STOPPED as usize, 0), "{figures:?}");
    // On a busy machine the link is a long one at first.
    assert!(figures.buffered <= u64::from(STOPPED) * window + UNREAD + UNDER_WAY, "{figures:?}");
    // There is no room for one more, and nobody waits for it.
    let began = Instant::now();
    let full = hub.sessions.open(&cluster("one"), Room::People, Target::KubernetesApi, SOON).await;
    assert!(matches!(full, Err(OpenError::Full { .. })), "{full:?}");
    assert!(began.elapsed() < Duration::from_secs(1));
    // For people. The hub has room of its own.
    let mut own = hub.sessions.open(&cluster("one"), Room::Hub, Target::AgentStatus, SOON).await.unwrap();
    echo_once(&mut own, b"how are you").await;
    let figures = &hub.sessions.snapshots()[0];
    assert_eq!((figures.streams as u32, figures.hub_streams), (STREAMS - HUB_STREAMS + 1, 1));
    drop(own);
    // Room comes back with the streams, and the flooding tasks end with theirs.
    drop(stopped);
    drop(lively);
    wait_for(|| hub.sessions.snapshots()[0].streams == 0).await;
    let Figures { buffered, unread, untaken, .. } = hub.sessions.snapshots()[0].figures;
    assert_eq!((buffered, unread, untaken), (0, 0, 0));
    hub.sessions.open(&cluster("one"), Room::People, Target::AgentStatus, SOON).await.map(drop).unwrap();
    assert_eq!(agent.drain.drain(SOON).await, Drained::Complete);
}

/// What is still under way on streams that have ended comes to nobody. Much of it, again and again, is no reason to end
/// the tunnel of everybody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_76_whoever_hangs_up_often_ends_nothing_of_others() {
    let hub = Hub::start(Timing::default()).await;
    let _agent = agent_of(&hub, "one", Flood, Timing::default());
    hub.connected("one").await;
    hang_up_often(&hub, &hub).await;
    assert!(hub.endings.lock().unwrap().is_empty(), "{:?}", hub.endings);
}

/// On streams in the tunnel that `owner` has, asked for at `asked`.
pub(crate) async fn hang_up_often(asked: &Hub, owner: &Hub) {
    const MUCH: u64 = 16 * 1024 * 1024;
    let mut bystander = asked.sessions.open(&cluster("one"), Room::People, Target::AgentStatus, SOON).await.unwrap();
    let mut total = 0;
    for _ in 0..6 {
        let mut chatty = JoinSet::new();
        for _ in 0..256 {
            let sessions = asked.sessions.clone();
            chatty.spawn(async move {
                let opened = sessions.open(&cluster("one"), Room::People, Target::KubernetesApi, SOON).await;
                tokio::io::copy(&mut opened.unwrap(), &mut tokio::io::sink()).await
            });
        }
        // Whoever reads gives credit, and with it more is under way when all of them end.
        let (received, before) = (|| owner.sessions.snapshots()[0].figures.received, total);
        wait_for(|| received() > before + MUCH).await;
        chatty.shutdown().await;
        total = received();
        echo_once(&mut bystander, b"undisturbed").await;
    }
}

#[tokio::test]
async fn no_tunnel_is_said_at_once() {
    let hub = Hub::start(quick()).await;
    let none = hub.sessions.open(&cluster("one"), Room::People, Target::KubernetesApi, SOON).await;
    assert!(matches!(none, Err(OpenError::NoTunnel { since: None, .. })), "{none:?}");
    let agent = agent_of(&hub, "one", Echo, quick());
    hub.connected("one").await;
    let _ = agent.drain.drain(SOON).await;
    hub.disconnected("one").await;
    let gone = hub.sessions.open(&cluster("one"), Room::People, Target::KubernetesApi, SOON).await;
    assert!(matches!(gone, Err(OpenError::NoTunnel { since: Some(_), .. })), "{gone:?}");
}

#[tokio::test]
async fn a_far_end_that_takes_nothing_is_seen() {
    /// Holds what it is given, and takes nothing of it.
    struct Deaf;
    #[async_trait]
    impl Handler for Deaf {
        async fn serve(&self, _: Target, mut stream: TunnelStream) {
            stream.reset().await;
        }
    }
    let hub = Hub::start(Timing::default()).await;
    let _agent = agent_of(&hub, "one", Deaf, Timing::default());
    hub.connected("one").await;
    let mut stream = hub.open("one").await;
    let untaken = || hub.sessions.snapshots()[0].figures.untaken;
    let much = vec![0; 2 * FAR_STREAM_WINDOW as usize];
    let sent = || hub.sessions.snapshots()[0].figures.sent;
    tokio::select! {
        written = stream.write_all(&much) => panic!("{written:?}"),
        () = wait_for(|| untaken() == 1 && sent() >= u64::from(NEAR_STREAM_WINDOW)) => {}
    }
    // On a busy machine the link is a long one at first.
    assert!(sent() <= u64::from(FAR_STREAM_WINDOW), "{}", sent());
    drop(stream);
    assert_eq!(untaken(), 0);
}

#[tokio::test]
async fn a_handler_learns_of_a_dropped_stream() {
    /// Waits for a backend that never answers, unless the hub gives up.
    struct Stuck(Arc<tokio::sync::Semaphore>);
    #[async_trait]
    impl Handler for Stuck {
        async fn serve(&self, _: Target, mut stream: TunnelStream) {
            let _permit = self.0.acquire().await.unwrap();
            stream.reset().await;
        }
    }
    let hub = Hub::start(Timing::default()).await;
    let slots = Arc::new(tokio::sync::Semaphore::new(1));
    let _agent = agent_of(&hub, "one", Stuck(slots.clone()), Timing::default());
    hub.connected("one").await;
    let stream = hub.open("one").await;
    wait_for(|| slots.available_permits() == 0).await;
    drop(stream);
    wait_for(|| slots.available_permits() == 1).await;
}

/// Answers HTTP/1.1: upgrades to an echo, and says the path for anything else.
struct Http;

#[async_trait]
impl Handler for Http {
    async fn serve(&self, _: Target, stream: TunnelStream) {
        let service = service_fn(|mut request: Request<Incoming>| async move {
            let mut response = Response::new(Full::new(Bytes::from(request.uri().to_string())));
            if request.headers().contains_key("upgrade") {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert("connection", "upgrade".parse().unwrap());
                response.headers_mut().insert("upgrade", "echo".parse().unwrap());
                tokio::spawn(async move {
                    let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                    let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                    let _ = write.shutdown().await;
                });
            }
            Ok::<_, std::convert::Infallible>(response)
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let _ = connection.with_upgrades().await;
    }
}

#[tokio::test]
async fn requests_and_upgrades_are_carried() {
    let hub = Hub::start(Timing::default()).await;
    let _agent = agent_of(&hub, "one", Http, Timing::default());
    hub.connected("one").await;
    let request = Request::get("/api/v1/pods?watch=true").body(Empty::<Bytes>::new()).unwrap();
    let response = hub.send("one", request).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "/api/v1/pods?watch=true");

    let request = Request::builder()
        .method(Method::POST)
        .uri("/exec")
        .header("connection", "upgrade")
        .header("upgrade", "echo")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let mut response = hub.send("one", request).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut upgraded = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    upgraded.write_all(b"ping").await.unwrap();
    upgraded.shutdown().await.unwrap();
    let mut back = Vec::new();
    timeout(SOON, upgraded.read_to_end(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, b"ping");
    drop(upgraded);
    wait_for(|| hub.sessions.snapshots()[0].streams == 0).await;
}

/// Answers whole, says much later that this was all, and tells how the hub ended its half.
struct Late(mpsc::Sender<std::io::Result<usize>>);

#[async_trait]
impl Handler for Late {
    async fn serve(&self, _: Target, mut stream: TunnelStream) {
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        // Whatever the hub says next is that it has ended the stream, in whichever way.
        let read = stream.read(&mut request).await;
        stream.shutdown().await.unwrap();
        self.0.send(read).await.unwrap();
        stream.close(SOON).await;
    }
}

/// A stream that is reset while its end is on the way makes the far end's last frame a violation of HTTP/2. Libraries
/// count those over the life of a connection and close it after some.
#[tokio::test]
async fn an_exchange_ends_its_stream_without_a_reset() {
    let hub = Hub::start(Timing::default()).await;
    let (told, mut ends) = mpsc::channel(1);
    let _agent = agent_of(&hub, "one", Late(told), Timing::default());
    hub.connected("one").await;
    let request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    let response = hub.send("one", request).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    assert_eq!(timeout(SOON, ends.recv()).await.unwrap().unwrap().unwrap(), 0);
    wait_for(|| hub.sessions.snapshots()[0].streams == 0).await;
}

/// Somebody who leaves before the end of an answer is told apart from somebody who has it all.
#[tokio::test]
async fn an_abandoned_exchange_resets_its_stream() {
    let hub = Hub::start(Timing::default()).await;
    let (told, mut ends) = mpsc::channel(1);
    struct Endless(mpsc::Sender<()>);
    #[async_trait]
    impl Handler for Endless {
        async fn serve(&self, _: Target, mut stream: TunnelStream) {
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n").await.unwrap();
            stream.reset().await;
            self.0.send(()).await.unwrap();
        }
    }
    let _agent = agent_of(&hub, "one", Endless(told), Timing::default());
    hub.connected("one").await;
    let request = Request::get("/?watch=true").body(Empty::<Bytes>::new()).unwrap();
    let response = hub.send("one", request).await;
    drop(response);
    timeout(SOON, ends.recv()).await.expect("the agent learns of it").unwrap();
    wait_for(|| hub.sessions.snapshots()[0].streams == 0).await;
}
