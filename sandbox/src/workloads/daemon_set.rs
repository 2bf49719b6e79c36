//! DaemonSets: one pod on every node that takes it.

mod plan;
mod rollout;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    cache::Key,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::{Recorder, reference},
    meta::{is_deleting, labels, nonzero, selector, uid},
    ownership, pods,
    queue::Queue,
};

use super::{
    apply::{create_pods, delete_pods},
    revisions,
};
use plan::{Failures, Plan, plan, status};

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.daemon_sets, &queue);
    ownership::follow(&cluster.pods, &cluster.daemon_sets, &queue, |set| {
        set.spec.as_ref().map(|spec| spec.selector.clone())
    });
    let (sets, wake) = (cluster.daemon_sets.clone(), queue.clone());
    cluster.nodes.on_change(move |old, new| {
        let same =
            old.zip(new).is_some_and(|(old, new)| old.spec == new.spec && old.metadata.labels == new.metadata.labels);
        if !same {
            sets.all().iter().for_each(|set| wake.add(Key::of(&**set)));
        }
    });
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    let events = cluster.events.for_component("daemonset-controller");
    cluster.tasks.clone().spawn(async move {
        cluster.daemon_sets.synced().await;
        cluster.pods.synced().await;
        cluster.nodes.synced().await;
        cluster.revisions.synced().await;
        let failures = Mutex::default();
        controller::run("daemonset", queue, 4, token, |key| reconcile(&cluster, &events, &failures, key)).await;
    });
}

async fn reconcile(
    cluster: &Cluster,
    events: &Recorder,
    failures: &Mutex<HashMap<Key, Failures>>,
    key: Key,
) -> Result<Next, Error> {
    let Some(set) = cluster.daemon_sets.get(&key) else {
        failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        return Ok(None);
    };
    let Some(spec) = &set.spec else { return Ok(None) };
    let Some(selector) = selector(&spec.selector)? else {
        let message = "This daemon set is selecting all pods. A non-empty selector is required.";
        events.warning(&*set, "SelectingAll", message);
        return Ok(None);
    };
    if is_deleting(&*set) {
        return Ok(None);
    }
    let children = ownership::children(&*set, &selector, &cluster.pods).await?;
    let collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let owner = revisions::Owner {
        object: &*set,
        selector: &selector,
        template: &spec.template,
        collisions,
        label: revisions::HASH,
    };
    let history = revisions::sync(cluster, owner).await?;
    let hash = revisions::hash(&history.update).to_owned();
    let at = cluster.clock.now();
    let Plan { create, delete, events: told, again } = {
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        let of_set = failures.entry(key.clone()).or_default();
        *of_set = std::mem::take(of_set).of(&set);
        plan(&set, &hash, &cluster.nodes.all(), &children, of_set, at)
    };
    for notice in told {
        events.tell(reference(&*set), notice);
    }
    let created = create_pods(cluster, events, &*set, create).await;
    let deleted = delete_pods(cluster, events, &*set, delete).await;

    let Some(set) = cluster.daemon_sets.get(&key) else { return Ok(None) };
    let now_owned = cluster.pods.owned_by(uid(&*set));
    let mut reported = (*set).clone();
    let mut now = status(&set, &hash, &cluster.nodes.all(), &now_owned, at);
    now.collision_count = nonzero(history.collisions);
    reported.status = Some(now);
    cluster.daemon_sets.update_status(&set, &reported).await?;
    created.and(deleted)?;
    let in_use: Vec<&str> =
        now_owned.iter().filter_map(|pod| labels(&**pod).get(revisions::HASH)).map(String::as_str).collect();
    revisions::prune(cluster, &history, spec.revision_history_limit.unwrap_or(10), &in_use).await?;
    let available = pods::next_available(now_owned.iter().map(|pod| &**pod), spec.min_ready_seconds.unwrap_or(0), at);
    Ok(again.into_iter().chain(available).min())
}
