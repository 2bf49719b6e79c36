//! Lets go of claims and volumes that are to be deleted, once nobody uses them.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::{Api, Resource, ResourceExt, api::ListParams};

use crate::{
    cache::{Informer, Key, Kind},
    clock::Clock,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    meta::{is_deleting, namespace},
    placement::node_of,
    pods::is_finished,
    queue::Queue,
};

use super::facts::{claims_of, volume_phase};

const OF_CLAIMS: &str = "kubernetes.io/pvc-protection";
const OF_VOLUMES: &str = "kubernetes.io/pv-protection";
/// A claim in use is looked at again, for clusters whose Pods nobody watches.
const AGAIN: Duration = Duration::from_secs(10);

pub(crate) fn start(cluster: &Cluster) {
    let claims = cluster.claims.clone();
    let queue = leaving(&claims, OF_CLAIMS);
    let wake = queue.clone();
    cluster.pods.on_change(move |old, new| {
        if let Some(pod) = old.filter(|_| new.is_none_or(|new| is_finished(new))) {
            claims_of(pod).for_each(|claim| wake.add(Key::new(namespace(&**pod), &claim)));
        }
    });
    let volumes = cluster.persistent_volumes.clone();
    let volumes_queue = leaving(&volumes, OF_VOLUMES);
    let (this, token) = (cluster.clone(), cluster.token.clone());
    cluster.tasks.spawn(async move {
        claims.synced().await;
        controller::run("pvc-protection", queue, 2, token, |key| release_claim(&this, &claims, key)).await;
    });
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        volumes.synced().await;
        controller::run("pv-protection", volumes_queue, 2, token, |key| release_volume(&volumes, key)).await;
    });
}

/// The objects that only this finalizer's owner keeps.
fn leaving<K: Kind>(informer: &Informer<K>, finalizer: &'static str) -> Arc<Queue<Key>> {
    let queue = Arc::new(Queue::new(&Clock::default()));
    let wake = queue.clone();
    informer.on_change(move |_, new| {
        if let Some(object) = new.filter(|object| is_held(&***object, finalizer)) {
            wake.add(Key::of(&**object));
        }
    });
    queue
}

fn is_held<K: Resource>(object: &K, finalizer: &str) -> bool {
    is_deleting(object) && object.finalizers().iter().any(|f| f == finalizer)
}

/// A Pod that no node knows yet will not be started with a claim that goes.
fn uses(pod: &Pod, claim: &str) -> bool {
    node_of(pod).is_some() && !is_finished(pod) && claims_of(pod).any(|name| name == claim)
}

async fn release_claim(cluster: &Cluster, claims: &Informer<PersistentVolumeClaim>, key: Key) -> Result<Next, Error> {
    let Some(claim) = claims.get(&key).filter(|claim| is_held(&**claim, OF_CLAIMS)) else { return Ok(None) };
    // Asked of the server: a cache may not know the newest Pod yet.
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &key.namespace);
    let pods = pods.list(&ListParams::default()).await.map_err(|error| Error::api("list pods", error))?;
    if pods.items.iter().any(|pod| uses(pod, &key.name)) {
        return Ok(Some(AGAIN));
    }
    release(claims, &claim, OF_CLAIMS).await
}

async fn release_volume(volumes: &Informer<PersistentVolume>, key: Key) -> Result<Next, Error> {
    let Some(volume) = volumes.get(&key).filter(|volume| is_held(&**volume, OF_VOLUMES)) else { return Ok(None) };
    if volume_phase(&volume) == "Bound" {
        return Ok(None);
    }
    release(volumes, &volume, OF_VOLUMES).await
}

async fn release<K: Kind>(informer: &Informer<K>, object: &K, finalizer: &str) -> Result<Next, Error> {
    let mut new = object.clone();
    new.finalizers_mut().retain(|f| f != finalizer);
    informer.update(object, &new).await?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(spec: Value, phase: &str, expect: bool) {
        let pod = json!({"metadata": {"name": "p"}, "spec": spec, "status": {"phase": phase}});
        assert_eq!(uses(&serde_json::from_value(pod).unwrap(), "p-scratch"), expect);
    }

    #[test]
    fn only_pods_on_nodes_that_run_use_a_claim() {
        let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "p-scratch"}}]);
        check(json!({"nodeName": "n", "containers": [], "volumes": volumes}), "Running", true);
        check(json!({"nodeName": "n", "containers": [], "volumes": volumes}), "Failed", false);
        check(json!({"containers": [], "volumes": volumes}), "Pending", false);
        let own = json!([{"name": "scratch", "ephemeral": {}}]);
        check(json!({"nodeName": "n", "containers": [], "volumes": own}), "Running", true);
        check(json!({"nodeName": "n", "containers": []}), "Running", false);
    }
}
