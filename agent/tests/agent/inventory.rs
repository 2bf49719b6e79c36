//! Which objects the member has, told through the tunnel.

use std::sync::Arc;

use agent::ClusterApi;
use apiserver_access::{MASTERS, User};
use apiserver_server::{ApiServer, Running as Server};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::time::timeout;
use tunnel_hub::{ResponseBody, Room};
use tunnel_protocol::Target;
use tunnel_protocol::inventory::{Decoder, Line, PATH, USER};

use crate::support::*;

async fn member() -> Server {
    let store = Arc::new(store_memory::MemoryStore::new(store_memory::Options::default()));
    ApiServer::new(store, apiserver_server::Config::default()).start().await.unwrap()
}

fn admin(member: &Server) -> kube::Client {
    member.client(User::new("admin", [MASTERS]))
}

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

async fn lay_role(member: &Server) {
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "watch"]}]);
    let group = "rbac.authorization.k8s.io";
    let role: ClusterRole = of(json!({"metadata": {"name": USER}, "rules": rules}));
    let binding: ClusterRoleBinding = of(json!({
        "metadata": {"name": USER}, "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": USER},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
    }));
    Api::all(admin(member)).create(&PostParams::default(), &role).await.unwrap();
    Api::all(admin(member)).create(&PostParams::default(), &binding).await.unwrap();
}

async fn ask(hub: &Hub, method: Method, path: &str) -> Response<ResponseBody> {
    let request = Request::builder().method(method).uri(path).body(Empty::<Bytes>::new()).unwrap();
    hub.sessions.send(&cluster(), Room::People, Target::Inventory, request, DEADLINES).await.unwrap()
}

/// A feed, once the agent gives one.
async fn open(hub: &Hub) -> ResponseBody {
    let open = async {
        loop {
            let answer = ask(hub, Method::GET, PATH).await;
            match answer.status() {
                StatusCode::OK => return answer.into_body(),
                // The role has not reached the authoriser yet, or the end of another feed the agent.
                _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    };
    timeout(SOON, open).await.unwrap()
}

async fn until(feed: &mut ResponseBody, what: &str, is_it: impl Fn(&Line) -> bool) {
    let mut decoder = Decoder::default();
    let read = async {
        loop {
            let piece = feed.frame().await.expect("a feed has no end").unwrap().into_data().unwrap();
            if decoder.push(&piece).unwrap().iter().any(&is_it) {
                return;
            }
        }
    };
    assert!(timeout(SOON, read).await.is_ok(), "{what}");
}

fn is_namespace(line: &Line, name: &str) -> bool {
    matches!(line, Line::Put(object) if object.name == name && object.namespace.is_empty())
}

#[tokio::test]
async fn the_hub_is_told_what_there_is_and_what_comes() {
    let member = member().await;
    lay_role(&member).await;
    let hub = Hub::start(&["token"]).await;
    let agent = connect(&hub, ClusterApi::in_process(member.service_as(User::new("agent", [MASTERS])))).await;
    let mut feed = open(&hub).await;
    until(&mut feed, "a namespace that was there", |line| is_namespace(line, "kube-system")).await;
    let shop: Namespace = of(json!({"metadata": {"name": "shop"}}));
    Api::all(admin(&member)).create(&PostParams::default(), &shop).await.unwrap();
    until(&mut feed, "a namespace that came", |line| is_namespace(line, "shop")).await;

    // A few at once, and one more when one of them is over.
    let mut feeds = vec![feed];
    while feeds.len() < 4 {
        feeds.push(open(&hub).await);
    }
    assert_eq!(ask(&hub, Method::GET, PATH).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    feeds.pop();
    feeds.push(open(&hub).await);

    assert_eq!(ask(&hub, Method::GET, "/metrics").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(ask(&hub, Method::POST, PATH).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    // They end when the agent does, and hold it up no longer.
    assert_eq!(agent.drain.drain(SOON).await, lib_drain::Drained::Complete);
}

#[tokio::test]
async fn a_member_that_does_not_let_itself_be_followed_says_what_is_missing() {
    let member = member().await;
    let hub = Hub::start(&["token"]).await;
    let _agent = connect(&hub, ClusterApi::in_process(member.service_as(User::new("agent", [MASTERS])))).await;
    let answer = ask(&hub, Method::GET, PATH).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    let status: Value = serde_json::from_slice(&text).unwrap();
    assert!(status["message"].as_str().unwrap().contains("apply the ClusterRole"), "{status}");
}
