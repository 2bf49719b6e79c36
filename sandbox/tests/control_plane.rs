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
use sandbox::{ControlPlane, ControlPlaneConfig, Running, Sandbox, SandboxConfig};
use serde_json::{Value, json};
use support::{eventually, gone, until};

async fn start() -> (TestCluster, Client, Running) {
    let server = TestCluster::start().await;
    let client = server.admin();
    let config = ControlPlaneConfig { root_ca: Some("test root".to_owned()), signer: None };
    let running = ControlPlane::start(&client, config);
    (server, client, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_also_before_it_has_begun() {
    let server = TestCluster::start().await;
    let sandbox = || Sandbox::start(&server.admin(), ControlPlaneConfig::default(), &SandboxConfig::default(), None);
    for running in [ControlPlane::start(&server.admin(), ControlPlaneConfig::default()), sandbox()] {
        tokio::time::timeout(support::PATIENCE, running.stop()).await.expect("stopping takes no time");
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_counted_and_never_exceeded_by_creations_at_once() {
    use k8s_openapi::api::core::v1::ResourceQuota;
    let (_server, client, running) = start().await;
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), "default");
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"count/secrets": "5", "secrets": "9"}}});
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    let used = |quota: &ResourceQuota, name: &str| quota.status.as_ref()?.used.as_ref()?.get(name).map(|q| q.0.clone());
    eventually(&quotas, "q", |quota| used(quota, "count/secrets").as_deref() == Some("0")).await;

    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(client, "default");
    let params = PostParams::default();
    let attempts = (0..20).map(|n| {
        let secret = serde_json::from_value(json!({"metadata": {"name": format!("s{n}")}})).unwrap();
        let (secrets, params) = (&secrets, &params);
        async move { secrets.create(params, &secret).await }
    });
    let (made, refused): (Vec<_>, Vec<_>) =
        futures::future::join_all(attempts).await.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (5, 15));
    let why = refused[0].as_ref().unwrap_err().to_string();
    let expect = "exceeded quota: q, requested: count/secrets=1, used: count/secrets=5, limited: count/secrets=5";
    assert!(why.contains(expect), "{why}");

    let one = made[0].as_ref().unwrap().name_any();
    secrets.delete(&one, &DeleteParams::default()).await.unwrap();
    eventually(&quotas, "q", |quota| used(quota, "secrets").as_deref() == Some("4")).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_go_when_no_pod_uses_them() {
    use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
    let (_server, client, running) = start().await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    eventually(&accounts, "default", |_| true).await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), "default");
    for name in ["free", "used"] {
        let claim = json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}});
        let claim = claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
        assert_eq!(claim.finalizers(), ["kubernetes.io/pvc-protection"]);
    }
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "a", "image": "i"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "used"}}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    for name in ["used", "free"] {
        claims.delete(name, &DeleteParams::default()).await.unwrap();
    }
    gone(&claims, "free").await;
    assert!(claims.get("used").await.unwrap().metadata.deletion_timestamp.is_some());
    running.stop().await;
}
