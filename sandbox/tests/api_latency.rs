//! A slow API server, on demand.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod support;

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event, Namespace};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use support::{start, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_as_slow_as_it_is_told_to_be() {
    let cluster = start().await;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let annotate = |value: serde_json::Value| {
        Patch::Merge(json!({"metadata": {"annotations": {"sandbox.cpaas.io/fault": value}}}))
    };
    let wait = Duration::from_millis(300);
    let slow = || async {
        let asked = Instant::now();
        namespaces.get("default").await.unwrap();
        asked.elapsed() >= wait
    };
    assert!(!slow().await);
    let params = PatchParams::default();
    namespaces.patch("kube-system", &params, &annotate(json!("api-latency=300ms"))).await.unwrap();
    until("requests to wait", slow).await;
    namespaces.patch("kube-system", &params, &annotate(json!("api-latency=soon"))).await.unwrap();
    until("the mistake to be told", || async {
        let events: Vec<Event> = cluster.list("").await;
        events.iter().any(|event| event.reason.as_deref() == Some("InvalidFault"))
    })
    .await;
    until("requests to wait no more", || async { !slow().await }).await;
}
