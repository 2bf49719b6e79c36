//! Rolls Deployments out over ReplicaSets: rolling update, recreate, pause, scaling, revision history.
//!
//! Each reconcile takes one step: the plan makes at most one new set and one round of scaling, and the changed sets
//! bring the Deployment back.

mod plan;
mod rollout;
mod sets;
mod status;

use std::sync::Arc;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{controller_of, name, namespace, selector, uid},
    ownership, pods,
    queue::Queue,
};

use plan::{Observed, Plan, plan};
pub(super) use rollout::scaled;

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.deployments, &queue);
    ownership::follow(&cluster.replica_sets, &cluster.deployments, &queue, |deployment| {
        deployment.spec.as_ref().map(|spec| spec.selector.clone())
    });
    // Recreate waits for the last old pod to go.
    let (sets, wake) = (cluster.replica_sets.clone(), queue.clone());
    cluster.pods.on_change(move |old, new| {
        let (Some(pod), None) = (old, new) else { return };
        let Some(owner) = controller_of(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet") else { return };
        let Some(set) = sets.get(&Key::new(namespace(&**pod), &owner.name)) else { return };
        if let Some(owner) = controller_of(&set.metadata) {
            wake.add(Key::new(namespace(&**pod), &owner.name));
        }
    });
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    let events = cluster.events.for_component("deployment-controller");
    cluster.tasks.clone().spawn(async move {
        cluster.deployments.synced().await;
        cluster.replica_sets.synced().await;
        cluster.pods.synced().await;
        controller::run("deployment", queue, 8, token, |key| reconcile(&cluster, &events, key)).await;
    });
}

async fn reconcile(cluster: &Cluster, events: &Recorder, key: Key) -> Result<Next, Error> {
    let Some(deployment) = cluster.deployments.get(&key) else { return Ok(None) };
    let Some(spec) = &deployment.spec else { return Ok(None) };
    let Some(selector) = selector(&spec.selector)? else {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        events.warning(&*deployment, "SelectingAll", message);
        return Ok(None);
    };
    let sets = ownership::children(&*deployment, &selector, &cluster.replica_sets).await?;
    let old_pods =
        |set: &str| -> bool { cluster.pods.owned_by(set).iter().any(|pod: &Arc<Pod>| !pods::is_finished(pod)) };
    let observed = Observed::new(&deployment, sets, cluster.clock.now(), old_pods)?;
    let plan = plan(&deployment, &observed)?;
    apply(cluster, events, &deployment, plan).await
}

async fn apply(cluster: &Cluster, events: &Recorder, deployment: &Deployment, plan: Plan) -> Result<Next, Error> {
    if let Some(set) = &plan.create {
        match cluster.replica_sets.create(namespace(deployment), set).await {
            Ok(_) => {
                if let Some(message) = &plan.created_message {
                    events.normal(deployment, "ScalingReplicaSet", message.clone());
                }
            }
            // The name is taken by a set of another template: the next hash gets another name.
            Err(error) if error.is_conflict() => {
                let mut bumped = deployment.clone();
                let status = bumped.status.get_or_insert_default();
                status.collision_count = Some(status.collision_count.unwrap_or(0).wrapping_add(1));
                cluster.deployments.update_status(deployment, &bumped).await?;
                return Err(error);
            }
            Err(error) if error.is_namespace_terminating() => return Ok(None),
            Err(error) => {
                let message = format!("Failed to create new replica set {:?}: {}", name(set), error.message());
                if let Some(failed) = status::creation_failed(deployment, &message, cluster.clock.now()) {
                    cluster.deployments.update_status(deployment, &failed).await?;
                }
                events.warning(deployment, "ReplicaSetCreateError", message);
                return Err(error);
            }
        }
    }
    for change in plan.changes {
        cluster.replica_sets.update(&change.old, &change.new).await?;
        if let Some(message) = change.message {
            events.normal(deployment, "ScalingReplicaSet", message);
        }
    }
    for set in plan.delete {
        cluster.replica_sets.delete(&set, Deletion::background()).await?;
    }
    // The revision goes with the status: written as part of the object it would make a new generation.
    let mut reported = plan.annotated.unwrap_or_else(|| deployment.clone());
    reported.status = Some(plan.status);
    cluster.deployments.update_status(deployment, &reported).await?;
    tracing::trace!(deployment = %uid(deployment), "reconciled");
    Ok(plan.again)
}
