//! Disruption budgets: how many of the selected pods may be evicted now.

mod plan;

use std::sync::Arc;

use k8s_openapi::{
    api::{core::v1::Pod, policy::v1::PodDisruptionBudget},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::core::{Selector, SelectorExt};

use crate::{
    cache::Key,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{controller_of, labels, namespace},
    ownership,
    queue::Queue,
};

use plan::{Plan, plan};

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.budgets, &queue);
    let (budgets, wake) = (cluster.budgets.clone(), queue.clone());
    cluster.pods.on_change(move |old, new| {
        // Most changes of a pod change nothing that is counted.
        if old.map(|pod| plan::counted(pod)) == new.map(|pod| plan::counted(pod)) {
            return;
        }
        let pods: Vec<&Arc<Pod>> = [old, new].into_iter().flatten().collect();
        let Some(pod) = pods.first() else { return };
        for budget in budgets.in_namespace(namespace(&***pod)) {
            let Some(selector) = selector(&budget) else { continue };
            if pods.iter().any(|pod| selector.matches(labels(&***pod))) {
                wake.add(Key::of(&*budget));
            }
        }
    });
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    let events = cluster.events.for_component("controllermanager");
    cluster.tasks.clone().spawn(async move {
        cluster.budgets.synced().await;
        cluster.pods.synced().await;
        cluster.deployments.synced().await;
        cluster.replica_sets.synced().await;
        cluster.replication_controllers.synced().await;
        cluster.stateful_sets.synced().await;
        controller::run("disruption", queue, 2, token, |key| reconcile(&cluster, &events, key)).await;
    });
}

async fn reconcile(cluster: &Cluster, events: &Recorder, key: Key) -> Result<Next, Error> {
    let Some(budget) = cluster.budgets.get(&key) else { return Ok(None) };
    let mut pods: Vec<Arc<Pod>> = Vec::new();
    if let Some(selector) = selector(&budget) {
        pods = cluster.pods.in_namespace(&key.namespace);
        pods.retain(|pod| selector.matches(labels(&**pod)));
    }
    if pods.is_empty() {
        events.normal(&*budget, "NoPods", "No matching pods found");
    }
    let now = cluster.clock.now();
    let (status, again) = match plan(&budget, &pods, &|owner| scale(cluster, &key.namespace, owner), now) {
        Ok(Plan { status, again, unmanaged, overdue }) => {
            for pod in overdue {
                // Upstream names the budget so.
                let budget = format!("{0}/{0}", key.namespace);
                let message = format!("Pod was expected by PDB {budget} to be deleted but it wasn't");
                events.warning(&*pod, "NotDeleted", message);
            }
            if unmanaged {
                let selector = plan::printed(budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()));
                events.warning(&*budget, "UnmanagedPods", format!(
                    "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a \
                     result, the status of the PDB cannot be calculated correctly, which may result in undefined \
                     behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an \
                     integer value."
                ));
            }
            (status, again)
        }
        Err(why) => {
            let message = format!("Failed to calculate the number of expected pods: {why}");
            events.warning(&*budget, "CalculateExpectedPodCountFailed", message);
            (plan::failed(&budget, &why, now), None)
        }
    };
    let mut reported = (*budget).clone();
    reported.status = Some(status);
    cluster.budgets.update_status(&budget, &reported).await?;
    Ok(again)
}

/// Without a selector a budget covers nothing; with an empty one, all pods of its namespace.
fn selector(budget: &PodDisruptionBudget) -> Option<Selector> {
    Selector::try_from(budget.spec.as_ref()?.selector.clone()?).ok()
}

/// The controller whose size counts for a pod of `owner`, and that size. A ReplicaSet's Deployment stands for it. Of
/// kinds that are not known here nothing is counted.
fn scale(cluster: &Cluster, namespace: &str, owner: &OwnerReference) -> Result<Option<(String, i32)>, String> {
    let sizeless = |resource: &str| Err(format!("{resource} does not implement the scale subresource"));
    match owner.kind.as_str() {
        "DaemonSet" => sizeless("daemonsets.apps"),
        "Job" => sizeless("jobs.batch"),
        _ => Ok(known_scale(cluster, namespace, owner)),
    }
}

fn known_scale(cluster: &Cluster, namespace: &str, owner: &OwnerReference) -> Option<(String, i32)> {
    let key = Key::new(namespace, &owner.name);
    match owner.kind.as_str() {
        "ReplicaSet" => {
            let set = cluster.replica_sets.get(&key)?;
            let Some(above) = controller_of(&set.metadata).filter(|above| above.kind == "Deployment") else {
                return Some((owner.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1)));
            };
            let deployment = cluster.deployments.get(&Key::new(namespace, &above.name))?;
            Some((above.uid.clone(), deployment.spec.as_ref()?.replicas.unwrap_or(1)))
        }
        "ReplicationController" => {
            let set = cluster.replication_controllers.get(&key)?;
            Some((owner.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1)))
        }
        "StatefulSet" => {
            let set = cluster.stateful_sets.get(&key)?;
            Some((owner.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1)))
        }
        _ => None,
    }
}
