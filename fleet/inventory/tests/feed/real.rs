//! A real API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use apiserver_access::{MASTERS, User};
use fleet_inventory::{Error, Feed};
use harness::TestCluster;
use http_body_util::{BodyStream, StreamBody};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use lib_kubernetes::{BoxError, ClusterApi, boxed};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tunnel_protocol::inventory::USER;

use crate::support::{Asked, SOON, Told, count, text};

fn of<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn api(cluster: &TestCluster) -> ClusterApi {
    ClusterApi::in_process(cluster.server.service_as(User::new("hub", [MASTERS])))
}

/// Lets the inventory's user read everything.
async fn allow(cluster: &TestCluster) {
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "watch"]}]);
    let role: ClusterRole = of(json!({"metadata": {"name": USER}, "rules": rules}));
    let group = "rbac.authorization.k8s.io";
    let binding: ClusterRoleBinding = of(json!({
        "metadata": {"name": USER}, "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": USER},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
    }));
    let post = PostParams::default();
    Api::all(cluster.admin()).create(&post, &role).await.unwrap();
    Api::all(cluster.admin()).create(&post, &binding).await.unwrap();
}

async fn started() -> TestCluster {
    let cluster = TestCluster::start().await;
    allow(&cluster).await;
    cluster
}

async fn whole(api: ClusterApi) -> Told {
    // The role may not have reached the authoriser yet.
    let began = Instant::now();
    let feed = loop {
        match Feed::open(api.clone()).await {
            Err(Error::NotAllowed) if began.elapsed() < SOON => tokio::time::sleep(Duration::from_millis(20)).await,
            feed => break feed.unwrap(),
        }
    };
    let mut told = Told::new(feed);
    told.until("everything is listed", Told::is_whole).await;
    told
}

fn maps(cluster: &TestCluster) -> Api<ConfigMap> {
    Api::namespaced(cluster.admin(), "default")
}

async fn put_map(cluster: &TestCluster, name: &str) {
    maps(cluster).create(&PostParams::default(), &of(json!({"metadata": {"name": name}}))).await.unwrap();
}

#[tokio::test]
async fn objects_are_told_as_they_come_change_and_go() {
    let cluster = started().await;
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.admin(), "default");
    accounts.create(&PostParams::default(), &of(json!({"metadata": {"name": "default"}}))).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(cluster.admin(), "default");
    let containers = json!([{"name": "c", "image": "r/web:1"}, {"name": "d", "image": "r/side:2"}]);
    let pod = json!({"metadata": {"name": "old", "labels": {"app": "web"}}, "spec": {"containers": containers}});
    pods.create(&PostParams::default(), &of(pod)).await.unwrap();
    let mut told = whole(api(&cluster)).await;
    let old = told.find("pods", "default", "old").unwrap();
    assert_eq!(
        (old.images.as_slice(), &*old.labels["app"]),
        (["r/web:1".to_owned(), "r/side:2".into()].as_slice(), "web")
    );
    assert!(old.created > 1_700_000_000);
    assert!(told.find("namespaces", "", "default").is_some());
    assert!(told.find("clusterroles", "", "cluster-admin").is_some());
    for left_out in ["events", "leases", "endpoints", "endpointslices", "selfsubjectaccessreviews", "tokenreviews"] {
        assert!(!told.serves(left_out), "{left_out}");
    }

    put_map(&cluster, "m").await;
    told.until("a new object", |told| told.find("configmaps", "default", "m").is_some()).await;
    let labels = Patch::Merge(json!({"metadata": {"labels": {"tier": "front"}}}));
    maps(&cluster).patch("m", &PatchParams::default(), &labels).await.unwrap();
    told.until("a changed object", |told| {
        told.find("configmaps", "default", "m")
            .is_some_and(|map| map.labels.get("tier").is_some_and(|tier| tier == "front"))
    })
    .await;
    maps(&cluster).delete("m", &DeleteParams::default()).await.unwrap();
    told.until("an object that went", |told| told.find("configmaps", "default", "m").is_none()).await;

    let deployments: Api<Deployment> = Api::namespaced(cluster.admin(), "default");
    let selector = json!({"app": "shop"});
    let template =
        json!({"metadata": {"labels": selector}, "spec": {"containers": [{"name": "c", "image": "r/shop:3"}]}});
    let shop =
        json!({"metadata": {"name": "shop"}, "spec": {"selector": {"matchLabels": selector}, "template": template}});
    deployments.create(&PostParams::default(), &of(shop)).await.unwrap();
    told.until("a new Deployment", |told| {
        told.find("deployments", "default", "shop").is_some_and(|shop| shop.images == ["r/shop:3"])
    })
    .await;
    let (namespaces, post) = (Api::<Namespace>::all(cluster.admin()), PostParams::default());
    namespaces.create(&post, &of(json!({"metadata": {"name": "shop"}}))).await.unwrap();
    told.until("a new namespace", |told| told.find("namespaces", "", "shop").is_some()).await;
    // One listing of each was enough: the first line of a kind says that it is there, the second that it is listed.
    assert!(told.listings.values().all(|&listings| listings == 2), "{:?}", told.listings);
    told.until("a beat", |told| told.beats > 1).await;
}

