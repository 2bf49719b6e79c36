//! Binds claims to volumes, and follows what becomes of both (upstream: `persistentvolume-binder-controller`).
//!
//! It makes no volumes and deletes none: it names who is to make one, and who made one deletes it.

mod matching;
mod plan;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::Api;

use crate::{
    cache::Key,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::{Notice, Recorder, reference},
    meta::{is_deleting, name, namespace},
    placement::node_of,
    pods,
    queue::Queue,
};

use super::facts::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, PROVISIONERS, claim_phase, claim_ref, claims_of, class_of, is_bound_to,
    key_of, leaves_class_open, volume_of, volume_phase,
};
use plan::{ClaimStep, Seen, VolumeStep};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    Claim(Key),
    Volume(Key),
}

struct Binder {
    cluster: Cluster,
    events: Recorder,
    queue: Arc<Queue<Work>>,
}

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    follow_claims(cluster, &queue);
    follow_volumes(cluster, &queue);
    follow_classes(cluster, &queue);
    follow_pods(cluster, &queue);
    let binder = Binder {
        cluster: cluster.clone(),
        events: cluster.events.for_component("persistentvolume-controller"),
        queue: queue.clone(),
    };
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        let this = &binder;
        this.cluster.claims.synced().await;
        this.cluster.persistent_volumes.synced().await;
        this.cluster.storage_classes.synced().await;
        this.cluster.pods.synced().await;
        controller::run("persistentvolume-binder", queue, 4, token, |work| async move {
            match work {
                Work::Claim(key) => this.claim(key).await,
                Work::Volume(key) => this.volume(key).await,
            }
        })
        .await;
    });
}

fn follow_claims(cluster: &Cluster, queue: &Arc<Queue<Work>>) {
    let queue = queue.clone();
    // Weak: claims and volumes look into each other.
    let volumes = Arc::downgrade(&cluster.persistent_volumes);
    cluster.claims.on_change(move |old, new| {
        for claim in [old, new].into_iter().flatten().filter(|claim| !volume_of(claim).is_empty()) {
            queue.add(Work::Volume(Key::new("", volume_of(claim))));
        }
        match (old, new) {
            (_, Some(claim)) => queue.add(Work::Claim(Key::of(&**claim))),
            // It may have gone before it knew its volume.
            (Some(claim), None) => {
                let Some(volumes) = volumes.upgrade() else { return };
                for volume in volumes.all().iter().filter(|volume| is_bound_to(volume, claim)) {
                    queue.add(Work::Volume(Key::of(&**volume)));
                }
            }
            (None, None) => {}
        }
    });
}

fn follow_volumes(cluster: &Cluster, queue: &Arc<Queue<Work>>) {
    let queue = queue.clone();
    let claims = Arc::downgrade(&cluster.claims);
    cluster.persistent_volumes.on_change(move |old, new| {
        if let Some(volume) = new {
            queue.add(Work::Volume(Key::of(&**volume)));
        }
        let Some(volume) = new.or(old) else { return };
        if let Some(holder) = claim_ref(volume) {
            queue.add(Work::Claim(key_of(holder)));
        }
        // Anyone may have waited for this one.
        let free = new.is_some_and(|volume| claim_ref(volume).is_none() && volume_phase(volume) == "Available");
        if (free || new.is_none())
            && let Some(claims) = claims.upgrade()
        {
            let concerned = |claim: &PersistentVolumeClaim| match volume_of(claim) {
                "" => free,
                named => named == name(&**volume),
            };
            for claim in claims.all().iter().filter(|claim| concerned(claim)) {
                queue.add(Work::Claim(Key::of(&**claim)));
            }
        }
    });
}

fn follow_classes(cluster: &Cluster, queue: &Arc<Queue<Work>>) {
    let queue = queue.clone();
    let claims = cluster.claims.clone();
    cluster.storage_classes.on_change(move |_, new| {
        let Some(class) = new else { return };
        let concerned = |claim: &PersistentVolumeClaim| {
            volume_of(claim).is_empty() && (leaves_class_open(claim) || class_of(claim) == name(&**class))
        };
        for claim in claims.all().iter().filter(|claim| concerned(claim)) {
            queue.add(Work::Claim(Key::of(&**claim)));
        }
    });
}

