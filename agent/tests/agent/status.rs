//! What an agent says about itself and its member.

use std::convert::Infallible;
use std::time::Duration;

use agent::{Body, ClusterApi};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::timeout;
use tunnel_hub::Room;
use tunnel_protocol::{Health, NodeCount, Target};

use crate::support::*;

async fn ask(hub: &Hub, path: &str) -> (StatusCode, Bytes) {
    let request = Request::get(path).body(Empty::<Bytes>::new()).unwrap();
    let response = hub.sessions.send(&cluster(), Room::People, Target::AgentStatus, request, DEADLINES).await.unwrap();
    (response.status(), response.into_body().collect().await.unwrap().to_bytes())
}

async fn await_health(hub: &Hub, wanted: impl Fn(&Health) -> bool) -> Health {
    timeout(SOON, async {
        loop {
            let (code, body) = ask(hub, Health::PATH).await;
            assert_eq!(code, StatusCode::OK);
            let health = Health::decode(&body).unwrap();
            if wanted(&health) {
                return health;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap()
}

/// A member with three nodes on two pages.
fn answer(path: &str) -> (u16, &'static str) {
    match path {
        "/readyz" => (200, "ok"),
        "/version" => (200, r#"{"gitVersion":"v1.34.1","major":"1"}"#),
        "/api/v1/namespaces/kube-system" => (200, r#"{"metadata":{"uid":"6a9c"}}"#),
        "/api/v1/nodes?limit=250" => (
            200,
            r#"{"metadata":{"continue":"next-page"},"items":[
                {"status":{"conditions":[{"type":"Ready","status":"True"}]}},
                {"status":{"conditions":[{"type":"Ready","status":"False"}]}}]}"#,
        ),
        "/api/v1/nodes?limit=250&continue=next-page" => {
            (200, r#"{"metadata":{},"items":[{"status":{"conditions":[{"type":"Ready","status":"True"}]}}]}"#)
        }
        _ => (404, "{}"),
    }
}

#[tokio::test]
async fn health_is_what_the_member_says() {
    let member = ClusterApi::in_process(tower::service_fn(|request: Request<Body>| async move {
        assert!(!request.headers().contains_key("impersonate-user"));
        let (code, body) = answer(request.uri().path_and_query().unwrap().as_str());
        let response = Response::builder().status(code).body(Full::new(Bytes::from(body))).unwrap();
        Ok::<_, Infallible>(response)
    }));
    let hub = Hub::start(&["token"]).await;
    let _agent = connect(&hub, member).await;
    let health = await_health(&hub, |health| health.api.ready).await;
    assert_eq!(health.api.version.as_deref(), Some("v1.34.1"));
    assert_eq!(health.api.uid.as_deref(), Some("6a9c"));
    assert_eq!(health.api.nodes, Some(NodeCount { total: 3, ready: 2 }));
    assert_eq!(health.api.message, None);
    assert!(health.unix_time > 1_700_000_000);
    assert!(health.certificate_expires.is_some_and(|until| until > health.unix_time));
    assert_eq!(ask(&hub, "/metrics").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_member_that_is_down_is_reported_as_such() {
    let nowhere = ClusterApi::https(&kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let hub = Hub::start(&["token"]).await;
    let _agent = connect(&hub, nowhere).await;
    let reached = |health: &Health| health.api.message.as_deref().is_some_and(|text| text.contains("could not reach"));
    let health = await_health(&hub, reached).await;
    assert!(!health.api.ready);
    assert_eq!(health.api.nodes, None);
}
