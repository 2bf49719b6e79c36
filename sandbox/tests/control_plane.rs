//! Namespaces, garbage, accounts and roles, without any node.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod support;

use harness::TestCluster;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, ServiceAccount},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
        PropagationPolicy,
    },
};
use sandbox::{ControlPlane, ControlPlaneConfig, Running};
use serde_json::{Value, json};
use support::{eventually, gone, until};

async fn start() -> (TestCluster, Client, Running) {
    let server = TestCluster::start().await;
    let client = server.admin();
    let config = ControlPlaneConfig { root_ca: Some("test root".to_owned()), signer: None };
    let running = ControlPlane::start(&client, config);
    (server, client, running)
}

async fn map(api: &Api<ConfigMap>, name: &str, meta: Value) -> ConfigMap {
    let mut object = json!({"metadata": {"name": name}});
    object["metadata"].as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

fn owned_by(owners: &[&ConfigMap], block: bool) -> Value {
    let references: Vec<_> = owners
        .iter()
        .map(|owner| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid(), "blockOwnerDeletion": block}))
        .collect();
    json!({"ownerReferences": references})
}

fn policy(policy: PropagationPolicy) -> DeleteParams {
    DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_collected_in_the_background_the_foreground_and_set_free() {
    let (_server, client, running) = start().await;
    let api: Api<ConfigMap> = Api::namespaced(client, "default");

    let owner = map(&api, "bg", json!({})).await;
    map(&api, "bg-child", owned_by(&[&owner], false)).await;
    api.delete("bg", &policy(PropagationPolicy::Background)).await.unwrap();
    gone(&api, "bg-child").await;

    let owner = map(&api, "fg", json!({})).await;
    let mut held = owned_by(&[&owner], true);
    held["finalizers"] = json!(["example.com/hold"]);
    map(&api, "fg-child", held).await;
    api.delete("fg", &policy(PropagationPolicy::Foreground)).await.unwrap();
    eventually(&api, "fg-child", |child| child.metadata.deletion_timestamp.is_some()).await;
    assert_eq!(api.get("fg").await.unwrap().finalizers(), ["foregroundDeletion"]);
    api.patch("fg-child", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}})))
        .await
        .unwrap();
    gone(&api, "fg").await;
    gone(&api, "fg-child").await;

    let owner = map(&api, "or", json!({})).await;
    map(&api, "or-child", owned_by(&[&owner], false)).await;
    api.delete("or", &policy(PropagationPolicy::Orphan)).await.unwrap();
    gone(&api, "or").await;
    eventually(&api, "or-child", |child| child.owner_references().is_empty()).await;

    let (two, three) = (map(&api, "two", json!({})).await, map(&api, "three", json!({})).await);
    map(&api, "shared", owned_by(&[&two, &three], false)).await;
    api.delete("two", &DeleteParams::default()).await.unwrap();
    eventually(&api, "shared", |child| child.owner_references().len() == 1).await;

    let mut never = two.clone();
    never.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    map(&api, "lost", owned_by(&[&never], false)).await;
    gone(&api, "lost").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_filled_emptied_and_let_go() {
    let (_server, client, _running) = start().await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "n");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "n");
    eventually(&accounts, "default", |_| true).await;
    let root = eventually(&maps, "kube-root-ca.crt", |_| true).await;
    assert_eq!(root.data.unwrap()["ca.crt"], "test root");

    map(&maps, "held", json!({"finalizers": ["example.com/hold"]})).await;
    map(&maps, "free", json!({})).await;
    namespaces.delete("n", &DeleteParams::default()).await.unwrap();
    let stuck = eventually(&namespaces, "n", |found| {
        let conditions = found.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|c| c.type_ == "NamespaceFinalizersRemaining" && c.status == "True")
    })
    .await;
    let kinds: Vec<_> =
        stuck.status.unwrap().conditions.unwrap().into_iter().map(|condition| condition.type_).collect();
    assert_eq!(
        kinds,
        [
            "NamespaceDeletionDiscoveryFailure",
            "NamespaceDeletionGroupVersionParsingFailure",
            "NamespaceDeletionContentFailure",
            "NamespaceContentRemaining",
            "NamespaceFinalizersRemaining"
        ]
    );
    gone(&maps, "free").await;
    maps.patch("held", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}})))
        .await
        .unwrap();
    gone(&namespaces, "n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_of_custom_kinds_is_collected_too() {
    let (_server, client, _running) = start().await;
    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}))
    .unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), &definition).await.unwrap();
    eventually(&definitions, "widgets.example.com", |found| {
        let conditions = found.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
    })
    .await;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Widget"));
    let widgets: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    until("the new kind is served", || async { widgets.list(&ListParams::default()).await.is_ok() }).await;
    let owner = widgets.create(&PostParams::default(), &DynamicObject::new("w", &resource)).await.unwrap();
    let reference = json!({"ownerReferences": [{"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": owner.uid()}]});
    map(&maps, "child", reference).await;
    widgets.delete("w", &DeleteParams::default()).await.unwrap();
    gone(&maps, "child").await;
}