/// A claim that waits for its first consumer says for which Pods.
fn follow_pods(cluster: &Cluster, queue: &Arc<Queue<Work>>) {
    let queue = queue.clone();
    cluster.pods.on_change(move |old, new| {
        let Some(pod) = new.or(old) else { return };
        let unscheduled = |pod: &Arc<Pod>| node_of(pod).is_none();
        if old.is_some_and(unscheduled) != new.is_some_and(unscheduled) {
            claims_of(pod).for_each(|claim| queue.add(Work::Claim(Key::new(namespace(&**pod), &claim))));
        }
    });
}

impl Binder {
    async fn claim(&self, key: Key) -> Result<Next, Error> {
        let Some(claim) = self.cluster.claims.get(&key) else { return Ok(None) };
        match plan::claim(&claim, &self.observe(&claim)) {
            ClaimStep::Bind(volume) => self.bind(&claim, &volume).await?,
            ClaimStep::Wait(notice) => {
                self.tell_claim(&claim, notice);
                self.report(&claim, "Pending", None).await?;
            }
            ClaimStep::TakeClass(class) => {
                let mut new = (*claim).clone();
                new.spec.get_or_insert_default().storage_class_name = Some(class);
                self.cluster.claims.update(&claim, &new).await?;
            }
            ClaimStep::Provision(provisioner) => self.ask(&claim, &provisioner).await?,
            ClaimStep::Lost(notice) => {
                if claim_phase(&claim) != "Lost" {
                    self.tell_claim(&claim, Some(notice));
                }
                self.report(&claim, "Lost", None).await?;
            }
        }
        Ok(None)
    }

    fn observe(&self, claim: &PersistentVolumeClaim) -> Seen {
        let volumes = &self.cluster.persistent_volumes;
        let named = volume_of(claim);
        if !named.is_empty() {
            return Seen { named: volumes.get(&Key::new("", named)), ..Seen::default() };
        }
        let waits = |pod: &&Arc<Pod>| {
            node_of(pod).is_none()
                && !pods::is_finished(pod)
                && !is_deleting(&***pod)
                && claims_of(pod).any(|used| used == name(claim))
        };
        let pods = self.cluster.pods.in_namespace(namespace(claim));
        Seen {
            named: None,
            volumes: volumes.all(),
            classes: self.cluster.storage_classes.all(),
            waiting: pods.iter().filter(waits).map(|pod| name(&**pod).to_owned()).collect(),
        }
    }

    /// Both sides learn of each other, the volume first; whatever is missing is done by the next attempt.
    async fn bind(&self, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Result<(), Error> {
        let volume = self.reserve(claim, volume).await?;
        self.phase(&volume, "Bound", None).await?;
        let mut new = claim.clone();
        if volume_of(claim) != name(&*volume) {
            new.spec.get_or_insert_default().volume_name = Some(name(&*volume).to_owned());
            mark(&mut new.metadata.annotations, BOUND_BY_CONTROLLER);
        }
        mark(&mut new.metadata.annotations, BIND_COMPLETED);
        let bound = self.cluster.claims.update(claim, &new).await?.unwrap_or_else(|| Arc::new(claim.clone()));
        self.report(&bound, "Bound", Some(&volume)).await
    }

    async fn reserve(
        &self,
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
    ) -> Result<Arc<PersistentVolume>, Error> {
        let mut new = volume.clone();
        let holder = claim_ref(volume).and_then(|holder| holder.uid.as_deref());
        if !is_bound_to(volume, claim) {
            mark(&mut new.metadata.annotations, BOUND_BY_CONTROLLER);
        }
        if holder != claim.metadata.uid.as_deref() {
            new.spec.get_or_insert_default().claim_ref = Some(reference(claim));
        }
        let reserved = self.cluster.persistent_volumes.update(volume, &new).await?;
        Ok(reserved.unwrap_or_else(|| Arc::new(volume.clone())))
    }

    /// Names the provisioner on the claim, which is what provisioners look for.
    async fn ask(&self, claim: &PersistentVolumeClaim, provisioner: &str) -> Result<(), Error> {
        let mut new = claim.clone();
        let annotations = new.metadata.annotations.get_or_insert_default();
        annotations.extend(PROVISIONERS.map(|key| (key.to_owned(), provisioner.to_owned())));
        self.cluster.claims.update(claim, &new).await?;
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
             system administrator. If volume creation is delayed, please verify that the provisioner is running and \
             correctly registered."
        );
        self.events.normal(claim, "ExternalProvisioning", message);
        Ok(())
    }