#[tokio::test]
async fn kinds_come_and_go() {
    let cluster = started().await;
    let mut told = whole(api(&cluster)).await;
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin());
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.com", "v1", "Boat"), "boats");
    let boats: Api<DynamicObject> = Api::namespaced_with(cluster.admin(), "default", &resource);
    for name in ["first", "second"] {
        let names = json!({"plural": "boats", "singular": "boat", "kind": "Boat"});
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let versions = json!([{"name": "v1", "served": true, "storage": true, "schema": schema}]);
        let definition = json!({
            "metadata": {"name": "boats.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions},
        });
        definitions.create(&PostParams::default(), &of(definition)).await.unwrap();
        told.until("a new kind", |told| told.serves("boats") && told.is_whole()).await;
        let boat =
            json!({"apiVersion": "example.com/v1", "kind": "Boat", "metadata": {"name": name}, "spec": "a text"});
        boats.create(&PostParams::default(), &of(boat)).await.unwrap();
        told.until("an object of a new kind", |told| told.find("boats", "default", name).is_some()).await;
        definitions.delete("boats.example.com", &DeleteParams::default()).await.unwrap();
        told.until("a kind that went", |told| !told.serves("boats")).await;
    }
}

/// A cluster whose watches can be broken, and whose watches can be refused as too old.
struct Frail {
    api: ClusterApi,
    cut: watch::Sender<u32>,
    is_expired: Arc<AtomicBool>,
    asked: Asked,
}

fn frail(cluster: &TestCluster) -> Frail {
    let (cut, asked, is_expired) = (watch::Sender::new(0), Asked::default(), Arc::new(AtomicBool::new(false)));
    let (api, cuts, noted, expired) = (api(cluster), cut.clone(), asked.clone(), is_expired.clone());
    let api = ClusterApi::from_fn(move |request| {
        let (api, mut cut, asked, expired) = (api.clone(), cuts.subscribe(), noted.clone(), expired.clone());
        Box::pin(async move {
            let path = request.uri().path_and_query().unwrap().to_string();
            asked.lock().unwrap().push(path.clone());
            if !path.contains("watch=true") {
                return api.send(request).await;
            }
            if path.contains("/configmaps") && expired.load(Ordering::SeqCst) {
                return Ok(text(410, r#"{"kind":"Status","code":410}"#));
            }
            let response = api.send(request).await?;
            let is_cut = async move {
                drop(cut.changed().await);
                Err::<_, BoxError>("the line is cut".into())
            };
            let broken = futures::stream::once(Box::pin(is_cut));
            Ok(response.map(|body| {
                let both = futures::stream::select(BodyStream::new(body), broken);
                boxed(StreamBody::new(both))
            }))
        })
    });
    Frail { api, cut, is_expired, asked }
}

#[tokio::test]
async fn broken_watches_lead_to_a_new_listing_and_nothing_is_lost() {
    let cluster = started().await;
    for name in ["kept", "going"] {
        put_map(&cluster, name).await;
    }
    let frail = frail(&cluster);
    let mut told = whole(frail.api.clone()).await;
    for round in 0..3 {
        // While nobody reads, all watches break, and something comes and goes.
        frail.cut.send_modify(|cuts| *cuts += 1);
        put_map(&cluster, &format!("new-{round}")).await;
        maps(&cluster).delete("going", &DeleteParams::default()).await.unwrap();
        told.until("what came and went meanwhile", |told| {
            let new = format!("new-{round}");
            told.find("configmaps", "default", &new).is_some() && told.find("configmaps", "default", "going").is_none()
        })
        .await;
        told.until("all is listed again", Told::is_whole).await;
        assert!(told.find("configmaps", "default", "kept").is_some());
        put_map(&cluster, "going").await;
        told.until("the watches go on", |told| told.find("configmaps", "default", "going").is_some()).await;
    }
}

#[tokio::test]
async fn a_version_that_is_too_old_leads_to_a_new_listing_in_peace() {
    let cluster = started().await;
    let frail = frail(&cluster);
    frail.is_expired.store(true, Ordering::SeqCst);
    let mut told = Told::new(Feed::open(frail.api.clone()).await.unwrap());
    put_map(&cluster, "m").await;
    told.until("a few listings", |told| told.listings.get("configmaps").is_some_and(|&listings| listings >= 4)).await;
    // Each waits twice as long as the one before.
    assert!(count(&frail.asked, "/configmaps?watch=true") < 10);
    frail.is_expired.store(false, Ordering::SeqCst);
    put_map(&cluster, "n").await;
    told.until("what came meanwhile", |told| told.find("configmaps", "default", "n").is_some()).await;
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let cluster = started().await;
    for number in 0..1150 {
        put_map(&cluster, &format!("m-{number}")).await;
    }
    let frail = frail(&cluster);
    let told = whole(frail.api.clone()).await;
    assert!(told.count("configmaps") >= 1150, "{}", told.count("configmaps"));
    assert_eq!(count(&frail.asked, "/configmaps?limit=100"), 12);
}

#[tokio::test]
async fn without_the_role_a_cluster_says_so() {
    let cluster = TestCluster::start().await;
    let Err(error) = Feed::open(api(&cluster)).await else { panic!("it should not be let in") };
    assert!(matches!(error, Error::NotAllowed), "{error:?}");
    assert!(error.to_string().contains("apply the ClusterRole"), "{error}");
}
