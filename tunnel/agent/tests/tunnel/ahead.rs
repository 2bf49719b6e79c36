//! A request goes to the agent with the question for its stream, and does not wait for the answer to that.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use lib_drain::Drain;
use tokio::sync::Notify;
use tokio::time::timeout;
use tunnel_hub::{Deadlines, OpenError, ResponseBody, Room, SendError};
use tunnel_protocol::limits::Timing;
use tunnel_protocol::{ALPN, Refusal, Target};

use crate::support::*;

/// An agent that answers its streams as `answer` does.
async fn scripted<F>(hub: &Hub, answer: impl Fn(RecvStream, SendResponse<Bytes>) -> F + Send + 'static) -> Drain
where
    F: Future<Output = ()> + Send + 'static,
{
    let stream = hub.dial(Some(&credential(&hub.authority, "one")), &[ALPN]).await.unwrap();
    let (agent, owner) = (Drain::new(), Drain::new());
    agent.spawn(async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            owner.spawn(answer(request.into_body(), respond));
        }
    });
    hub.connected("one").await;
    agent
}

async fn send(hub: &Hub, body: &'static str, open: Duration) -> Result<Response<ResponseBody>, SendError> {
    let request = Request::put("/").body(http_body_util::Full::new(Bytes::from_static(body.as_bytes()))).unwrap();
    let deadlines = Deadlines { open, head: SOON };
    timeout(SOON, hub.sessions.send(&cluster("one"), Room::People, Target::KubernetesApi, request, deadlines))
        .await
        .unwrap()
}

/// Nothing is left of what went ahead.
async fn left(hub: &Hub) {
    wait_for(|| hub.sessions.snapshots().iter().all(|one| (one.streams, one.figures.buffered) == (0, 0))).await;
}

#[tokio::test]
async fn a_request_is_at_the_agent_before_its_stream_is_granted() {
    let hub = Hub::start(Timing::default()).await;
    let _agent = scripted(&hub, |mut body, mut respond| async move {
        let mut seen = Vec::new();
        while !seen.ends_with(b"all of it") {
            let data = body.data().await.unwrap().unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            seen.extend_from_slice(&data);
        }
        assert!(seen.starts_with(b"PUT / HTTP/1.1\r\n"));
        let mut outward = respond.send_response(Response::new(()), false).unwrap();
        outward.send_data("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\ntaken".into(), true).unwrap();
    })
    .await;
    let answer = send(&hub, "all of it", SOON).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "taken");
    left(&hub).await;
}

#[tokio::test]
async fn a_refused_stream_says_why_whatever_went_ahead() {
    let hub = Hub::start(Timing::default()).await;
    let _agent = scripted(&hub, |_, mut respond| async move {
        let refused = Response::builder().status(503).body(()).unwrap();
        respond.send_response(refused, true).map(drop).unwrap();
    })
    .await;
    for _ in 0..100 {
        let refused = send(&hub, "never read", SOON).await;
        assert!(
            matches!(refused, Err(SendError::Open(OpenError::Refused { refusal: Refusal::Draining, .. }))),
            "{refused:?}"
        );
    }
    left(&hub).await;
}

#[tokio::test]
async fn an_agent_that_says_nothing_is_not_waited_for() {
    let hub = Hub::start(Timing::default()).await;
    let reset = Arc::new(Notify::new());
    let seen = reset.clone();
    let _agent = scripted(&hub, move |_body, mut respond| {
        let seen = seen.clone();
        async move {
            let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            seen.notify_one();
        }
    })
    .await;
    let late = send(&hub, "never answered", Duration::from_millis(50)).await;
    assert!(matches!(late, Err(SendError::Open(OpenError::Deadline { .. }))), "{late:?}");
    timeout(SOON, reset.notified()).await.unwrap();
    left(&hub).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_comes_as_nobody_waits_any_more_leaves_nothing() {
    let hub = Hub::start(Timing::default()).await;
    let _agent = scripted(&hub, |_body, mut respond| async move {
        if let Ok(mut outward) = respond.send_response(Response::new(()), false) {
            let _ = outward.send_data(Bytes::from_static(&[b' '; 1024]), false);
            let _ = std::future::poll_fn(|cx| outward.poll_reset(cx)).await;
        }
    })
    .await;
    let exchanges = (0..400).map(|turn| {
        let hub = &hub;
        async move { drop(send(hub, "given up", Duration::from_micros(turn * 10)).await) }
    });
    let all = futures::future::join_all(exchanges);
    timeout(SOON, all).await.unwrap();
    left(&hub).await;
}
