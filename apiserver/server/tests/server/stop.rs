//! Stopping: probes say so, streams end properly, what is under way is finished, and nothing new begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{admin, ask, send, start};
use apiserver_endpoints::{Body, KubeletTransport, body};
use apiserver_server::Config;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tokio::sync::oneshot;
use tower::ServiceExt;

const JSON: &str = "application/json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEADLINE: Duration = Duration::from_secs(20);

/// Answers logs with one line and then nothing, for ever.
struct Endless;

#[async_trait]
impl KubeletTransport for Endless {
    async fn send(&self, _node: &str, _request: Request<Body>) -> Result<Response<Body>, api_meta::Status> {
        let line = stream::iter([Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"one\n")))]);
        let forever = futures::StreamExt::chain(line, stream::pending());
        Ok(Response::new(body::boxed(StreamBody::new(forever))))
    }
}

fn get(uri: &str) -> Request<Body> {
    Request::builder().uri(uri).body(body::empty()).expect("the URI is one")
}

#[tokio::test]
async fn watches_and_logs_end_with_a_proper_end() {
    let server = start(Config { kubelets: Some(Arc::new(Endless)), ..Config::default() }).await;
    let admin = admin(&server);
    for (path, object) in [
        ("/api/v1/namespaces/default/serviceaccounts", json!({"metadata": {"name": "default"}})),
        (
            "/api/v1/namespaces/default/pods",
            json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}}),
        ),
        (MAPS, json!({"metadata": {"name": "x"}})),
    ] {
        assert_eq!(ask(&admin, "POST", path, JSON, object.to_string()).await.code, 201);
    }
    let mut streams = Vec::new();
    for uri in [format!("{MAPS}?watch"), "/api/v1/namespaces/default/pods/p/log?follow=true".to_owned()] {
        let mut content = admin.clone().oneshot(get(&uri)).await.unwrap().into_body();
        assert!(content.frame().await.unwrap().unwrap().is_data(), "{uri} has begun");
        streams.push(content);
    }
    let rest = streams.into_iter().map(BodyExt::collect);
    let (ends, ()) = tokio::join!(futures::future::join_all(rest), server.stop(DEADLINE));
    for end in ends {
        assert!(end.unwrap().to_bytes().is_empty(), "nothing but the end");
    }
}

#[tokio::test]
async fn a_write_under_way_is_finished_and_a_new_one_refused() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let (rest, arrives) = oneshot::channel::<()>();
    let (begun, has_begun) = oneshot::channel::<()>();
    let object = json!({"metadata": {"name": "slow"}}).to_string();
    let content = stream::once(async move {
        let _ = begun.send(());
        let _ = arrives.await;
        Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(object)))
    });
    let request = Request::post(MAPS).header("content-type", JSON).body(body::boxed(StreamBody::new(content))).unwrap();
    let (stop, stops) = oneshot::channel::<()>();
    let stopped = AtomicBool::new(false);
    let slow = async { send(&admin, request).await };
    let others = async {
        has_begun.await.unwrap();
        stop.send(()).unwrap();
        // Probes are answered, and say when stopping has begun.
        while ask(&admin, "GET", "/readyz", JSON, "").await.code == 200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(ask(&admin, "GET", "/livez", JSON, "").await.code, 200);
        let late = json!({"metadata": {"name": "late"}}).to_string();
        let refused = ask(&admin, "POST", MAPS, JSON, late).await;
        assert_eq!(refused.failure(), (503, "ServiceUnavailable".into()));
        assert_eq!(
            (&refused.headers["retry-after"], &refused.headers["connection"]),
            (&"1".parse().unwrap(), &"close".parse().unwrap())
        );
        assert_eq!(refused.json()["details"]["retryAfterSeconds"], 1);
        assert!(!stopped.load(Ordering::SeqCst), "stopping waits for the write");
        rest.send(()).unwrap();
    };
    let stopping = async {
        stops.await.unwrap();
        server.stop(DEADLINE).await;
        stopped.store(true, Ordering::SeqCst);
    };
    let (answer, (), ()) = tokio::join!(slow, others, stopping);
    assert_eq!(answer.code, 201, "{}", answer.text());
}
