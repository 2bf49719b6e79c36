//! Snapshots of volumes: their kinds, and the controllers that make, bind and remove them (upstream:
//! `external-snapshotter` v8, its controller and its sidecar in one).

mod api;
mod plan;

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::core::v1::{PersistentVolume, PersistentVolumeClaim},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::PostParams,
    runtime::{conditions::is_crd_established, wait::await_condition},
};
use serde_json::{Value, json};

use crate::{
    cache::{Deletion, Informer, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::{Error, chain},
    events::Recorder,
    meta::{is_deleting, name, namespace, uid},
    queue::Queue,
};

pub(super) use api::{VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent};

use super::{
    DRIVER, VolumeContents,
    facts::{capacity, claim_phase, csi_of, volume_of},
};
use api::{SnapshotError, VolumeSnapshotContentStatus};
use plan::{ContentStep, Seen, SnapshotStep};

const CONTROLLER: &str = "snapshot-controller";
/// A snapshot from which a volume is being restored is looked at again.
const AGAIN: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);
const DEFINITIONS: &str = include_str!("snapshots/definitions.json");

/// The snapshots of a cluster. Nothing is known of them before [`Snapshots::watch`].
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

struct Controller {
    cluster: Cluster,
    known: Arc<Snapshots>,
    files: Arc<VolumeContents>,
    events: Recorder,
    driver_events: Recorder,
    takes: Duration,
}

