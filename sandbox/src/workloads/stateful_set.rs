//! StatefulSets: pods with names of their own, one after the other (or all at once when asked), updated from the last.

mod plan;

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::api::{Api, PostParams};

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{MANAGER, is_deleting, labels, name, namespace, selector},
    ownership, pods,
    queue::Queue,
};

use super::revisions;
use plan::{Revisions, plan, status};

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.stateful_sets, &queue);
    ownership::follow(&cluster.pods, &cluster.stateful_sets, &queue, |set| {
        set.spec.as_ref().map(|spec| spec.selector.clone())
    });
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    let events = cluster.events.for_component("statefulset-controller");
    cluster.tasks.clone().spawn(async move {
        cluster.stateful_sets.synced().await;
        cluster.pods.synced().await;
        cluster.revisions.synced().await;
        controller::run("statefulset", queue, 4, token, |key| reconcile(&cluster, &events, key)).await;
    });
}

async fn reconcile(cluster: &Cluster, events: &Recorder, key: Key) -> Result<Next, Error> {
    let Some(set) = cluster.stateful_sets.get(&key) else { return Ok(None) };
    let Some(spec) = &set.spec else { return Ok(None) };
    let Some(selector) = selector(&spec.selector)? else { return Ok(None) };
    if is_deleting(&*set) {
        return Ok(None);
    }
    let children = ownership::children(&*set, &selector, &cluster.pods).await?;
    let collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let history = revisions::sync(cluster, &*set, &spec.template, collisions).await?;
    let current_name = set.status.as_ref().and_then(|status| status.current_revision.clone());
    let current = history.all.iter().find(|revision| Some(name(&***revision)) == current_name.as_deref());
    let known = Revisions {
        current: name(&**current.unwrap_or(&history.update)).to_owned(),
        current_template: current.and_then(|revision| revisions::template(revision)),
        update: name(&*history.update).to_owned(),
    };
    let at = cluster.clock.now();
    let plan = plan(&set, &known, &children, at);
    for pod in plan.create {
        create(cluster, events, &set, &pod).await?;
    }
    for pod in plan.delete {
        cluster.pods.delete(&pod, Deletion::graceful()).await?;
        let message = format!("delete Pod {} in StatefulSet {} successful", name(&*pod), name(&*set));
        events.normal(&*set, "SuccessfulDelete", message);
    }

    let Some(set) = cluster.stateful_sets.get(&key) else { return Ok(None) };
    let now_owned = cluster.pods.owned_by(crate::meta::uid(&*set));
    let mut reported = (*set).clone();
    reported.status = Some(status(&set, &known, &now_owned, at));
    cluster.stateful_sets.update_status(&set, &reported).await?;
    let in_use: Vec<&str> =
        now_owned.iter().filter_map(|pod| labels(&**pod).get(revisions::HASH)).map(String::as_str).collect();
    revisions::prune(cluster, &history, spec.revision_history_limit.unwrap_or(10), &in_use).await?;
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    Ok(pods::next_available(now_owned.iter().map(|pod| &**pod), min_ready, at))
}

async fn create(cluster: &Cluster, events: &Recorder, set: &StatefulSet, pod: &Pod) -> Result<(), Error> {
    for claim in plan::claims(set, pod) {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), namespace(set));
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match claims.create(&params, &claim).await {
            Ok(_) => {
                let message =
                    format!("create Claim {} Pod {} in StatefulSet {} success", name(&claim), name(pod), name(set));
                events.normal(set, "SuccessfulCreate", message);
            }
            // Kept from an earlier pod of that name: that is what claims are for.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(Error::api("create a claim", error)),
        }
    }
    match cluster.pods.create(namespace(set), pod).await {
        Ok(_) => {
            let message = format!("create Pod {} in StatefulSet {} successful", name(pod), name(set));
            events.normal(set, "SuccessfulCreate", message);
            Ok(())
        }
        Err(error) => {
            if !error.is_namespace_terminating() && !error.is_conflict() {
                let what =
                    format!("create Pod {} in StatefulSet {} failed error: {}", name(pod), name(set), error.message());
                events.warning(set, "FailedCreate", what);
            }
            Err(error)
        }
    }
}
