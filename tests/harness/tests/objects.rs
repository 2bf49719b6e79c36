//! Objects through the whole API server: what every kind can rely on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use futures::{StreamExt, TryStreamExt};
use harness::TestCluster;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::Status;
use serde_json::json;

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": name}}, "data": {"k": value}})).unwrap()
}

fn status(error: kube::Error) -> Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("not an API error: {other}"),
    }
}

#[tokio::test]
async fn an_object_lives_and_dies() {
    let cluster = TestCluster::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.admin(), "default");
    let made = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    assert_eq!(status(maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap_err()).code, 409);

    let mut changed = made.clone();
    changed.data = Some([("k".to_owned(), "2".to_owned())].into());
    let replaced = maps.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_ne!(replaced.metadata.resource_version, made.metadata.resource_version);
    // The version of the first write is no longer the current one.
    assert_eq!(status(maps.replace("a", &PostParams::default(), &changed).await.unwrap_err()).code, 409);

    let patch = json!({"data": {"more": "3"}});
    let patched = maps.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(patched.data.unwrap().len(), 2);

    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(status(maps.get("a").await.unwrap_err()).reason, "NotFound");
}

#[tokio::test]
async fn a_list_and_a_watch_from_it_miss_nothing() {
    let cluster = TestCluster::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.admin(), "default");
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let list = maps.list(&ListParams::default().labels("app")).await.unwrap();
    assert_eq!(list.items.len(), 1);
    let from = list.metadata.resource_version.unwrap();
    maps.create(&PostParams::default(), &config_map("b", "1")).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let events = maps.watch(&WatchParams::default().labels("app"), &from).await.unwrap();
    let seen: Vec<String> = events
        .take(2)
        .map_ok(|event| match event {
            WatchEvent::Added(o) => format!("added {}", o.metadata.name.unwrap()),
            WatchEvent::Deleted(o) => format!("deleted {}", o.metadata.name.unwrap()),
            other => format!("{other:?}"),
        })
        .try_collect()
        .await
        .unwrap();
    assert_eq!(seen, ["added b", "deleted a"]);
}

#[tokio::test]
async fn a_service_gets_an_address_that_nobody_else_has() {
    let cluster = TestCluster::start().await;
    let services: Api<Service> = Api::namespaced(cluster.admin(), "default");
    let mut seen = std::collections::HashSet::new();
    for n in 0..20 {
        let service = json!({"metadata": {"name": format!("s{n}")}, "spec": {"ports": [{"port": 80}]}});
        let made = services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
        assert!(seen.insert(made.spec.unwrap().cluster_ip.unwrap()));
    }
}

#[tokio::test]
async fn rights_are_asked_for() {
    let cluster = TestCluster::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.user("ann"), "default");
    let refused = status(maps.list(&ListParams::default()).await.unwrap_err());
    assert_eq!(
        refused.message,
        "configmaps is forbidden: User \"ann\" cannot list resource \"configmaps\" in API group \"\" in the namespace \
         \"default\""
    );
}

#[tokio::test]
async fn a_pod_needs_a_service_account_and_a_namespace() {
    let cluster = TestCluster::start().await;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}
    }))
    .unwrap();
    let pods: Api<Pod> = Api::namespaced(cluster.admin(), "default");
    let refused = status(pods.create(&PostParams::default(), &pod).await.unwrap_err());
    assert!(refused.message.contains("serviceaccount \"default\" not found"), "{}", refused.message);
    let pods: Api<Pod> = Api::namespaced(cluster.admin(), "missing");
    assert_eq!(status(pods.create(&PostParams::default(), &pod).await.unwrap_err()).code, 404);
}

#[tokio::test]
async fn the_first_namespaces_are_there() {
    let cluster = TestCluster::start().await;
    let namespaces: Api<Namespace> = Api::all(cluster.admin());
    let names: Vec<String> = namespaces
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .into_iter()
        .filter_map(|n| n.metadata.name)
        .collect();
    assert_eq!(names, ["default", "kube-node-lease", "kube-public", "kube-system"]);
}

/// What a real API server answers, as data: a request, and parts of the answer that clients act on.
#[tokio::test]
async fn answers_as_recorded() {
    const MERGE: &str = "application/merge-patch+json";
    const APPLY: &str = "application/apply-patch+yaml";
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "finalizers": ["example.com/a"]}});
    let maps = "/api/v1/namespaces/default/configmaps";
    let one = "/api/v1/namespaces/default/configmaps/m";
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "spec": {}});
    let steps = [
        ("create", "POST", maps, "application/json", map.clone(), 201, "/kind", json!("ConfigMap")),
        (
            "a patch to another type",
            "PATCH",
            one,
            MERGE,
            json!({"data": []}),
            422,
            "/details/causes/0/field",
            json!("patch"),
        ),
        (
            "a patch of the uid",
            "PATCH",
            one,
            MERGE,
            json!({"metadata": {"uid": "x"}}),
            422,
            "/details/causes/0/field",
            json!("metadata.uid"),
        ),
        (
            "a deletion by update",
            "PATCH",
            one,
            MERGE,
            json!({"metadata": {"deletionTimestamp": "2001-01-01T00:00:00Z"}}),
            422,
            "/details/causes/0/field",
            json!("metadata.deletionTimestamp"),
        ),
        (
            "an unknown patch",
            "PATCH",
            one,
            "text/plain",
            json!({}),
            415,
            "/message",
            json!("415: Unsupported Media Type"),
        ),
        (
            "a configuration that does not fit",
            "PATCH",
            "/api/v1/namespaces/default/configmaps/m?fieldManager=x",
            APPLY,
            applied,
            500,
            "/message",
            json!("failed to create typed patch object (/m; /v1, Kind=ConfigMap): .spec: field not declared in schema"),
        ),
        ("delete", "DELETE", one, "application/json", json!({}), 200, "/metadata/finalizers/0", json!("example.com/a")),
        (
            "the name is taken",
            "POST",
            maps,
            "application/json",
            map,
            409,
            "/message",
            json!("object is being deleted: configmaps \"m\" already exists"),
        ),
        (
            "no finalizer joins a deletion",
            "PATCH",
            one,
            MERGE,
            json!({"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}),
            422,
            "/details/causes/0/field",
            json!("metadata.finalizers"),
        ),
        ("let go", "PATCH", one, MERGE, json!({"metadata": {"finalizers": null}}), 200, "/kind", json!("ConfigMap")),
    ];
    let cluster = TestCluster::start().await;
    let client = cluster.admin();
    for (name, method, path, media, body, code, pointer, expect) in steps {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media)
            .body(kube::client::Body::from(body.to_string().into_bytes()))
            .unwrap();
        let response = client.send(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((status, answer.pointer(pointer)), (code, Some(&expect)), "{name}: {answer}");
    }
}
