//! Keeps each cluster's status true, and lets clusters go.
//!
//! # Flow
//!
//! One worker per cluster object, and one that looks among those of the hub's replicas. It looks when it is woken - by a
//! change of the object or of the tunnel - and every ten seconds, sooner while something is wrong and has not been for long:
//! observe, plan, report. What woke it does not matter.
//!
//! # Guarantees
//!
//! - A member that is lost is `Unknown` within 40 s; one that comes back is looked at at once. If the hub dials it, within
//!   an eighth of the time that it was away, and 10 s at most. How many others are lost makes no difference.
//! - When a replica of the hub is gone, another looks after its clusters 10 s later.
//! - What answers under a cluster's name and shows another identity than the one that was noted gets no requests.
//! - A cluster that becomes ready has let the platform's administrators in before it says so, unless it refuses.
//! - Nothing is written when nothing is new, except a heartbeat once in a minute. When a cluster falls silent, the last time
//!   that it was heard of is written as it was.
//! - A member that leaves is asked to give back what the platform has put there, and keeps all else. It is waited for, unless
//!   somebody says that it is not to be; nobody has to edit a finalizer.

mod leave;
mod looks;
mod observe;

use std::collections::HashMap;
use std::sync::Arc;

use api_types::cluster::{Cluster, FINALIZER};
use api_types::support::{self, Origin};
use futures::StreamExt;
use futures::future::join;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event as Watched, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Resource, ResourceExt};
use lib_backoff::chance;
use lib_drain::Drain;
use lib_names::ClusterName;
use lib_telemetry::chain;
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast, oneshot};
use tunnel_hub::Change;

use crate::authority::Wanted;
use crate::error::Error;
use crate::plan::authority::Rotation;
use crate::plan::identity::is_another_now;
use crate::plan::platform::is_moving;
use crate::plan::{Heard, Known, Observed, is_due, is_ready, plan, removal};
use crate::registration::known_key;
use crate::{Fleet, Inner, MANAGER, NAMESPACE, inventory, survey};

use leave::Leave;
pub(crate) use looks::Looks;
use looks::{Pace, Seen};
use observe::Rights;

/// The longest message of an event.
const EVENT: usize = 1024;

struct Worker {
    uid: String,
    wake: Arc<Notify>,
    /// Tells whoever follows the cluster's objects.
    linked: Arc<Notify>,
    drain: Drain,
}

impl Worker {
    /// Its tunnel is another one, or there is none any more.
    fn linked(&self) {
        self.wake.notify_one();
        self.linked.notify_one();
    }
}

pub(crate) type Writer = reflector::store::Writer<Cluster>;

/// Follows the clusters and the tunnels until the fleet drains.
pub(crate) async fn run(fleet: Fleet, writer: Writer) {
    let inner = fleet.inner.clone();
    let mut changes = inner.sessions.changes();
    let events = watcher(inner.clusters(), watcher::Config::default()).default_backoff();
    let mut events = reflector::reflector(writer, events).boxed();
    let mut workers: HashMap<String, Worker> = HashMap::new();
    let mut owners = inner.replicas.changes();
    let mut authorities = inner.authorities.changes();
    loop {
        tokio::select! {
            () = inner.drain.finishing() => return,
            _ = owners.changed() => workers.values().for_each(|worker| worker.wake.notify_one()),
            // To be told to every agent.
            _ = authorities.changed() => workers.values().for_each(|worker| worker.wake.notify_one()),
            () = inner.woken.notified() => wake_named(&inner, &workers),
            change = changes.recv() => match change {
                Ok(Change { cluster, .. }) => workers.get(cluster.as_str()).into_iter().for_each(Worker::linked),
                // Some were missed: look at everything.
                Err(broadcast::error::RecvError::Lagged(_)) => workers.values().for_each(Worker::linked),
                Err(broadcast::error::RecvError::Closed) => return,
            },
            event = events.next() => match event {
                Some(Ok(Watched::Apply(cluster) | Watched::InitApply(cluster))) => upsert(&fleet, &mut workers, &cluster),
                Some(Ok(Watched::Delete(cluster))) => stop(&inner, &mut workers, &cluster),
                Some(Ok(Watched::Init)) => {}
                Some(Ok(Watched::InitDone)) => {
                    inner.listed.send_replace(true);
                    // Those that are no longer there.
                    let gone = |name: &String| inner.cluster(name).is_none();
                    let names: Vec<String> = workers.keys().filter(|name| gone(name)).cloned().collect();
                    for name in names {
                        drop_worker(&inner, &mut workers, &name);
                    }
                }
                Some(Err(error)) => tracing::warn!(error = %chain(&error), "could not follow the clusters"),
                None => return,
            },
        }
    }
}

