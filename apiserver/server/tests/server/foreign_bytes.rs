//! What others put into the store is told by its key wherever it is asked for, and nothing else suffers.

use std::sync::Arc;
use std::time::Duration;

use apiserver_endpoints::body;
use apiserver_server::{Config, Service};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use store_core::{Op, Store, Txn};
use store_memory::MemoryStore;
use tower::ServiceExt;

use crate::support::{admin, ask, start_on};

const JSON: &str = "application/json";
const KEY: &str = "/registry/configmaps/bad/foreign";
const PROTOBUF: &[u8] = b"k8s\0\n\x0f\n\x02v1\x12\tConfigMap\x12\x00\x1a\x00\"\x00";

async fn put(store: &MemoryStore, key: &str, value: &[u8]) {
    store.txn(Txn::default().then(Op::put(key, value.to_vec()))).await.expect("the store takes anything");
}

/// The refusal of a request, which names the key.
async fn refused(service: &Service, method: &str, path: &str, why: &str) {
    let answer = ask(service, method, path, JSON, "").await;
    assert_eq!(answer.failure(), (500, "InternalError".to_owned()), "{method} {path}");
    let message = answer.json()["message"].to_string();
    assert!(message.contains(KEY) && message.contains(why), "{method} {path}: {message}");
}

#[tokio::test]
async fn an_object_that_is_none_is_named_by_its_key() {
    let store = Arc::new(MemoryStore::default());
    // There before the server, as in an etcd that a kube-apiserver used.
    put(&store, KEY, PROTOBUF).await;
    let server = start_on(store.clone(), Config::default()).await;
    let admin = admin(&server);
    for (path, object) in [
        ("/api/v1/namespaces", json!({"metadata": {"name": "good"}})),
        ("/api/v1/namespaces/good/configmaps", json!({"metadata": {"name": "a"}})),
    ] {
        assert!(ask(&admin, "POST", path, JSON, object.to_string()).await.code.is_success());
    }
    let values: [(&[u8], &str); 5] = [
        (PROTOBUF, "--storage-media-type=application/json"),
        (b"k8s:enc:aescbc:v1:key1:\x00", "encrypted at rest"),
        (b"not json, but a password", "line 1, column 2"),
        (b"[{}]", "not an object with metadata"),
        (b"\xff\xfe", "not text"),
    ];
    for (value, why) in values {
        put(&store, KEY, value).await;
        let one = "/api/v1/namespaces/bad/configmaps/foreign";
        for method in ["GET", "DELETE"] {
            refused(&admin, method, one, why).await;
        }
        for path in [
            "/api/v1/configmaps",
            "/api/v1/configmaps?limit=1",
            "/api/v1/configmaps?labelSelector=a%3Db",
            "/api/v1/configmaps?fieldSelector=metadata.name%3Dforeign",
            "/api/v1/namespaces/bad/configmaps",
            "/api/v1/namespaces/bad/configmaps?watch=true",
        ] {
            refused(&admin, "GET", path, why).await;
        }
        // Elsewhere it is as if nothing were wrong.
        for path in ["/api/v1/namespaces/good/configmaps", "/api/v1/namespaces/good/configmaps/a", "/api/v1/pods"] {
            assert!(ask(&admin, "GET", path, JSON, "").await.code.is_success(), "{path}");
        }
    }
    // Whoever put it there takes it away.
    store.txn(Txn::default().then(Op::delete(KEY))).await.unwrap();
    let listed = ask(&admin, "GET", "/api/v1/configmaps", JSON, "").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1 + kube_root_cas(&listed), "{listed}");
    server.stop(Duration::from_secs(5)).await;
}

/// What the server itself keeps in each namespace.
fn kube_root_cas(list: &Value) -> usize {
    let items = list["items"].as_array().into_iter().flatten();
    items.filter(|item| item["metadata"]["namespace"] != "good").count()
}

/// One line of a watch.
async fn line(body: &mut apiserver_endpoints::Body) -> Value {
    let frame = tokio::time::timeout(Duration::from_secs(30), body.frame()).await.expect("it comes soon");
    let frame = frame.and_then(Result::ok).expect("the watch goes on");
    serde_json::from_slice(&frame.into_data().expect("a line")).expect("a line is JSON")
}

#[tokio::test]
async fn a_watch_tells_of_it_as_an_error_and_those_who_come_later_see_it_repaired() {
    let store = Arc::new(MemoryStore::default());
    let server = start_on(store.clone(), Config::default()).await;
    let admin = admin(&server);
    let watch = async |revision: &str| {
        let path = format!("/api/v1/namespaces/bad/configmaps?watch=true&resourceVersion={revision}");
        let request = Request::get(path).body(body::full("")).unwrap();
        admin.clone().oneshot(request).await.unwrap_or_else(|never| match never {}).into_body()
    };
    let mut before = watch("").await;
    put(&store, KEY, PROTOBUF).await;
    let told = line(&mut before).await;
    assert_eq!((&told["type"], &told["object"]["code"]), (&json!("ERROR"), &json!(500)), "{told}");
    assert!(told["object"]["message"].as_str().unwrap().contains(KEY), "{told}");

    let list = ask(&admin, "GET", "/api/v1/namespaces/good/configmaps", JSON, "").await.json();
    let mut after = watch(list["metadata"]["resourceVersion"].as_str().unwrap()).await;
    let repaired =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "foreign", "namespace": "bad"}});
    put(&store, KEY, repaired.to_string().as_bytes()).await;
    let told = line(&mut after).await;
    assert_eq!((&told["type"], &told["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("foreign")), "{told}");
    server.stop(Duration::from_secs(5)).await;
}
