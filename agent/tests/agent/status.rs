//! What an agent says about itself and its member.

use std::convert::Infallible;
use std::time::Duration;

use agent::{Body, ClusterApi};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::timeout;
use tunnel_hub::Room;
use tunnel_protocol::{Address, Health, NodeCount, Reached, Target};

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

/// The same of what is read in the name of the inventory's user. All of a list comes at once, whatever was asked for.
fn surveyed(path: &str) -> (u16, &'static str) {
    match path.split_once('?').map_or("", |(path, _)| path) {
        "/api/v1/nodes" => (
            200,
            r#"{"metadata":{},"items":[
                {"status":{"capacity":{"cpu":"4","memory":"8Gi"},"allocatable":{"cpu":"3800m","memory":"7Gi"}}},
                {"status":{"capacity":{"cpu":"4","memory":"8Gi"},"allocatable":{"cpu":"3800m","memory":"7Gi"}}}]}"#,
        ),
        "/api/v1/pods" if path.contains("spec.nodeName%21%3D%2C") => (
            200,
            r#"{"metadata":{},"items":[{"metadata":{"name":"a"},"spec":{"nodeName":"n","containers":[
                {"name":"c","env":[{"name":"PASSWORD","value":"p"}],"resources":{"requests":{"cpu":"250m"}}}]}}]}"#,
        ),
        "/api/v1/namespaces/kube-system/pods" => (
            200,
            r#"{"items":[{"metadata":{"labels":{"component":"etcd"}},
                "status":{"conditions":[{"type":"Ready","status":"True"}]}}]}"#,
        ),
        "/apis/apps/v1/namespaces/kube-system/deployments" => (
            200,
            r#"{"items":[{"metadata":{"name":"coredns"},"spec":{"replicas":2},"status":{"availableReplicas":1}}]}"#,
        ),
        "/apis/apps/v1/namespaces/kube-system/daemonsets" => (200, r#"{"items":[]}"#),
        _ => (404, "{}"),
    }
}

#[tokio::test]
async fn health_is_what_the_member_says() {
    let member = ClusterApi::in_process(tower::service_fn(|request: Request<Body>| async move {
        let path = request.uri().path_and_query().unwrap().as_str();
        let (code, body) = match request.headers().get("impersonate-user") {
            None => answer(path),
            Some(user) if user == tunnel_protocol::inventory::USER => surveyed(path),
            Some(other) => panic!("nobody asked for {other:?}"),
        };
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

    let counted = |health: &Health| {
        health.survey.as_ref().is_some_and(|survey| survey.resources.is_some() && survey.components.is_some())
    };
    let survey = await_health(&hub, counted).await.survey.unwrap();
    let expect = serde_json::json!({
        "resources": {
            "capacity": {"cpu": "8", "memory": "16Gi"},
            "allocatable": {"cpu": "7600m", "memory": "14Gi"},
            "allocated": {"cpu": "250m", "pods": "1"},
        },
        "components": {"named": [
            {"name": "coredns", "healthy": false, "message": "1 of 2 Pods are available"},
            {"name": "etcd", "healthy": true},
        ]},
    });
    assert_eq!(serde_json::json!(survey), expect);
}

#[tokio::test]
async fn a_member_that_is_not_ready_says_which_checks_fail() {
    let member = ClusterApi::in_process(tower::service_fn(|request: Request<Body>| async move {
        let (code, body) = match request.uri().path() {
            "/readyz" => (500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"),
            _ => (503, "{}"),
        };
        Ok::<_, Infallible>(Response::builder().status(code).body(Full::new(Bytes::from(body))).unwrap())
    }));
    let hub = Hub::start(&["token"]).await;
    let _agent = connect(&hub, member).await;
    let looked = |health: &Health| health.survey.as_ref().is_some_and(|survey| survey.components.is_some());
    let health = await_health(&hub, looked).await;
    assert!(!health.api.ready);
    let message = health.api.message.unwrap();
    assert_eq!(message, "The API server is not ready: its check etcd fails.");
    let components = health.survey.unwrap().components.unwrap();
    let message = components.message.unwrap();
    assert!(message.contains("answered 503") && components.named.is_empty(), "{message}");
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

#[tokio::test]
async fn an_agent_takes_an_address_of_its_hub_and_says_which_one_it_uses() {
    let hub = Hub::start(&["token"]).await;
    let agent = connect(&hub, RawMember::start(b"").await.api()).await;
    let used = Some(hub.address.to_string());
    let tell = async |method: &str, body: &str| {
        let body = Full::<Bytes>::from(body.to_owned());
        let request = Request::builder().method(method).uri(Address::PATH).body(body).unwrap();
        let sent = hub.sessions.send(&cluster(), Room::Hub, Target::AgentStatus, request, DEADLINES).await.unwrap();
        (sent.status().as_u16(), sent.into_body().collect().await.unwrap().to_bytes())
    };
    let long = format!(r#"{{"platformUrl":"https://{}"}}"#, "a".repeat(Address::MAX_BYTES));
    for (method, body, code) in [
        ("GET", "", 405),
        ("POST", "{}", 405),
        ("PUT", "", 400),
        ("PUT", r#"{"platformUrl":"http://hub"}"#, 400),
        ("PUT", r#"{"platformUrl":"https://hub/path"}"#, 400),
        ("PUT", r#"{"platformURL":"https://hub"}"#, 400),
        ("PUT", &long, 400),
    ] {
        assert_eq!(tell(method, body).await.0, code, "{method} {body}");
    }
    let said = await_health(&hub, |health| health.address.is_some()).await.address.unwrap();
    assert_eq!(said, Reached { used: used.clone(), ..Reached::default() });

    let (code, answer) = tell("PUT", r#"{"platformUrl":"https://127.0.0.1:1"}"#).await;
    let answer: Reached = serde_json::from_slice(&answer).unwrap();
    assert_eq!((code, answer.told.as_deref(), &answer.used), (200, Some("https://127.0.0.1:1"), &used));
    let missed = |health: &Health| health.address.as_ref().is_some_and(|address| address.message.is_some());
    let said = await_health(&hub, missed).await.address.unwrap();
    assert_eq!(said.used, used);
    assert!(said.message.unwrap().contains("could not connect to 127.0.0.1:1"));
    let (_, answer) = tell("PUT", r#"{"platformUrl":null}"#).await;
    assert_eq!(serde_json::from_slice::<Reached>(&answer).unwrap().told, None);
    await_health(&hub, |health| health.address == Some(Reached { used: used.clone(), ..Reached::default() })).await;
    let _ = agent.drain.drain(SOON).await;
}