fn upsert(fleet: &Fleet, workers: &mut HashMap<String, Worker>, cluster: &Cluster) {
    let (name, uid) = (cluster.name_any(), cluster.uid().unwrap_or_default());
    if workers.get(&name).is_some_and(|worker| worker.uid != uid) {
        drop_worker(&fleet.inner, workers, &name);
    }
    fleet.inner.identities().note(cluster);
    let is_elsewhere = fleet.inner.hosts.note(cluster);
    // Another one was approved, here or by another replica.
    if let (Ok(name), Some(key)) = (name.parse(), known_key(cluster)) {
        fleet.inner.sessions.end_others(&name, key);
    }
    let started = workers.entry(name.clone()).or_insert_with(|| {
        let (wake, linked, drain) = (Arc::new(Notify::new()), Arc::new(Notify::new()), fleet.inner.drain.child());
        drain.spawn(follow(fleet.inner.clone(), name.clone(), uid.clone(), linked.clone(), drain.clone()));
        let (inner, signal) = (fleet.inner.clone(), wake.clone());
        let (name, expected, owner) = (name.clone(), uid.clone(), drain.clone());
        drain.spawn(async move { work(&inner, &name, &expected, &signal, &owner).await });
        Worker { uid, wake, linked, drain }
    });
    // A status that we wrote ourselves comes back here too; the look it causes is only needed for what others changed.
    let changed = is_elsewhere
        || cluster.metadata.deletion_timestamp.is_some()
        || cluster.status.as_ref().and_then(|status| status.observed_generation) != cluster.metadata.generation;
    if changed {
        started.wake.notify_one();
    }
}

fn stop(inner: &Arc<Inner>, workers: &mut HashMap<String, Worker>, cluster: &Cluster) {
    let name = cluster.name_any();
    if workers.get(&name).is_some_and(|worker| Some(&worker.uid) == cluster.metadata.uid.as_ref()) {
        drop_worker(inner, workers, &name);
    }
    if name == ClusterName::GLOBAL {
        let inner = inner.clone();
        let owner = inner.drain.clone();
        owner.spawn(async move {
            if let Err(error) = inner.ensure_global().await {
                tracing::warn!(error = %chain(&error), "could not put the hub's own cluster back");
            }
        });
    }
}

fn drop_worker(inner: &Inner, workers: &mut HashMap<String, Worker>, name: &str) {
    if let Some(worker) = workers.remove(name) {
        worker.drain.finish();
    }
    inner.directs.forget(name);
    inner.strangers.forget(name);
    inner.identities().forget(name);
    inner.inventory.forget(name);
    inner.hosts.forget(name);
    // The object is gone, by us or by somebody who removed the finalizer: either way it is no longer managed.
    if let Ok(name) = name.parse::<ClusterName>() {
        inner.sessions.forget(&name);
    }
}

/// Follows the cluster's objects, and how much it has, until it is removed.
async fn follow(inner: Arc<Inner>, name: String, uid: String, linked: Arc<Notify>, drain: Drain) {
    tokio::select! {
        () = drain.finishing() => {}
        _ = join(inventory::follow(&inner, &name, &uid, &linked), survey::follow(&inner, &name, &uid)) => {}
    }
}

fn wake(workers: &HashMap<String, Worker>, name: &str) {
    if let Some(worker) = workers.get(name) {
        worker.wake.notify_one();
    }
}

fn wake_named(inner: &Inner, workers: &HashMap<String, Worker>) {
    for name in inner.take_woken() {
        wake(workers, &name);
    }
}

