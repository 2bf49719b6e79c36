//! The index follows what there is in the hub, in members with agents and in imported clusters.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

#[path = "../hub/mod.rs"]
mod hub;
mod support;

use std::time::{Duration, Instant};

use fleet::FeedState;
use harness::TestCluster;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, PostParams};
use lib_drain::Drained;
use serde_json::json;

use crate::hub::Hub;
use crate::support::*;

fn maps(cluster: &TestCluster) -> Api<ConfigMap> {
    Api::namespaced(cluster.admin(), "default")
}

async fn put_map(cluster: &TestCluster, name: &str) {
    let map = serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": "shop"}}})).unwrap();
    maps(cluster).create(&PostParams::default(), &map).await.unwrap();
}

async fn drop_map(cluster: &TestCluster, name: &str) {
    maps(cluster).delete(name, &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn the_hub_knows_itself() {
    let hub = Hub::start().await;
    hub.until("the hub is followed", || hub.state("global") == Some(FeedState::Following)).await;
    assert!(hub.found("global", "cpaas-system"), "its namespace");
    put_map(&hub.cluster, "m").await;
    hub.until("a new object is found", || hub.found("global", "m")).await;
    drop_map(&hub.cluster, "m").await;
    hub.until("it is found no more", || !hub.found("global", "m")).await;
    hub.condition("global", "True", "Following").await;
}

#[tokio::test]
async fn a_member_is_followed_lost_met_again_and_forgotten() {
    let hub = Hub::start().await;
    let (member, credential) = (TestCluster::start().await, hub.register("branch").await);
    lay(&member, fleet::member_objects()).await;
    lay(&member, fleet::removal_objects(&[]).into()).await;
    put_map(&member, "kept").await;
    put_map(&member, "going").await;
    let agent = hub.agent("branch", &credential, &member).await;
    hub.until("what there was is found", || hub.found("branch", "kept") && hub.found("branch", "going")).await;
    hub.until("it is followed", || hub.state("branch") == Some(FeedState::Following)).await;
    put_map(&member, "new").await;
    hub.until("what came is found", || hub.found("branch", "new")).await;
    let known = hub.fleet.index().freshness("branch").unwrap().as_of.unwrap();

    // While the agent is away the rows stay, and grow old.
    assert_eq!(agent.drain.drain(SOON).await, Drained::Complete);
    hub.until("it is lost", || matches!(hub.state("branch"), Some(FeedState::Lost { reason: "TunnelClosed", .. })))
        .await;
    drop_map(&member, "going").await;
    put_map(&member, "meanwhile").await;
    assert!(hub.found("branch", "going") && !hub.found("branch", "meanwhile"));
    let then = hub.fleet.index().freshness("branch").unwrap().as_of.unwrap();
    hub.condition("branch", "False", "TunnelClosed").await;
    assert_eq!(hub.fleet.index().freshness("branch").unwrap().as_of, Some(then));

    let _agent = hub.agent("branch", &credential, &member).await;
    hub.until("it is met again", || hub.found("branch", "meanwhile") && !hub.found("branch", "going")).await;
    hub.until("it is newer", || hub.fleet.index().freshness("branch").unwrap().as_of > Some(then)).await;
    assert!(then >= known && hub.found("branch", "kept"));

    hub.remove("branch").await;
    hub.until("it is forgotten", || hub.state("branch").is_none() && !hub.found("branch", "kept")).await;
    assert!(hub.found("global", "cpaas-system"), "and no other is");
}

#[tokio::test]
async fn an_imported_cluster_is_followed_by_the_hub() {
    let hub = Hub::start().await;
    let member = TestCluster::start().await;
    put_map(&member, "m").await;
    let listening = member.listen().await;
    hub.import("eu-1", &listening.kubeconfig).await;
    hub.until("its objects are found", || hub.found("eu-1", "m")).await;
    put_map(&member, "n").await;
    hub.until("what came is found", || hub.found("eu-1", "n")).await;
    hub.condition("eu-1", "True", "Following").await;
    hub.remove("eu-1").await;
    hub.until("it is forgotten", || !hub.found("eu-1", "m")).await;
}

#[tokio::test]
async fn a_member_without_the_role_says_so_and_is_followed_once_it_has_it() {
    let hub = Hub::start().await;
    let (member, credential) = (TestCluster::start().await, hub.register("branch").await);
    let has_role = |object: &serde_json::Value| object["metadata"]["name"] == fleet::INVENTORY_USER;
    let (role, others) = fleet::member_objects().into_iter().partition(has_role);
    lay(&member, others).await;
    let agent = hub.agent("branch", &credential, &member).await;
    hub.condition("branch", "False", "NotAllowed").await;
    let Some(FeedState::Lost { message, .. }) = hub.state("branch") else { panic!("it is not followed") };
    assert!(message.contains("apply the ClusterRole"), "{message}");
    lay(&member, role).await;
    let _ = agent.drain.drain(SOON).await;
    let _agent = hub.agent("branch", &credential, &member).await;
    hub.until("it is followed", || hub.state("branch") == Some(FeedState::Following)).await;
}

#[tokio::test]
async fn an_older_agent_is_named_and_left_in_peace() {
    let hub = Hub::start().await;
    let credential = hub.register("branch").await;
    let began = Instant::now();
    let odd = hub.odd_agent(&credential, |_| None).await;
    hub.until("it is too old", || matches!(hub.state("branch"), Some(FeedState::Lost { reason: "AgentTooOld", .. })))
        .await;
    hub.until("it is asked again", || odd.asked("inventory") >= 3).await;
    assert!(began.elapsed() >= Duration::from_millis(500), "after {:?}", began.elapsed());
    hub.until("the cluster is looked at all the same", || odd.asked("agent-status") > 1).await;
}

#[tokio::test]
async fn case_28_a_member_that_tells_nonsense_loses_its_feed_alone() {
    let hub = Hub::start().await;
    for (name, feed, reason) in [
        ("nonsense", &b"HTTP/1.1 200 OK\r\n\r\n<html>\n"[..], "BadFeed"),
        ("unnamed", b"HTTP/1.1 200 OK\r\n\r\n{\"put\":{\"k\":1,\"n\":\"a\"}}\n", "BadFeed"),
        ("endless", LONG_LINE.as_slice(), "BadFeed"),
        ("refusing", b"HTTP/1.1 418 No\r\ncontent-length: 19\r\n\r\n{\"message\":\"\\u001b\"}", "AgentRefused"),
        ("ending", b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"beat\":{}}\n", "FeedLost"),
    ] {
        let credential = hub.register(name).await;
        let odd = hub.odd_agent(&credential, move |target| (target == "inventory").then_some(feed)).await;
        let is_lost = |state| matches!(state, Some(FeedState::Lost { reason: found, .. }) if found == reason);
        hub.until(name, || is_lost(hub.state(name))).await;
        let Some(FeedState::Lost { message, .. }) = hub.state(name) else { panic!("{name} is not followed") };
        assert!(!message.chars().any(char::is_control), "{message:?}");
        assert!(odd.asked("inventory") < 10);
        assert!(!hub.found(name, "a"));
    }
    put_map(&hub.cluster, "m").await;
    hub.until("others are followed", || hub.found("global", "m")).await;
}
