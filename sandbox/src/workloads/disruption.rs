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
    meta::{controller_of, labels, namespace},
    ownership,
    queue::Queue,
};

use plan::plan;

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.budgets, &queue);
    let (budgets, wake) = (cluster.budgets.clone(), queue.clone());
    cluster.pods.on_change(move |old, new| {
        let pods: Vec<&Arc<Pod>> = [old, new].into_iter().flatten().collect();
        let Some(pod) = pods.first() else { return };
        for budget in budgets.in_namespace(namespace(&***pod)) {
            if pods.iter().any(|pod| covers(&budget, pod)) {
                wake.add(Key::of(&*budget));
            }
        }
    });
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    cluster.tasks.clone().spawn(async move {
        cluster.budgets.synced().await;
        cluster.pods.synced().await;
        cluster.deployments.synced().await;
        cluster.replica_sets.synced().await;
        cluster.replication_controllers.synced().await;
        cluster.stateful_sets.synced().await;
        controller::run("disruption", queue, 2, token, |key| reconcile(&cluster, key)).await;
    });
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let Some(budget) = cluster.budgets.get(&key) else { return Ok(None) };
    let pods: Vec<Arc<Pod>> =
        cluster.pods.in_namespace(&key.namespace).into_iter().filter(|pod| covers(&budget, pod)).collect();
    let plan = plan(&budget, &pods, &|owner| scale(cluster, &key.namespace, owner), cluster.clock.now());
    let mut reported = (*budget).clone();
    reported.status = Some(plan.status);
    cluster.budgets.update_status(&budget, &reported).await?;
    Ok(plan.again)
}

/// Without a selector a budget covers nothing; with an empty one, all pods of its namespace.
fn covers(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let given = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
    given.and_then(|given| Selector::try_from(given).ok()).is_some_and(|selector| selector.matches(labels(pod)))
}

/// The controller whose size counts for a pod of `owner`, and that size. A ReplicaSet's Deployment stands for it.
fn scale(cluster: &Cluster, namespace: &str, owner: &OwnerReference) -> Option<(String, i32)> {
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