/// Looks at one cluster again and again.
async fn work(inner: &Inner, name: &str, uid: &str, wake: &Notify, drain: &Drain) {
    let mut pace = Pace::default();
    let mut heard = Heard { since: Timestamp::now(), last: None };
    let mut rights = Rights::default();
    let tunnel = name.parse::<ClusterName>().ok();
    let rounds = async {
        loop {
            if let Some(name) = &tunnel {
                // Whoever has gone to another replica of the hub was not lost.
                inner.sessions.settle(name).await;
            }
            let seen = inner.looks.turn(&pace, look(inner, name, uid, &mut heard, &mut rights)).await.unwrap_or_else(
                |error| {
                    tracing::warn!(cluster = %name, error = %chain(&error), "could not look after a cluster");
                    Seen::Silent
                },
            );
            pace.rest(seen, wake).await;
        }
    };
    tokio::select! {
        () = drain.finishing() => {}
        () = rounds => {}
    }
}

/// Observe, plan, report.
async fn look(inner: &Inner, name: &str, uid: &str, heard: &mut Heard, rights: &mut Rights) -> Result<Seen, Error> {
    let Some(cluster) = inner.cluster(name).filter(|cluster| cluster.uid().as_deref() == Some(uid)) else {
        return Ok(Seen::Well);
    };
    let leaves = cluster.metadata.deletion_timestamp.is_some();
    if leaves && !has_finalizer(&cluster) {
        return Ok(Seen::Well);
    }
    if !inner.replicas.owns(name) {
        // Another replica looks, and says in the status what it finds. Of a credential that has changed nobody tells us.
        inner.strangers.forget(name);
        inner.directs.forget(name);
        *heard = Heard { since: Timestamp::now(), last: None };
        return Ok(Seen::Well);
    }
    if leaves && cluster.is_removal_confirmed() && cluster.is_removal_forced() {
        return forget(inner, &cluster).await.map(|()| Seen::Well);
    }
    if !leaves && cluster.spec.paused == Some(true) {
        return Ok(Seen::Well);
    }
    let mut observed = observe::observe(inner, &cluster).await;
    let old = cluster.status.clone().unwrap_or_default();
    let another = is_another_now(&old, observed.told_mut().map(|told| &told.identity));
    inner.strangers.note(name, another);
    let mut removing = None;
    if leaves {
        match leave::leave(inner, &cluster, &observed, another).await {
            Leave::Gone => return forget(inner, &cluster).await.map(|()| Seen::Well),
            Leave::Not(next) => removing = Some(next),
        }
    }
    if !another
        && !leaves
        && let Observed::Well { version, follows, told, .. } = &mut observed
        && support::current().judge(Origin::ThirdParty, version).is_ok()
        && let Ok(name) = name.parse::<ClusterName>()
    {
        // Before it is called ready: who sees that goes in.
        inner.grant_admins(&cluster, &name, told.identity.uid.as_deref()).await;
        // Only now: where a cluster was imported, the role for it may have come with that.
        *follows = rights.follow(inner, &cluster, &name).await;
    }
    let indexed = inner.inventory.freshness(name).map(|freshness| freshness.condition());
    let ratio = inner.ratios.get().and_then(|ratios| ratios.borrow().get(name).cloned());
    let is_leaving = removing.is_some();
    let wanted = Wanted::of(&inner.authorities.now());
    let is_behind =
        observed.told_mut().and_then(|told| told.trust.as_ref()).is_some_and(|has| wanted.lacks(has).is_some());
    let rotation = Rotation { wanted, is_under_way: inner.authorities.now().other().is_some() };
    let address = inner.wanted_address(&cluster);
    let is_behind = is_behind || is_moving(&address, observed.told_mut().and_then(|told| told.address.as_ref()));
    let key_request = inner.key_request(&cluster).await;
    let known = Known { indexed, ratio, removing, key_request, rotation: Some(rotation), address };
    let now = Timestamp::now();
    heard.note(&observed, now);
    let next = plan(&old, cluster.metadata.generation, &observed, known, *heard, now);
    let seen = match &observed {
        Observed::Lost { .. } | Observed::Waiting { .. } => Seen::Silent,
        _ if is_ready(&next) && !is_leaving && !is_behind => Seen::Well,
        _ => Seen::Ill,
    };
    if is_due(&old, &next, chance()) {
        let patch = json!({"metadata": {"uid": uid}, "status": change(&json!(old), json!(next))});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        match inner.clusters().patch_status(name, &params, &Patch::Merge(&patch)).await {
            // It went meanwhile.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(Error::hub("report a cluster's status")(error)),
            Ok(_) => {}
        }
    }
    Ok(seen)
}

