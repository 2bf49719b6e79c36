//! A controller as kube-rs's users write one: its own kind, server-side apply, a finalizer, a lease. Whether the API
//! server is in its process or behind HTTPS is nothing that it can tell.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use harness::TestCluster;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::controller::Action;
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{Controller, watcher};
use kube::{Client, CustomResource, CustomResourceExt, Resource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const FINALIZER: &str = "harness.example.com/ledger";
const MANAGER: &str = "shopkeeper";
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "harness.example.com", version = "v1", kind = "Shop", namespaced, status = "ShopStatus")]
struct ShopSpec {
    colour: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ShopStatus {
    observed_generation: i64,
    colour: String,
}

type Failure = kube::runtime::finalizer::Error<kube::Error>;

async fn reconcile(shop: Arc<Shop>, client: Arc<Client>) -> Result<Action, Failure> {
    let client = &*client;
    let shops: Api<Shop> = Api::default_namespaced(client.clone());
    finalizer(&shops, FINALIZER, shop, |event| async move {
        match event {
            Event::Apply(shop) => open(client, &shop).await,
            Event::Cleanup(shop) => close(client, &shop).await,
        }
    })
    .await
}

/// The page of a shop, and word of it.
async fn open(client: &Client, shop: &Shop) -> Result<Action, kube::Error> {
    let (name, colour) = (shop.name_any(), &shop.spec.colour);
    let page = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [shop.controller_owner_ref(&())]},
        "data": {"colour": colour},
    });
    let ours = PatchParams::apply(MANAGER).force();
    Api::<ConfigMap>::default_namespaced(client.clone()).patch(&name, &ours, &Patch::Apply(&page)).await?;
    let status = json!({
        "apiVersion": Shop::api_version(&()),
        "kind": Shop::kind(&()),
        "status": {"observedGeneration": shop.meta().generation, "colour": colour},
    });
    Api::<Shop>::default_namespaced(client.clone()).patch_status(&name, &ours, &Patch::Apply(&status)).await?;
    Ok(Action::await_change())
}

/// What must have happened before a shop is gone: the ledger says that it was there.
async fn close(client: &Client, shop: &Shop) -> Result<Action, kube::Error> {
    let entry = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ledger"},
        "data": {shop.name_any(): "closed"},
    });
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    maps.patch("ledger", &PatchParams::apply(&shop.name_any()), &Patch::Apply(&entry)).await?;
    Ok(Action::await_change())
}

fn controller(client: &Client) -> impl Future<Output = ()> {
    let everything = watcher::Config::default();
    Controller::new(Api::<Shop>::default_namespaced(client.clone()), everything.clone())
        .owns(Api::<ConfigMap>::default_namespaced(client.clone()), everything)
        .run(reconcile, |_, _: &Failure, _| Action::requeue(Duration::from_millis(100)), Arc::new(client.clone()))
        .for_each(|_| async {})
}

/// Waits until an object, or its absence, is as wanted.
async fn until<K>(api: &Api<K>, name: &str, wanted: impl Fn(Option<&K>) -> bool) -> Option<K>
where
    K: Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let found = tokio::time::timeout(PATIENCE, await_condition(api.clone(), name, wanted)).await;
    match found {
        Ok(found) => found.unwrap(),
        Err(_) => panic!("{name} never got there: {:#?}", api.get_opt(name).await),
    }
}

async fn keeps_shops(client: Client) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let crd = crds.create(&PostParams::default(), &Shop::crd()).await.unwrap();
    let name = crd.name_any();
    let served = tokio::time::timeout(PATIENCE, await_condition(crds, &name, conditions::is_crd_established()));
    served.await.unwrap().unwrap();
    let work = controller(&client);
    let story = async {
        opens_repairs_and_closes(&client).await;
        leads_alone(&client).await;
    };
    tokio::select! {
        () = work => panic!("a controller ends only with its process"),
        () = story => {}
    }
}

