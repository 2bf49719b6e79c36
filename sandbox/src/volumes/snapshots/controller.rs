//! Carries out what the plans say of snapshots and contents.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::ResourceExt;

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::Next,
    error::Error,
    events::Recorder,
    meta::{is_deleting, name, namespace, uid},
    volumes::{
        DRIVER, VolumeContents,
        facts::{capacity, claim_phase, csi_of, volume_of},
    },
};

use super::{
    CONTROLLER, Snapshots, Work,
    api::{SnapshotError, VolumeSnapshot, VolumeSnapshotContent, VolumeSnapshotContentStatus, VolumeSnapshotStatus},
    claim_key, content_key,
    plan::{self, ContentStep, Seen, SnapshotStep},
};

/// A snapshot from which a volume is being restored is looked at again.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) struct Controller {
    pub(super) cluster: Cluster,
    pub(super) known: Arc<Snapshots>,
    pub(super) files: Arc<VolumeContents>,
    pub(super) events: Recorder,
    pub(super) driver_events: Recorder,
    pub(super) takes: Duration,
}

impl Controller {
    pub(super) async fn work(&self, work: Work) -> Result<Next, Error> {
        match work {
            Work::Snapshot(key) => self.snapshot(key).await,
            Work::Content(key) => self.content(key).await,
            Work::Claim(key) => self.release_claim(key).await,
        }
    }

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

    fn tell_progress(&self, snapshot: &VolumeSnapshot, status: &VolumeSnapshotStatus) {
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
                let found = self.files.snapshot(&handle).map(|snapshot| snapshot.size).ok_or_else(|| {
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
        let size = capacity(found).value();
        match self.files.take_snapshot(handle, name(&**found), size) {
            true => Ok(size),
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