/// The next status as a merge patch, in which what is there no longer has to be said to be nothing.
fn change(old: &Value, mut next: Value) -> Value {
    if let (Value::Object(old), Value::Object(next)) = (old, &mut next) {
        for (key, old) in old {
            let next = next.entry(key).or_insert(Value::Null);
            *next = change(old, next.take());
        }
    }
    next
}

fn has_finalizer(cluster: &Cluster) -> bool {
    cluster.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// Forgets a cluster, and asks it for nothing: its session and credentials go, its agent's key is noted as one that is not
/// let in again, and then the object goes.
async fn forget(inner: &Inner, cluster: &Cluster) -> Result<(), Error> {
    let name = cluster.name_any();
    if let Ok(parsed) = name.parse::<ClusterName>() {
        inner.sessions.forget(&parsed);
    }
    inner.directs.forget(&name);
    if let Some(key) = known_key(cluster) {
        inner.forget_agent(&name, key).await?;
    }
    let fleet = Fleet { inner: inner.itself() };
    fleet.forget_secrets(&name).await?;
    inner.forget_key_request(cluster).await;
    // Whoever looks after the cluster ends with its object, and there may be something to say after that.
    let (inner, cluster) = (inner.itself(), cluster.clone());
    let owner = inner.drain.clone();
    let (done, ended) = oneshot::channel();
    owner.spawn(async move { drop(done.send(let_go(&inner, &cluster).await)) });
    // What is cut off was asked to end, and is tried again at the next start.
    ended.await.unwrap_or(Ok(()))
}

async fn let_go(inner: &Inner, cluster: &Cluster) -> Result<(), Error> {
    let name = cluster.name_any();
    let kept: Vec<_> = cluster.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
    let patch = json!({"metadata": {"resourceVersion": cluster.resource_version(), "finalizers": kept}});
    match inner.clusters().patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return Ok(()),
        Err(error) => return Err(Error::hub("let a cluster go")(error)),
        Ok(_) => {}
    }
    match removal::left_behind(cluster) {
        Some(left) => tell(inner, cluster, &left).await,
        None => tracing::info!(cluster = %name, "a cluster was removed"),
    }
    Ok(())
}

/// Says what stays in a cluster when its object, which said so before, is gone.
async fn tell(inner: &Inner, cluster: &Cluster, left: &str) {
    let name = cluster.name_any();
    tracing::warn!(cluster = %name, left, "a cluster was removed, and not all of the platform is out of it");
    let events: Api<Event> = Api::namespaced(inner.client.clone(), NAMESPACE);
    let now = Some(Time(Timestamp::now()));
    let event = Event {
        metadata: ObjectMeta { generate_name: Some(format!("{name}.")), ..Default::default() },
        involved_object: cluster.object_ref(&()),
        type_: Some("Warning".into()),
        reason: Some("LeftBehind".into()),
        message: Some(left.chars().take(EVENT).collect()),
        source: Some(EventSource { component: Some(MANAGER.into()), host: None }),
        first_timestamp: now.clone(),
        last_timestamp: now,
        count: Some(1),
        ..Default::default()
    };
    if let Err(error) = events.create(&PostParams::default(), &event).await {
        tracing::warn!(cluster = %name, error = %chain(&error), "could not record what a cluster keeps");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_takes_away_what_is_no_more() {
        let old = json!({"resource": {"capacity": {"cpu": "4", "nvidia.com/gpu": "1"}}, "components": [1], "phase": "Pending"});
        let next = json!({"resource": {"capacity": {"cpu": "8", "memory": "1Gi"}}, "components": [2]});
        let expect = json!({
            "resource": {"capacity": {"cpu": "8", "memory": "1Gi", "nvidia.com/gpu": null}},
            "components": [2], "phase": null,
        });
        assert_eq!(change(&old, next), expect);
    }
}