/// Adds the kinds to a cluster that has none of them yet.
pub(super) async fn define(cluster: &Cluster) -> Result<(), Error> {
    let definitions: Vec<CustomResourceDefinition> = serde_json::from_str(DEFINITIONS)
        .map_err(|source| Error::Encoding { what: "the definitions of snapshots", source })?;
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    for definition in definitions {
        match api.create(&PostParams::default(), &definition).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(Error::api("define the kinds of snapshots", error)),
        }
    }
    Ok(())
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

    /// Begins to watch them, once their kinds are served.
    pub(super) fn watch(&self, cluster: &Cluster) {
        cluster.watch(&self.classes);
        cluster.watch(&self.contents);
        cluster.watch(&self.snapshots);
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
        controller::run(CONTROLLER, queue, 16, token, |work| async move {
            match work {
                Work::Snapshot(key) => this.snapshot(key).await,
                Work::Content(key) => this.content(key).await,
                Work::Claim(key) => this.release_claim(key).await,
            }
        })
        .await;
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
        let of = &content.spec.volume_snapshot_ref;
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        wake.add(Work::Snapshot(Key::new(&part(&of.namespace), &part(&of.name))));
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

impl Controller {
    async fn snapshot(&self, key: Key) -> Result<Next, Error> {
        let snapshots = &self.known.snapshots;
        let Some(snapshot) = snapshots.get(&key) else { return Ok(None) };
        let seen = self.observe(&snapshot);
        let mut new = (*snapshot).clone();
        match plan::snapshot(&snapshot, &seen) {
            SnapshotStep::Settled => {}
            SnapshotStep::Fail { reason, message } => self.fail(&snapshot, reason, message).await?,
            SnapshotStep::Finalizers(finalizers) => {
                new.metadata.finalizers = Some(finalizers);
                snapshots.update_as(&snapshot, &new, None, CONTROLLER).await?;
            }
            SnapshotStep::TakeClass(class) => {
                new.spec.volume_snapshot_class_name = Some(class);
                snapshots.update_as(&snapshot, &new, None, CONTROLLER).await?;
            }
            SnapshotStep::HoldClaim => {
                let Some(claim) = seen.claim else { return Ok(None) };
                let mut held = (*claim).clone();
                held.finalizers_mut().push(plan::OF_CLAIM.to_owned());
                // The change wakes the snapshot.
                self.cluster.claims.update_as(&claim, &held, None, CONTROLLER).await?;
            }
            SnapshotStep::Create(content) => {
                self.known.contents.create("", &content).await?;
                let of = format!("{}/{}", namespace(&*snapshot), name(&*snapshot));
                let message = format!("Waiting for a snapshot {of} to be created by the CSI driver.");
                self.events.normal(&*snapshot, "CreatingSnapshot", message);
            }
            SnapshotStep::BindContent => {
                let Some(content) = seen.content else { return Ok(None) };
                let mut bound = (*content).clone();
                bound.spec.volume_snapshot_ref.uid = Some(uid(&*snapshot).to_owned());
                self.known.contents.update_as(&content, &bound, None, CONTROLLER).await?;
            }
            SnapshotStep::Report(status) => {
                self.tell_progress(&snapshot, &status);
                new.status = Some(status);
                snapshots.update_as(&snapshot, &new, Some("status"), CONTROLLER).await?;
            }
            SnapshotStep::InUse => {
                self.events.warning(&*snapshot, "SnapshotDeletePending", "Snapshot is being used to restore a PVC");
                return Ok(Some(AGAIN));
            }
            SnapshotStep::Leave { mark_content, delete_content, finalizers } => {
                if let Some(content) = seen.content {
                    self.leave(&content, mark_content, delete_content).await?;
                }
                new.metadata.finalizers = Some(finalizers);
                snapshots.update_as(&snapshot, &new, None, CONTROLLER).await?;
            }
        }
        Ok(None)
    }

    fn observe(&self, snapshot: &VolumeSnapshot) -> Seen {
        let claim = claim_key(snapshot).and_then(|key| self.cluster.claims.get(&key));
        let volume = claim.as_ref().map(|claim| Key::new("", volume_of(claim)));
        let restored = |claim: &Arc<PersistentVolumeClaim>| {
            let spec = claim.spec.as_ref();
            let source = spec.and_then(|spec| spec.data_source.as_ref());
            claim_phase(claim) == "Pending"
                && source.is_some_and(|source| source.kind == "VolumeSnapshot" && source.name == name(snapshot))
        };
        Seen {
            volume: volume.and_then(|key| self.cluster.persistent_volumes.get(&key)),
            claim,
            content: self.known.contents.get(&content_key(snapshot)),
            classes: self.known.classes.all(),
            restoring: is_deleting(snapshot)
                && self.cluster.claims.in_namespace(namespace(snapshot)).iter().any(restored),
        }
    }

    async fn fail(&self, snapshot: &VolumeSnapshot, reason: &'static str, message: String) -> Result<(), Error> {
        let said = snapshot.status.as_ref().and_then(|status| status.error.as_ref()?.message.as_deref());
        if said == Some(&message) {
            return Ok(());
        }
        self.events.warning(snapshot, reason, message.clone());
        let mut new = snapshot.clone();
        let status = new.status.get_or_insert_default();
        status.error = Some(SnapshotError { message: Some(message), time: Some(self.cluster.clock.time()) });
        status.ready_to_use = Some(false);
        self.known.snapshots.update_as(snapshot, &new, Some("status"), CONTROLLER).await.map(drop)
    }

    fn tell_progress(&self, snapshot: &VolumeSnapshot, status: &api::VolumeSnapshotStatus) {
        let of = format!("{}/{}", namespace(snapshot), name(snapshot));
        let before = snapshot.status.clone().unwrap_or_default();
        if before.creation_time.is_none() && status.creation_time.is_some() {
            let message = format!("Snapshot {of} was successfully created by the CSI driver.");
            self.events.normal(snapshot, "SnapshotCreated", message);
        }
        if before.ready_to_use != Some(true) && status.ready_to_use == Some(true) {
            self.events.normal(snapshot, "SnapshotReady", format!("Snapshot {of} is ready to use."));
        }
    }

    async fn leave(&self, content: &VolumeSnapshotContent, mark: bool, delete: bool) -> Result<(), Error> {
        let contents = &self.known.contents;
        if mark {
            let mut new = content.clone();
            new.annotations_mut().insert(plan::BEING_DELETED.to_owned(), "yes".to_owned());
            contents.update_as(content, &new, None, CONTROLLER).await?;
        }
        if delete {
            contents.delete(content, Deletion::graceful()).await?;
        }
        Ok(())
    }

    async fn content(&self, key: Key) -> Result<Next, Error> {
        let contents = &self.known.contents;
        let Some(content) = contents.get(&key) else { return Ok(None) };
        let mut new = (*content).clone();
        match plan::content(&content) {
            ContentStep::Settled => {}
            ContentStep::Hold => {
                new.finalizers_mut().push(plan::OF_CONTENT.to_owned());
                contents.update_as(&content, &new, None, CONTROLLER).await?;
            }
            ContentStep::Take(volume) => {
                self.cluster.clock.sleep(self.takes).await;
                let handle = format!("snapshot-{}", uid(&*content));
                let taken = self.take(&volume, &handle);
                let failed = |why: String| {
                    (
                        "SnapshotCreationFailed",
                        format!("Failed to create snapshot: failed to take snapshot of the volume {volume}: {why:?}"),
                    )
                };
                return self.report_content(&content, handle, taken.map_err(failed)).await;
            }
            ContentStep::Look(handle) => {
                let found = self.files.snapshot(&handle);
                let size = found.map(|files| files.values().map(|file| i64::try_from(file.len()).unwrap_or(0)).sum());
                let found = size.ok_or_else(|| {
                    let why = format!("rpc error: code = NotFound desc = there is no snapshot {handle}");
                    let why = format!("failed to list snapshot for content {}: {why:?}", name(&*content));
                    (
                        "SnapshotContentCheckandUpdateFailed",
                        format!("Failed to check and update snapshot content: {why}"),
                    )
                });
                return self.report_content(&content, handle, found).await;
            }
            ContentStep::Remove(handle) => {
                if let Some(handle) = handle {
                    self.files.drop_snapshot(&handle);
                }
                new.finalizers_mut().retain(|finalizer| finalizer != plan::OF_CONTENT);
                contents.update_as(&content, &new, None, CONTROLLER).await?;
            }
        }
        Ok(None)
    }

    /// Makes a snapshot of the volume of a handle, and says how large it is.
    fn take(&self, volume: &str, handle: &str) -> Result<i64, String> {
        let has = |candidate: &&Arc<PersistentVolume>| csi_of(candidate) == Some((DRIVER, volume));
        let volumes = self.cluster.persistent_volumes.all();
        let found = volumes.iter().find(has);
        let found = found.ok_or_else(|| format!("rpc error: code = NotFound desc = there is no volume {volume}"))?;
        match self.files.take_snapshot(handle, name(&**found)) {
            true => Ok(capacity(found).value()),
            false => Err("rpc error: code = ResourceExhausted desc = no more snapshots are kept".to_owned()),
        }
    }

    async fn report_content(
        &self,
        content: &VolumeSnapshotContent,
        handle: String,
        outcome: Result<i64, (&'static str, String)>,
    ) -> Result<Next, Error> {
        let mut new = content.clone();
        let before = content.status.clone().unwrap_or_default();
        let (status, next) = match outcome {
            Ok(size) => {
                let at = i64::try_from(self.cluster.clock.now().as_nanosecond()).ok();
                let (snapshot_handle, ready_to_use) = (Some(handle), Some(true));
                let restore_size = Some(size);
                let made = VolumeSnapshotContentStatus {
                    creation_time: at,
                    error: None,
                    ready_to_use,
                    restore_size,
                    snapshot_handle,
                };
                (made, None)
            }
            Err((reason, message)) => {
                if before.error.as_ref().and_then(|error| error.message.as_ref()) == Some(&message) {
                    return Ok(Some(AGAIN));
                }
                self.driver_events.warning(content, reason, message.clone());
                let error = SnapshotError { message: Some(message), time: Some(self.cluster.clock.time()) };
                let failed = VolumeSnapshotContentStatus { error: Some(error), ready_to_use: Some(false), ..before };
                (failed, Some(AGAIN))
            }
        };
        new.status = Some(status);
        self.known.contents.update_as(content, &new, Some("status"), CONTROLLER).await?;
        Ok(next)
    }

    /// Lets go of a claim once no snapshot is being made of it.
    async fn release_claim(&self, key: Key) -> Result<Next, Error> {
        let Some(claim) = self.cluster.claims.get(&key) else { return Ok(None) };
        let in_use = |snapshot: &Arc<VolumeSnapshot>| {
            claim_key(snapshot).as_ref() == Some(&key) && !is_deleting(&**snapshot) && !plan::is_ready(snapshot)
        };
        let held = claim.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == plan::OF_CLAIM);
        if held && !self.known.snapshots.in_namespace(&key.namespace).iter().any(in_use) {
            let mut new = (*claim).clone();
            new.finalizers_mut().retain(|finalizer| finalizer != plan::OF_CLAIM);
            self.cluster.claims.update_as(&claim, &new, None, CONTROLLER).await?;
        }
        Ok(None)
    }
}
