//! HTTP through the API server to what answers in pods, behind services and on nodes.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod support;

use http::{Method, Request, header};
use http_body_util::BodyExt;
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::client::Body;
use serde_json::json;
use support::{Cluster, eventually, start, until};

struct Answer {
    code: u16,
    location: Option<String>,
    text: String,
}

async fn ask(cluster: &Cluster, method: Method, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("authorization", "Bearer secret");
    let response = cluster.client.send(request.body(Body::empty()).unwrap()).await.unwrap();
    let location = response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned());
    let (code, body) = (response.status().as_u16(), response.into_body());
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { code, location, text }
}

/// A pod that names two ports, and a service with a named port for the second.
async fn with_pod() -> Cluster {
    let cluster = start().await;
    let ports = json!([{"containerPort": 8080}, {"name": "web", "containerPort": 8081}]);
    let pod = json!({"metadata": {"name": "p", "labels": {"app": "p"}},
        "spec": {"containers": [{"name": "main", "image": "registry.example/app:1", "ports": ports}]}});
    cluster.create::<Pod>(pod).await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": "web"}]);
    for (name, app) in [("s", "p"), ("empty", "nobody")] {
        let spec = json!({"selector": {"app": app}, "ports": ports});
        cluster.create::<Service>(json!({"metadata": {"name": name}, "spec": spec})).await;
    }
    let running = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    eventually(&cluster.api::<Pod>(), "p", running).await;
    until("the service has an endpoint", || async {
        let slices: Vec<EndpointSlice> = cluster.list("kubernetes.io/service-name=s").await;
        let mut endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
        endpoints.any(|endpoint| endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true)))
    })
    .await;
    cluster
}

async fn check(cluster: &Cluster, path: &str, code: u16, words: &[&str]) {
    let answer = ask(cluster, Method::GET, &format!("/api/v1/{path}")).await;
    assert_eq!(answer.code, code, "{path}: {}", answer.text);
    for words in words {
        assert!(answer.text.contains(words), "{path}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_named_answers() {
    let cluster = with_pod().await;
    let ours = "namespaces/default";
    for (path, code, words) in [
        ("pods/p/proxy/a%2Fb//?x=%20y", 200, vec!["pod: p\n", "port: 8080\n", "GET /a%2Fb//?x=%20y\n"]),
        ("pods/http:p:9/proxy/", 200, vec!["port: 9\n", "GET /\n"]),
        ("services/s:http/proxy/page", 200, vec!["pod: p\n", "port: 8081\n", "GET /page\n"]),
        ("services/s:80/proxy/page", 200, vec!["port: 8081\n"]),
        ("services/s:81/proxy/", 503, vec!["no service port 81 found for service \\\"s\\\""]),
        ("services/s/proxy/", 503, vec!["no endpoints available for service \\\"s\\\""]),
        ("services/empty:http/proxy/", 503, vec!["no endpoints available for service \\\"empty:http\\\""]),
        ("services/none/proxy/", 404, vec!["services \\\"none\\\" not found"]),
        ("pods/none/proxy/", 404, vec!["pods \\\"none\\\" not found"]),
        ("pods/ftp:p:21/proxy/", 400, vec!["invalid pod request \\\"ftp:p:21\\\""]),
        ("pods/p:web/proxy/", 400, vec!["invalid pod request"]),
    ] {
        check(&cluster, &format!("{ours}/{path}"), code, &words).await;
    }
    let node = cluster.api::<Pod>().get("p").await.unwrap().spec.unwrap().node_name.unwrap();
    check(&cluster, &format!("nodes/{node}/proxy/healthz"), 200, &["ok"]).await;
    check(&cluster, &format!("nodes/https:{node}:10250/proxy/healthz"), 200, &["ok"]).await;
    check(&cluster, &format!("nodes/{node}:22/proxy/"), 503, &["only the kubelet"]).await;
    check(&cluster, "nodes/none/proxy/healthz", 404, &["nodes \\\"none\\\" not found"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_arrives_without_the_credential() {
    let cluster = with_pod().await;
    let path = "/api/v1/namespaces/default/pods/p/proxy";
    let answer = ask(&cluster, Method::POST, &format!("{path}/form")).await;
    assert!(answer.text.contains("POST /form\n"), "{}", answer.text);
    assert!(answer.text.contains(&format!("x-forwarded-uri: {path}/form\n")), "{}", answer.text);
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    // A page's own links must lead below this path.
    let answer = ask(&cluster, Method::GET, &format!("{path}?x=1")).await;
    assert_eq!((answer.code, answer.location), (301, Some(format!("{path}/?x=1"))));
}
