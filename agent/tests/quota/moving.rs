//! Namespaces that are put into projects, and leave them.

use std::net::SocketAddr;
use std::sync::Arc;

use agent::quota::Reach;
use agent::{ClusterApi, DirectoryStore};
use http::Method;
use serde_json::json;
use tokio::sync::watch;

use crate::support::*;

#[tokio::test]
async fn a_namespace_is_charged_where_it_goes_and_freed_where_it_was() {
    let (member, _agent) = Member::start().await;
    member.namespace("c", Some("lab")).await;
    member.bound("shop", json!({"pods": "10"})).await;
    member.bound("lab", json!({"pods": "10"})).await;
    member.create("a", "q", json!({"pods": "6"})).await.unwrap();
    member.create("b", "q", json!({"pods": "3"})).await.unwrap();
    member.create("c", "q", json!({"pods": "5"})).await.unwrap();
    refused(member.relabel("a", Some("lab")).await, 403, "pods: 6 more asked for, 5 left (5 of 10");
    member.relabel("b", Some("lab")).await.unwrap();
    member.uses("lab", json!({"pods": "8"})).await;
    member.uses("shop", json!({"pods": "6"})).await;
    member.relabel("b", None).await.unwrap();
    member.uses("lab", json!({"pods": "5"})).await;
    // Nobody is asked about it now, until it comes back.
    member.patch("b", "q", json!({"pods": "50"})).await.unwrap();
    refused(member.relabel("b", Some("shop")).await, 403, "pods: 50 more asked for, 4 left");
    // One without a quota is as a new one, and the project says so.
    member.namespace("d", None).await;
    member.relabel("d", Some("shop")).await.unwrap();
    let quota = member
        .until("shop", |quota| {
            let conditions = &quota.status.as_ref().unwrap().conditions;
            conditions.iter().any(|c| c.type_ == "Unbounded" && c.status == "True")
        })
        .await;
    assert!(format!("{:?}", quota.status).contains("d: pods"), "{:?}", quota.status);
}

#[tokio::test]
async fn what_else_happens_to_namespaces_is_nobodys_business() {
    let (member, agent) = Member::start().await;
    member.bound("shop", json!({"pods": "10"})).await;
    agent.kill().await;
    // Nobody serves the webhook.
    refused(member.create("a", "q", json!({"pods": "1"})).await, 500, "failed calling webhook");
    refused(member.relabel("a", Some("lab")).await, 500, "failed calling webhook");
    let patch = kube::api::Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    said(member.namespaces().patch("a", &Default::default(), &patch).await).unwrap();
    member.relabel("b", None).await.unwrap();
    member.namespace("c", Some("shop")).await;
}

/// A cluster whose answer to the first note at a project is late until it is told so.
fn late_note(
    api: ClusterApi,
    project: &'static str,
    noted: watch::Sender<bool>,
    go: watch::Receiver<bool>,
) -> ClusterApi {
    ClusterApi::from_fn(move |request| {
        let path = format!("/projectquotas/{project}/status");
        let notes = request.method() == Method::PUT && request.uri().path().ends_with(&path);
        let (answer, noted, mut go) = (api.send(request), noted.clone(), go.clone());
        Box::pin(async move {
            let response = answer.await?;
            if notes && go.has_changed().is_ok() {
                noted.send_replace(true);
                let _ = go.wait_for(|go| *go).await;
            }
            Ok(response)
        })
    })
}

#[tokio::test]
async fn case_47_a_quota_that_grows_while_its_namespace_moves_is_seen() {
    let (member, first) = Member::start().await;
    member.namespace("c", Some("lab")).await;
    member.bound("shop", json!({"pods": "5"})).await;
    // Bounded in something else, so that anything goes there.
    member.bound("lab", json!({"secrets": "5"})).await;
    member.create("c", "q", json!({"pods": "1", "secrets": "1"})).await.unwrap();
    member.uses("lab", json!({"secrets": "1"})).await;
    first.kill().await;
    let ((noted, mut seen), (open, go)) = (watch::channel(false), watch::channel(false));
    let store = Arc::new(DirectoryStore::new(member.dir.path()));
    let api = late_note(member.api(), "lab", noted, go);
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut agent = member.agent_with(api, store, listen, Reach::Listener, timing());
    agent.ready().await;
    let grows = member.patch("c", "q", json!({"pods": "50"}));
    let moves = async {
        seen.wait_for(|noted| *noted).await.unwrap();
        let moved = member.relabel("c", Some("shop")).await;
        open.send_replace(true);
        moved
    };
    let (grown, moved) = tokio::join!(grows, moves);
    refused(moved, 403, "pods: 50 more asked for, 5 left");
    grown.unwrap();
    member.uses("lab", json!({"secrets": "1"})).await;
}
