//! Carries out what was decided: binds pods and volumes, makes victims go, tells why a pod waits. All writes are here.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{
    Binding, ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod, PodCondition,
};
use kube::{
    api::{Api, Patch, PatchParams, PostParams},
    core::ObjectMeta,
};
use serde_json::{Value, json};

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    error::{Error, chain},
    events::{Recorder, reference},
    meta::{annotation, is_deleting, name, namespace, uid},
    pods,
};

use super::{
    NAME,
    inbox::Inbox,
    pod_info::PodInfo,
    preemption::BY_SCHEDULER,
    volumes::{Choice, SELECTED_NODE, is_bound},
};

const MANAGER: &str = "kube-scheduler";
/// How long claims may take to be bound.
const VOLUMES_TIMEOUT: Duration = Duration::from_secs(600);

/// Cheap to clone; one for each write under way.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) cluster: Cluster,
    pub(super) events: Recorder,
    pub(super) inbox: Arc<Inbox>,
}

/// Why a pod was not bound after all.
#[derive(Debug)]
pub(super) enum Failure {
    /// The pod is gone, or someone else bound it: its next state will tell.
    Overtaken,
    /// In upstream's words.
    Told(String),
}

/// What is said of a pod that is not placed.
pub(super) struct Report {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) nomination: Nomination,
}

/// What becomes of the node that is kept for a pod.
pub(super) enum Nomination {
    Keep,
    Clear,
    Set(Arc<str>),
}

impl Hands {
    pub(super) async fn bind(&self, pod: &PodInfo, node: &str, volumes: &Choice) -> Result<(), Failure> {
        if !volumes.is_empty() {
            self.bind_volumes(pod, node, volumes).await?;
        }
        self.bind_pod(&pod.pod, node).await?;
        let message = format!("Successfully assigned {}/{} to {node}", namespace(&*pod.pod), name(&*pod.pod));
        self.events.normal(&*pod.pod, "Scheduled", message);
        Ok(())
    }

