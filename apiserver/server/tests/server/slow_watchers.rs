//! A watcher who does not read costs a bounded amount, and then its stream ends.

use apiserver_endpoints::body;
use apiserver_server::Config;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{admin, ask, start};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_slow_watcher_is_ended_and_goes_on_from_where_it_was() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let payload = "x".repeat(256 << 10);
    let object =
        |n: usize| json!({"metadata": {"name": "x"}, "data": {"n": n.to_string(), "payload": payload}}).to_string();
    assert_eq!(ask(&admin, "POST", MAPS, "application/json", object(0)).await.code, 201);
    let watch = |query: &str| Request::get(format!("{MAPS}?watch&{query}")).body(body::empty()).unwrap();
    let mut stream = admin.clone().oneshot(watch("")).await.unwrap().into_body();
    let first = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    let seen: Value = serde_json::from_slice(&first).unwrap();
    assert_eq!(seen["type"], "ADDED");
    // 48 changes, each with what was before: half as much again as may wait.
    for n in 1..=48 {
        assert_eq!(ask(&admin, "PUT", &format!("{MAPS}/x"), "application/json", object(n)).await.code, 200);
    }
    assert!(stream.frame().await.is_none(), "the stream ends, and properly");
    let version = seen["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    let mut again = admin.clone().oneshot(watch(&format!("resourceVersion={version}"))).await.unwrap().into_body();
    for n in 1..=48 {
        let frame = again.frame().await.unwrap().unwrap().into_data().unwrap();
        let event: Value = serde_json::from_slice(&frame).unwrap();
        assert_eq!((&event["type"], &event["object"]["data"]["n"]), (&json!("MODIFIED"), &json!(n.to_string())));
    }
}

#[tokio::test]
async fn a_watch_may_be_asked_to_last_for_ever() {
    let server = start(Config::default()).await;
    let uri = format!("{MAPS}?watch&timeoutSeconds={}", i64::MAX);
    let answer = admin(&server).oneshot(Request::get(uri).body(body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
}
