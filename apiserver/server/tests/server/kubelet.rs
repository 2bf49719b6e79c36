//! What a kubelet complains of in plain text, clients are told in a `Status`.

use std::sync::Arc;

use api_meta::Status;
use apiserver_endpoints::{Body, KubeletTransport, body};
use apiserver_server::{Config, Service};
use async_trait::async_trait;
use http::{Request, Response};
use serde_json::json;

use crate::support::{admin, ask, send, start};

/// Answers every request with this code and text.
struct Complains(u16, &'static str);

#[async_trait]
impl KubeletTransport for Complains {
    async fn send(&self, _node: &str, _request: Request<Body>) -> Result<Response<Body>, Status> {
        Ok(Response::builder()
            .status(self.0)
            .header("content-type", "text/plain")
            .body(body::full(self.1))
            .expect("the code is one"))
    }
}

async fn with_pod(code: u16, text: &'static str) -> (apiserver_server::Running, Service) {
    let server = start(Config { kubelets: Some(Arc::new(Complains(code, text))), ..Config::default() }).await;
    let admin = admin(&server);
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    for (plural, object) in [("serviceaccounts", json!({"metadata": {"name": "default"}})), ("pods", pod)] {
        let path = format!("/api/v1/namespaces/default/{plural}");
        assert_eq!(ask(&admin, "POST", &path, "application/json", object.to_string()).await.code, 201);
    }
    (server, admin)
}

async fn check(subresource: &str, code: u16, text: &'static str, reason: &str, message: &str) {
    let (_server, admin) = with_pod(code, text).await;
    let uri = format!("/api/v1/namespaces/default/pods/p/{subresource}");
    let request = Request::get(uri).header("connection", "Upgrade").header("upgrade", "websocket");
    let answer = send(&admin, request.body(body::empty()).expect("the URI is one")).await;
    assert_eq!(answer.failure(), (code, reason.to_owned()));
    assert_eq!(answer.json()["message"], message);
}

#[tokio::test]
async fn a_bad_request_keeps_its_words() {
    let words = "container \"c\" in pod \"p\" is waiting to start: ContainerCreating";
    check("log", 400, words, "BadRequest", words).await;
    check(
        "exec?command=ls",
        400,
        "you must specify at least 1 of stdin, stdout, stderr\n",
        "BadRequest",
        "you must specify at least 1 of stdin, stdout, stderr",
    )
    .await;
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let message = "the server could not find the requested resource ( pods/log p)";
    check("log", 404, "no such container", "NotFound", message).await;
}

#[tokio::test]
async fn a_failure_is_an_internal_error() {
    check("log", 500, "disk on fire", "InternalError", "Internal error occurred: disk on fire").await;
}

#[tokio::test]
async fn a_log_passes_through() {
    let (_server, admin) = with_pod(200, "hello\n").await;
    let answer = ask(&admin, "GET", "/api/v1/namespaces/default/pods/p/log", "text/plain", "").await;
    assert_eq!((answer.code.as_u16(), &*answer.text()), (200, "hello\n"));
}

#[tokio::test]
async fn streams_need_an_upgrade() {
    let (_server, admin) = with_pod(200, "never asked").await;
    for subresource in ["exec?command=ls", "attach", "portforward"] {
        let path = format!("/api/v1/namespaces/default/pods/p/{subresource}");
        let answer = ask(&admin, "POST", &path, "application/json", "").await;
        assert_eq!(answer.failure(), (400, "BadRequest".into()));
        assert_eq!(answer.json()["message"], "Upgrade request required");
    }
}

#[tokio::test]
async fn a_token_is_bound_only_to_a_pod_of_its_own_account() {
    let (_server, admin) = with_pod(200, "").await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let other = json!({"metadata": {"name": "other"}}).to_string();
    assert_eq!(ask(&admin, "POST", accounts, "application/json", other).await.code, 201);
    let request = json!({"spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}}}).to_string();
    for (account, code) in [("default", 201), ("other", 400)] {
        let path = format!("{accounts}/{account}/token");
        let answer = ask(&admin, "POST", &path, "application/json", request.clone()).await;
        assert_eq!(answer.code, code, "{account}: {}", answer.text());
    }
}
