//! The provisioner of the simulated driver: makes volumes for claims, and deletes them (upstream:
//! `external-provisioner`).

mod plan;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::ResourceExt;

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{annotation, is_deleting, name, namespace},
    ownership,
    queue::Queue,
};

use super::{
    DRIVER, VolumeContents,
    contents::Files,
    facts::{SELECTED_NODE, class_of, volume_of},
    snapshots::Snapshots,
};
use plan::{FINALIZER, Source, VolumeStep};

/// A claim that could not be served is looked at again: what it names may have come.
const AGAIN: Duration = Duration::from_secs(5);

struct Provisioner {
    cluster: Cluster,
    contents: Arc<VolumeContents>,
    snapshots: Arc<Snapshots>,
    events: Recorder,
    takes: Duration,
}

pub(super) fn start(cluster: &Cluster, contents: &Arc<VolumeContents>, snapshots: &Arc<Snapshots>, takes: Duration) {
    let (claims, volumes) = (Arc::new(Queue::new(&cluster.clock)), Arc::new(Queue::new(&cluster.clock)));
    ownership::each(&cluster.claims, &claims);
    ownership::each(&cluster.persistent_volumes, &volumes);
    let this = Arc::new(Provisioner {
        cluster: cluster.clone(),
        contents: contents.clone(),
        snapshots: snapshots.clone(),
        events: cluster.events.for_component(DRIVER),
        takes,
    });
    let (making, token) = (this.clone(), cluster.token.clone());
    cluster.tasks.spawn(async move {
        making.cluster.claims.synced().await;
        making.cluster.persistent_volumes.synced().await;
        making.cluster.storage_classes.synced().await;
        making.cluster.nodes.synced().await;
        controller::run("volume-provisioner", claims, 32, token, |key| making.provide(key)).await;
    });
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        this.cluster.persistent_volumes.synced().await;
        controller::run("volume-deleter", volumes, 32, token, |key| this.reclaim(key)).await;
    });
}

impl Provisioner {
    /// The claim and its class, if a volume is to be made now.
    fn asked(&self, key: &Key) -> Option<(Arc<PersistentVolumeClaim>, Arc<StorageClass>)> {
        let claim = self.cluster.claims.get(key)?;
        let class = self.cluster.storage_classes.get(&Key::new("", class_of(&claim)));
        let made = || self.cluster.persistent_volumes.get(&Key::new("", &plan::volume_name(&claim))).is_some();
        (plan::is_asked(&claim, class.as_deref()) && !made()).then_some((claim, class?))
    }

    async fn provide(&self, key: Key) -> Result<Next, Error> {
        let Some((claim, _)) = self.asked(&key) else { return Ok(None) };
        let message = format!(
            "External provisioner is provisioning volume for claim \"{}/{}\"",
            namespace(&*claim),
            name(&*claim)
        );
        self.events.normal(&*claim, "Provisioning", message);
        self.cluster.clock.sleep(self.takes).await;
        // Much can have happened meanwhile.
        let Some((claim, class)) = self.asked(&key) else { return Ok(None) };
        let files = match self.source(&claim).await {
            Ok(files) => files,
            Err(why) => {
                let class = class_of(&claim);
                let message = format!("failed to provision volume with StorageClass \"{class}\": {why}");
                self.events.warning(&*claim, "ProvisioningFailed", message);
                return Ok(Some(AGAIN));
            }
        };
        let volume = plan::volume(&claim, &class, self.node(&claim).as_deref());
        let volume: PersistentVolume =
            serde_json::from_value(volume).map_err(|source| Error::Encoding { what: "a volume", source })?;
        self.contents.fill(name(&volume), files);
        self.cluster.persistent_volumes.create("", &volume).await?;
        self.events.normal(
            &*claim,
            "ProvisioningSucceeded",
            format!("Successfully provisioned volume {}", name(&volume)),
        );
        Ok(None)
    }

    fn node(&self, claim: &PersistentVolumeClaim) -> Option<Arc<Node>> {
        self.cluster.nodes.get(&Key::new("", annotation(claim, SELECTED_NODE)?))
    }

    /// The files that the claim is to begin with.
    async fn source(&self, claim: &PersistentVolumeClaim) -> Result<Files, String> {
        let Some((kind, of)) = plan::named_source(claim) else { return Ok(Files::new()) };
        let key = Key::new(namespace(claim), of);
        let source = match kind {
            "PersistentVolumeClaim" => {
                let origin = self.cluster.claims.get(&key);
                let volume = origin.as_ref().map(|origin| Key::new("", volume_of(origin)));
                let volume = volume.and_then(|key| self.cluster.persistent_volumes.get(&key));
                plan::clone_source(claim, origin.as_deref(), volume.as_deref())
            }
            "VolumeSnapshot" => {
                let (snapshot, content) = self.snapshots.find(&key);
                plan::snapshot_source(claim, snapshot.as_deref(), content.as_deref())
            }
            other => Err(format!("the source kind {other} is not known to {DRIVER}")),
        };
        let named = |why| format!("error getting handle for DataSource Type {kind} by Name {of}: {why}");
        match source.map_err(named)? {
            Source::Volume(name) => Ok(self.contents.volume(&name).files()),
            Source::Snapshot(handle) => self
                .contents
                .snapshot(&handle)
                .map(|snapshot| snapshot.files)
                .ok_or_else(|| format!("rpc error: code = NotFound desc = no snapshot {handle}")),
        }
    }

    async fn reclaim(&self, key: Key) -> Result<Next, Error> {
        let volumes = &self.cluster.persistent_volumes;
        let Some(volume) = volumes.get(&key) else { return Ok(None) };
        match plan::volume_step(&volume) {
            VolumeStep::Settled => {}
            VolumeStep::Hold => {
                let mut new = (*volume).clone();
                new.finalizers_mut().push(FINALIZER.to_owned());
                volumes.update(&volume, &new).await?;
            }
            VolumeStep::LetGo => self.let_go(&volume).await?,
            VolumeStep::Delete => {
                self.cluster.clock.sleep(self.takes).await;
                let still = volumes.get(&key).filter(|volume| plan::volume_step(volume) == VolumeStep::Delete);
                let Some(volume) = still else { return Ok(None) };
                if !is_deleting(&*volume) {
                    volumes.delete(&volume, Deletion::graceful()).await?;
                }
                if let Some(volume) = volumes.get(&key) {
                    self.let_go(&volume).await?;
                }
            }
        }
        Ok(None)
    }

    async fn let_go(&self, volume: &PersistentVolume) -> Result<(), Error> {
        let mut new = volume.clone();
        new.finalizers_mut().retain(|finalizer| finalizer != FINALIZER);
        self.cluster.persistent_volumes.update(volume, &new).await.map(drop)
    }
}
