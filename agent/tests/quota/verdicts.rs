//! What is let pass and what is not.

use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn namespaces_share_what_the_project_has() {
    let (member, _agent) = Member::start().await;
    member.bound("shop", json!({"pods": "10", "requests.cpu": "4"})).await;
    member.create("a", "q", json!({"pods": "4", "requests.cpu": "1500m"})).await.unwrap();
    let lacking = member.create("b", "q", json!({"pods": "1"})).await;
    refused(
        lacking,
        403,
        "does not name requests.cpu, in which project shop is bounded in this cluster: 2500m of 4 is left",
    );
    let much = member.create("b", "q", json!({"pods": "7", "requests.cpu": "1"})).await;
    refused(much, 403, "pods: 7 more asked for, 6 left (4 of 10 is given to namespaces)");
    member.create("b", "q", json!({"pods": "6", "requests.cpu": "2500m"})).await.unwrap();
    member.uses("shop", json!({"pods": "10", "requests.cpu": "4"})).await;
    refused(member.patch("a", "q", json!({"pods": "5"})).await, 403, "pods: 1 more asked for, 0 left");
    member.patch("b", "q", json!({"pods": "5"})).await.unwrap();
    member.patch("a", "q", json!({"pods": "5"})).await.unwrap();
    member.uses("shop", json!({"pods": "10", "requests.cpu": "4"})).await;
}

#[tokio::test]
async fn a_trial_keeps_no_room() {
    let (member, _agent) = Member::start().await;
    member.bound("shop", json!({"pods": "10"})).await;
    let trial = PostParams { dry_run: true, ..PostParams::default() };
    for _ in 0..3 {
        said(member.quotas("a").create(&trial, &quota("q", json!({"pods": "9"}))).await).unwrap();
    }
    refused(said(member.quotas("a").create(&trial, &quota("q", json!({"pods": "11"}))).await), 403, "1 more asked for");
    member.create("b", "q", json!({"pods": "10"})).await.unwrap();
}

#[tokio::test]
async fn tightening_takes_nothing_away_and_loosening_holds_at_once() {
    let (member, _agent) = Member::start().await;
    member.bound("shop", json!({"pods": "10"})).await;
    for namespace in ["a", "b"] {
        member.create(namespace, "q", json!({"pods": "5"})).await.unwrap();
    }
    member.bound("shop", json!({"pods": "6"})).await;
    let exceeded = member.project_quotas().get("shop").await.unwrap().status.unwrap();
    let condition = exceeded.conditions.iter().find(|c| c.type_ == "Exceeded").unwrap();
    assert_eq!((&*condition.status, &*condition.reason), ("True", "Exceeded"));
    assert!(condition.message.contains("pods: 10 of 6"), "{}", condition.message);
    assert_eq!(member.sum_of_pods(&["a", "b"]).await, 10);
    refused(member.patch("a", "q", json!({"pods": "6"})).await, 403, "0 left (10 of 6");
    // Labels and less are nobody's loss.
    let label = Patch::Merge(json!({"metadata": {"labels": {"l": "v"}}}));
    said(member.quotas("a").patch("q", &PatchParams::default(), &label).await).unwrap();
    member.patch("a", "q", json!({"pods": "2"})).await.unwrap();
    refused(member.patch("b", "q", json!({"pods": "6"})).await, 403, "0 left (7 of 6");
    member.bound("shop", json!({"pods": "8"})).await;
    member.patch("b", "q", json!({"pods": "6"})).await.unwrap();
    let is_within = |quota: &api_types::tenancy::ProjectQuota| {
        let status = quota.status.as_ref().unwrap();
        status.conditions.iter().any(|c| c.type_ == "Exceeded" && c.reason == "WithinQuota")
    };
    member.until("shop", is_within).await;
    // Another key, which nobody named yet.
    member.bound("shop", json!({"pods": "8", "secrets": "1"})).await;
    member.patch("a", "q", json!({"pods": "1"})).await.unwrap();
    refused(member.create("b", "r", json!({"pods": "0"})).await, 403, "does not name secrets");
}

#[tokio::test]
async fn what_bounds_a_namespace_goes_with_it() {
    let (member, _agent) = Member::start().await;
    member.bound("shop", json!({"pods": "10"})).await;
    member.create("a", "q", json!({"pods": "4"})).await.unwrap();
    refused(member.delete("a", "q").await, 403, "is what bounds pods in the namespace");
    member.create("a", "r", json!({"pods": "1"})).await.unwrap();
    member.delete("a", "q").await.unwrap();
    member.uses("shop", json!({"pods": "1"})).await;
    // As the controller does that empties namespaces.
    let emptier = member.cluster.server.client(apiserver_access::User::new(
        "system:serviceaccount:kube-system:namespace-controller",
        [apiserver_access::MASTERS],
    ));
    let quotas: kube::Api<k8s_openapi::api::core::v1::ResourceQuota> = kube::Api::namespaced(emptier, "a");
    quotas.delete("r", &DeleteParams::default()).await.unwrap();
    member.uses("shop", json!({"pods": "0"})).await;
}

#[tokio::test]
async fn projects_do_not_share_and_what_is_in_none_has_no_bound() {
    let (member, _agent) = Member::start().await;
    member.namespace("c", Some("lab")).await;
    member.namespace("d", None).await;
    member.bound("shop", json!({"pods": "10"})).await;
    member.bound("lab", json!({"pods": "3"})).await;
    member.create("a", "q", json!({"pods": "10"})).await.unwrap();
    refused(member.create("c", "q", json!({"pods": "4"})).await, 403, "the quota of project lab");
    member.create("c", "q", json!({"pods": "3"})).await.unwrap();
    member.create("d", "q", json!({"pods": "1000"})).await.unwrap();
    member.uses("shop", json!({"pods": "10"})).await;
    member.uses("lab", json!({"pods": "3"})).await;
    // A project without bounds here.
    member.namespace("e", Some("free")).await;
    member.bound("free", json!({})).await;
    member.create("e", "q", json!({"pods": "1000"})).await.unwrap();
}

#[tokio::test]
async fn before_a_project_is_in_place_its_namespaces_are_given_nothing() {
    let (member, _agent) = Member::start().await;
    member.namespace("e", Some("new")).await;
    let words = "project new is not in place in this cluster";
    refused(member.create("e", "q", json!({"pods": "1"})).await, 403, words);
    // The project's own namespace is not one in which something runs.
    member.namespace("own", Some("own")).await;
    member.create("own", "q", json!({"pods": "1"})).await.unwrap();
    member.namespace("f", None).await;
    member.create("f", "q", json!({"pods": "7"})).await.unwrap();
    refused(member.relabel("f", Some("new")).await, 403, words);
    member.bound("new", json!({"pods": "10"})).await;
    member.create("e", "q", json!({"pods": "5"})).await.unwrap();
    refused(member.relabel("f", Some("new")).await, 403, "pods: 7 more asked for, 5 left");
    // Whoever wants less is never in the way.
    let quotas = member.project_quotas();
    quotas.delete("new", &Default::default()).await.unwrap();
    member.patch("e", "q", json!({"pods": "2"})).await.unwrap();
    refused(member.patch("e", "q", json!({"pods": "3"})).await, 403, words);
}