    async fn bind_pod(&self, pod: &Pod, node: &str) -> Result<(), Failure> {
        let binding = Binding {
            metadata: ObjectMeta {
                name: pod.metadata.name.clone(),
                namespace: pod.metadata.namespace.clone(),
                uid: pod.metadata.uid.clone(),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(node.to_owned()),
                ..ObjectReference::default()
            },
        };
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), namespace(pod));
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let bound: Result<Value, _> = api.create_subresource("binding", name(pod), &params, &binding).await;
        match bound.map_err(|error| Error::api("bind a pod", error)) {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Err(Failure::Overtaken),
            Err(error) => {
                tracing::warn!(pod = ?Key::of(pod), node, error = %chain(&error), "pod not bound");
                Err(Failure::Told(format!("binding rejected: {}", error.message())))
            }
        }
    }

    async fn bind_volumes(&self, pod: &PodInfo, node: &str, volumes: &Choice) -> Result<(), Failure> {
        let said = |error: Error| volumes_failed(&error.message());
        for (volume, claim) in &volumes.bind {
            let kept = keep_for(volume, claim);
            self.cluster.persistent_volumes.update_as(volume, &kept, None, MANAGER).await.map_err(said)?;
        }
        for claim in &volumes.provision {
            let mut chosen = (**claim).clone();
            let notes = chosen.metadata.annotations.get_or_insert_default();
            notes.insert(SELECTED_NODE.to_owned(), node.to_owned());
            self.cluster.claims.update_as(claim, &chosen, None, MANAGER).await.map_err(said)?;
        }
        let waiting = self.await_claims(pod, node, volumes);
        let deadline = tokio::time::timeout(self.cluster.clock.real(VOLUMES_TIMEOUT), waiting);
        deadline.await.unwrap_or_else(|_| Err(volumes_failed("context deadline exceeded")))
    }

    async fn await_claims(&self, pod: &PodInfo, node: &str, volumes: &Choice) -> Result<(), Failure> {
        loop {
            let changed = self.inbox.turn.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let current = self.cluster.pods.get(&pod.key);
            if current.is_none_or(|current| *pod.uid != *uid(&*current) || is_deleting(&*current)) {
                return Err(Failure::Overtaken);
            }
            if self.claims_are_bound(pod, node, volumes).map_err(|why| volumes_failed(&why))? {
                return Ok(());
            }
            changed.await;
        }
    }

    fn claims_are_bound(&self, pod: &PodInfo, node: &str, volumes: &Choice) -> Result<bool, String> {
        let mut all = true;
        for claimed in &pod.claims {
            let claim_name = &claimed.key.name;
            let Some(claim) = self.cluster.claims.get(&claimed.key) else {
                return Err(format!("persistentvolumeclaim \"{claim_name}\" not found"));
            };
            if is_bound(&claim) {
                continue;
            }
            all = false;
            if !volumes.provision.iter().any(|chosen| Key::of(&**chosen) == claimed.key) {
                continue;
            }
            match annotation(&*claim, SELECTED_NODE) {
                Some(chosen) if chosen == node => {}
                // A provisioner that cannot serve this node takes the choice back.
                None => return Err(format!("provisioning failed for PVC \"{claim_name}\"")),
                Some(chosen) => {
                    return Err(format!(
                        "selectedNode annotation value \"{chosen}\" not set to scheduled node \"{node}\""
                    ));
                }
            }
        }
        Ok(all)
    }

    /// Marks the victims and deletes them, each with its grace period.
    pub(super) async fn evict(&self, pod: &PodInfo, node: &str, victims: &[Arc<PodInfo>]) -> Result<(), Error> {
        for victim in victims.iter().filter(|victim| !victim.is_terminating()) {
            let message = format!("{NAME}: preempting to accommodate a higher priority pod");
            let why = pods::disruption(&victim.pod, BY_SCHEDULER, &message, self.cluster.clock.time());
            if is_news(&victim.pod, &why) {
                match self.patch_status(&victim.pod, json!({"conditions": [why]})).await {
                    Err(error) if error.is_not_found() => continue,
                    patched => patched?,
                }
            }
            self.cluster.pods.delete(&*victim.pod, Deletion::graceful()).await?;
            let message = format!("Preempted by pod {} on node {node}", pod.uid);
            self.events.normal(&*victim.pod, "Preempted", message);
        }
        Ok(())
    }

    /// Tells in the pod's status why it waits.
    pub(super) async fn report(&self, pod: &Pod, report: &Report) -> Result<(), Error> {
        let told = PodCondition {
            type_: "PodScheduled".to_owned(),
            status: "False".to_owned(),
            reason: Some(report.reason.to_owned()),
            message: Some(report.message.clone()),
            ..PodCondition::default()
        };
        let told = pods::dated(pod, told, self.cluster.clock.time());
        let mut status = json!({});
        if is_news(pod, &told) {
            status["conditions"] = json!([told]);
        }
        match &report.nomination {
            Nomination::Keep => {}
            Nomination::Clear => status["nominatedNodeName"] = Value::Null,
            Nomination::Set(node) => status["nominatedNodeName"] = json!(node),
        }
        if status == json!({}) {
            return Ok(());
        }
        match self.patch_status(pod, status).await {
            // It went meanwhile.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            patched => patched,
        }
    }

    /// Takes back what was promised to a less important pod.
    pub(super) async fn clear_nomination(&self, pod: &Pod) -> Result<(), Error> {
        match self.patch_status(pod, json!({"nominatedNodeName": null})).await {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            patched => patched,
        }
    }

    async fn patch_status(&self, pod: &Pod, status: Value) -> Result<(), Error> {
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), namespace(pod));
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
        let patched = api.patch_status(name(pod), &params, &Patch::Strategic(patch)).await;
        patched.map_err(|error| Error::api("write a pod's status", error))?;
        Ok(())
    }
}

fn is_news(pod: &Pod, told: &PodCondition) -> bool {
    pods::condition(pod, &told.type_) != Some(told)
}

fn volumes_failed(why: &str) -> Failure {
    Failure::Told(format!("running PreBind plugin \"VolumeBinding\": binding volumes: {why}"))
}

/// The volume, kept for the claim; the volumes' controller completes it.
fn keep_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> PersistentVolume {
    let mut kept = volume.clone();
    let holder = reference(claim);
    kept.spec.get_or_insert_default().claim_ref = Some(holder);
    let notes = kept.metadata.annotations.get_or_insert_default();
    notes.insert("pv.kubernetes.io/bound-by-controller".to_owned(), "yes".to_owned());
    kept
}