async fn opens_repairs_and_closes(client: &Client) {
    let shops: Api<Shop> = Api::default_namespaced(client.clone());
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let colour = |map: &ConfigMap| map.data.clone().unwrap_or_default().remove("colour");
    let shop = Shop::new("corner", ShopSpec { colour: "blue".to_owned() });
    let shop = shops.create(&PostParams::default(), &shop).await.unwrap();
    let page = until(&maps, "corner", |map| map.is_some()).await.unwrap();
    assert_eq!(colour(&page).as_deref(), Some("blue"));
    assert_eq!(page.owner_references()[0].uid, shop.uid().unwrap());

    let red = json!({"spec": {"colour": "red"}});
    shops.patch("corner", &PatchParams::default(), &Patch::Merge(&red)).await.unwrap();
    until(&maps, "corner", |map| map.and_then(colour).as_deref() == Some("red")).await;
    let told =
        |shop: Option<&Shop>| shop.and_then(|shop| shop.status.as_ref()).is_some_and(|status| status.colour == "red");
    let told = until(&shops, "corner", told).await.unwrap();
    // The spec changed twice, its creation included; finalizers and status are not part of it.
    assert_eq!((told.meta().generation, told.status.unwrap().observed_generation), (Some(2), 2));
    assert_eq!(told.metadata.finalizers.unwrap(), [FINALIZER]);

    // What somebody else takes or changes is put back.
    maps.delete("corner", &DeleteParams::default()).await.unwrap();
    let anew = |map: Option<&ConfigMap>| map.is_some_and(|map| map.uid() != page.uid());
    until(&maps, "corner", anew).await;
    let green = json!({"data": {"colour": "green"}});
    let changed = maps.patch("corner", &PatchParams::default(), &Patch::Merge(&green)).await.unwrap();
    let back = |map: Option<&ConfigMap>| {
        map.is_some_and(|map| {
            map.resource_version() != changed.resource_version() && colour(map).as_deref() == Some("red")
        })
    };
    until(&maps, "corner", back).await;

    shops.delete("corner", &DeleteParams::default()).await.unwrap();
    until(&shops, "corner", |shop| shop.is_none()).await;
    let ledger = maps.get("ledger").await.unwrap();
    assert_eq!(ledger.data.unwrap(), [("corner".to_owned(), "closed".to_owned())].into());
}

/// A lease as those take it who use server-side apply for it: the field manager is the holder.
async fn leads_alone(client: &Client) {
    let leases: Api<Lease> = Api::default_namespaced(client.clone());
    let claim = |who: &'static str, force: bool| {
        let leases = leases.clone();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "leader"},
            "spec": {"holderIdentity": who, "leaseDurationSeconds": 15},
        });
        async move {
            let params = PatchParams { force, ..PatchParams::apply(who) };
            leases
                .patch("leader", &params, &Patch::Apply(&lease))
                .await
                .map(|lease| lease.spec.unwrap().holder_identity)
        }
    };
    let claims = futures::future::join_all(["a", "b", "c", "d"].map(|who| claim(who, false))).await;
    let (won, lost): (Vec<_>, Vec<_>) = claims.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 3));
    for refusal in lost {
        assert!(matches!(refusal, Err(kube::Error::Api(status)) if status.code == 409));
    }
    assert_eq!(claim("e", true).await.unwrap().as_deref(), Some("e"));
    let mut stale = leases.get("leader").await.unwrap();
    stale.metadata.resource_version = Some("1".to_owned());
    let late = leases.replace("leader", &PostParams::default(), &stale).await;
    assert!(matches!(late, Err(kube::Error::Api(status)) if status.code == 409));
}

#[tokio::test]
async fn in_its_process() {
    let cluster = TestCluster::start().await;
    keeps_shops(cluster.admin()).await;
}

#[tokio::test]
async fn behind_https() {
    let cluster = TestCluster::start().await;
    let listening = cluster.listen().await;
    let kubeconfig = Kubeconfig::read_from(&listening.kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    keeps_shops(Client::try_from(config).unwrap()).await;
}
