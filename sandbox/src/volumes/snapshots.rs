//! Snapshots of volumes: their kinds, and the controllers that make, bind and remove them (upstream:
//! `external-snapshotter` v8, its controller and its sidecar in one).

mod api;
mod controller;
mod plan;

use std::{sync::Arc, time::Duration};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    runtime::{conditions::is_crd_established, wait::await_condition},
};
use serde_json::{Value, json};

use crate::{
    cache::{Informer, Key},
    cluster::Cluster,
    controller as loops,
    error::{Error, chain},
    meta::namespace,
    queue::Queue,
};

pub(super) use api::{VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent};

use super::{DRIVER, VolumeContents, facts::key_of};
use controller::Controller;

const CONTROLLER: &str = "snapshot-controller";
const RETRY: Duration = Duration::from_secs(1);
const DEFINITIONS: &str = include_str!("snapshots/definitions.json");

/// The snapshots of a cluster. Nothing is known of them before their kinds are served.
pub(super) struct Snapshots {
    snapshots: Arc<Informer<VolumeSnapshot>>,
    contents: Arc<Informer<VolumeSnapshotContent>>,
    classes: Arc<Informer<VolumeSnapshotClass>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    Snapshot(Key),
    Content(Key),
    /// A claim of which snapshots are made.
    Claim(Key),
}

/// The kinds, for a cluster that has none of them yet.
pub(super) fn definitions() -> Result<Vec<Value>, Error> {
    serde_json::from_str(DEFINITIONS).map_err(|source| Error::Encoding { what: "the definitions of snapshots", source })
}

/// Waits until the kinds are served, whoever defined them.
pub(super) async fn served(cluster: &Cluster) {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    for kind in ["volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots"] {
        let name = format!("{kind}.snapshot.storage.k8s.io");
        while let Err(error) = await_condition(api.clone(), &name, is_crd_established()).await {
            tracing::debug!(error = %chain(&error), "the wait for a kind of snapshots broke, trying again");
            cluster.clock.sleep(RETRY).await;
        }
    }
}

/// The class of snapshots that name none.
pub(super) fn class() -> Value {
    json!({
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": {"name": "standard-snapshots", "annotations": {plan::DEFAULT_CLASS: "true"}},
        "driver": DRIVER,
        "deletionPolicy": "Delete",
    })
}

impl Snapshots {
    /// A snapshot and the content that it is bound to.
    pub(super) fn find(&self, key: &Key) -> (Option<Arc<VolumeSnapshot>>, Option<Arc<VolumeSnapshotContent>>) {
        let snapshot = self.snapshots.get(key);
        let content = snapshot.as_ref().and_then(|snapshot| self.contents.get(&content_key(snapshot)));
        (snapshot, content)
    }
}

fn content_key(snapshot: &VolumeSnapshot) -> Key {
    Key::new("", &plan::content_name(snapshot))
}

fn claim_key(snapshot: &VolumeSnapshot) -> Option<Key> {
    let claim = snapshot.spec.source.persistent_volume_claim_name.as_deref()?;
    Some(Key::new(namespace(snapshot), claim))
}

pub(super) fn start(cluster: &Cluster, files: &Arc<VolumeContents>, takes: Duration) -> Arc<Snapshots> {
    let client = &cluster.client;
    let known = Arc::new(Snapshots {
        snapshots: Arc::new(Informer::new(client.clone())),
        contents: Arc::new(Informer::new(client.clone())),
        classes: Arc::new(Informer::new(client.clone())),
    });
    let queue = Arc::new(Queue::new(&cluster.clock));
    follow(cluster, &known, &queue);
    let (this, watched) = (cluster.clone(), known.clone());
    cluster.spawn(async move {
        served(&this).await;
        this.watch(&watched.classes);
        this.watch(&watched.contents);
        this.watch(&watched.snapshots);
    });
    let controller = Controller {
        cluster: cluster.clone(),
        known: known.clone(),
        files: files.clone(),
        events: cluster.events.for_component(CONTROLLER),
        driver_events: cluster.events.for_component(DRIVER),
        takes,
    };
    let token = cluster.token.clone();
    cluster.spawn(async move {
        let this = &controller;
        this.cluster.claims.synced().await;
        this.cluster.persistent_volumes.synced().await;
        this.known.classes.synced().await;
        this.known.contents.synced().await;
        this.known.snapshots.synced().await;
        loops::run(CONTROLLER, queue, 16, token, |work| this.work(work)).await;
    });
    known
}

fn follow(cluster: &Cluster, known: &Arc<Snapshots>, queue: &Arc<Queue<Work>>) {
    let wake = queue.clone();
    known.snapshots.on_change(move |old, new| {
        let Some(snapshot) = new.or(old) else { return };
        wake.add(Work::Snapshot(Key::of(&**snapshot)));
        if let Some(claim) = claim_key(snapshot) {
            wake.add(Work::Claim(claim));
        }
    });
    let wake = queue.clone();
    known.contents.on_change(move |old, new| {
        let Some(content) = new.or(old) else { return };
        wake.add(Work::Content(Key::of(&**content)));
        wake.add(Work::Snapshot(key_of(&content.spec.volume_snapshot_ref)));
    });
    // Weak, here and below: what is watched outlives nobody.
    let (weak, wake) = (Arc::downgrade(known), queue.clone());
    known.classes.on_change(move |_, _| {
        let Some(known) = weak.upgrade() else { return };
        for snapshot in known.snapshots.all().iter().filter(|snapshot| !plan::is_ready(snapshot)) {
            wake.add(Work::Snapshot(Key::of(&**snapshot)));
        }
    });
    let (weak, wake) = (Arc::downgrade(known), queue.clone());
    cluster.claims.on_change(move |old, new| {
        let (Some(known), Some(claim)) = (weak.upgrade(), new.or(old)) else { return };
        let key = Key::of(&**claim);
        let concerned =
            |snapshot: &VolumeSnapshot| !plan::is_ready(snapshot) && claim_key(snapshot).as_ref() == Some(&key);
        for snapshot in known.snapshots.in_namespace(&key.namespace).iter().filter(|snapshot| concerned(snapshot)) {
            wake.add(Work::Snapshot(Key::of(&**snapshot)));
        }
    });
}