    /// Writes a claim's phase, and what its volume offers. The size is taken over once: a claim that grows says itself
    /// when it has.
    async fn report(
        &self,
        claim: &PersistentVolumeClaim,
        phase: &str,
        volume: Option<&PersistentVolume>,
    ) -> Result<(), Error> {
        let mut new = claim.clone();
        let status = new.status.get_or_insert_default();
        let spec = volume.and_then(|volume| volume.spec.as_ref());
        status.access_modes = spec.and_then(|spec| spec.access_modes.clone());
        if status.phase.as_deref() != Some(phase) || volume.is_none() {
            status.capacity = spec.and_then(|spec| spec.capacity.clone());
        }
        status.phase = Some(phase.to_owned());
        self.cluster.claims.update_status(claim, &new).await?;
        Ok(())
    }

    async fn volume(&self, key: Key) -> Result<Next, Error> {
        let Some(volume) = self.cluster.persistent_volumes.get(&key) else { return Ok(None) };
        let holder = self.holder(&volume).await?;
        match plan::volume(&volume, holder.as_deref()) {
            VolumeStep::Phase(phase) => {
                self.phase(&volume, phase, None).await?;
            }
            VolumeStep::WakeClaim => {
                if let Some(holder) = holder {
                    self.queue.add(Work::Claim(Key::of(&*holder)));
                }
            }
            VolumeStep::Release(failure) => self.release(&volume, failure).await?,
            VolumeStep::Unbind => {
                let unbound = self.cluster.persistent_volumes.update(&volume, &plan::unbind(&volume)).await?;
                self.phase(&unbound.unwrap_or(volume), "Available", None).await?;
            }
        }
        Ok(None)
    }

    /// The claim that a volume names. Before one counts as gone the server is asked: a volume may be heard of before
    /// its claim is.
    async fn holder(&self, volume: &PersistentVolume) -> Result<Option<Arc<PersistentVolumeClaim>>, Error> {
        let Some(reference) = claim_ref(volume) else { return Ok(None) };
        let key = key_of(reference);
        let known = self.cluster.claims.get(&key);
        if known.as_ref().is_some_and(|claim| claim.metadata.uid == reference.uid) || volume_phase(volume) == "Released"
        {
            return Ok(known);
        }
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let found = claims.get_opt(&key.name).await.map_err(|error| Error::api("read a volume's claim", error))?;
        Ok(found.map(Arc::new))
    }

    async fn release(&self, volume: &Arc<PersistentVolume>, failure: Option<Notice>) -> Result<(), Error> {
        let before = volume_phase(volume).to_owned();
        // Who looks at a failed volume is to see that it failed.
        let released = match before.as_str() {
            "Released" | "Failed" => volume.clone(),
            _ => self.phase(volume, "Released", None).await?,
        };
        let Some(failure) = failure.filter(|_| before != "Failed") else { return Ok(()) };
        self.phase(&released, "Failed", Some(&failure.message)).await?;
        self.events.tell(reference(&**volume), failure);
        Ok(())
    }

    async fn phase(
        &self,
        volume: &PersistentVolume,
        phase: &str,
        message: Option<&str>,
    ) -> Result<Arc<PersistentVolume>, Error> {
        if volume_phase(volume) == phase {
            return Ok(Arc::new(volume.clone()));
        }
        let mut new = volume.clone();
        let status = new.status.get_or_insert_default();
        status.phase = Some(phase.to_owned());
        status.message = message.map(str::to_owned);
        let written = self.cluster.persistent_volumes.update_status(volume, &new).await?;
        Ok(written.unwrap_or_else(|| Arc::new(new)))
    }

    fn tell_claim(&self, claim: &PersistentVolumeClaim, notice: Option<Notice>) {
        if let Some(notice) = notice {
            self.events.tell(reference(claim), notice);
        }
    }
}

fn mark(annotations: &mut Option<std::collections::BTreeMap<String, String>>, key: &str) {
    annotations.get_or_insert_default().entry(key.to_owned()).or_insert_with(|| "yes".to_owned());
}
