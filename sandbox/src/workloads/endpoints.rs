//! Endpoints and EndpointSlices of Services with a selector.

mod plan;
mod slices;

use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{api::PostParams, core::Request};
use serde_json::Value;

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    meta::{MANAGER, is_deleting, labels, namespace, uid},
    ownership,
    queue::Queue,
};

use plan::{SERVICE_LABEL, backends, endpoints, selects};
use slices::slices;

/// On nodes: where they are.
const ZONE: &str = "topology.kubernetes.io/zone";

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.services, &queue);
    ownership::each(&cluster.endpoints, &queue);
    let wake = queue.clone();
    cluster.slices.on_change(move |old, new| {
        for slice in [old, new].into_iter().flatten() {
            if let Some(service) = labels(&**slice).get(SERVICE_LABEL) {
                wake.add(Key::new(namespace(&**slice), service));
            }
        }
    });
    let (services, wake) = (cluster.services.clone(), queue.clone());
    cluster.pods.on_change(move |old, new| {
        // Most changes of a pod change no address.
        if old.and_then(|pod| plan::shown(pod)) == new.and_then(|pod| plan::shown(pod)) {
            return;
        }
        let pods: Vec<&Arc<Pod>> = [old, new].into_iter().flatten().collect();
        let Some(pod) = pods.first() else { return };
        for service in services.in_namespace(namespace(&***pod)) {
            if pods.iter().any(|pod| selects(&service, pod)) {
                wake.add(Key::of(&*service));
            }
        }
    });
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    cluster.tasks.clone().spawn(async move {
        cluster.services.synced().await;
        cluster.pods.synced().await;
        cluster.endpoints.synced().await;
        cluster.slices.synced().await;
        cluster.nodes.synced().await;
        controller::run("endpoints", queue, 4, token, |key| reconcile(&cluster, key)).await;
    });
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let Some(service) = cluster.services.get(&key) else {
        // Slices have an owner reference; Endpoints go with their Service by name.
        if let Some(orphan) = cluster.endpoints.get(&key).filter(|found| plan::is_ours(found)) {
            cluster.endpoints.delete(&orphan, Deletion::background()).await?;
        }
        return Ok(None);
    };
    let has_selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some_and(|s| !s.is_empty());
    let external = service.spec.as_ref().is_some_and(|spec| spec.type_.as_deref() == Some("ExternalName"));
    if !has_selector || external || is_deleting(&*service) {
        return Ok(None);
    }
    let pods: Vec<Arc<Pod>> =
        cluster.pods.in_namespace(&key.namespace).into_iter().filter(|pod| selects(&service, pod)).collect();
    let backends = backends(&service, &pods, &|node| {
        let node = cluster.nodes.get(&Key::new("", node))?;
        labels(&*node).get(ZONE).cloned()
    });
    write_slices(cluster, &service, &backends).await?;
    write_endpoints(cluster, &service, &backends, &key).await?;
    Ok(None)
}

async fn write_slices(cluster: &Cluster, service: &Service, backends: &[plan::Backend]) -> Result<(), Error> {
    let mut present: Vec<_> = cluster.slices.owned_by(uid(service));
    present.retain(|slice| !is_deleting(&**slice));
    let slices = slices(service, backends, &present);
    for slice in &slices.create {
        create_slice(cluster, slice).await?;
    }
    for (current, updated) in &slices.keep {
        cluster.slices.update(current, updated).await?;
    }
    for surplus in &slices.delete {
        cluster.slices.delete(surplus, Deletion::background()).await?;
    }
    Ok(())
}

async fn create_slice(cluster: &Cluster, slice: &EndpointSlice) -> Result<(), Error> {
    let encoding = |source| Error::Encoding { what: "an EndpointSlice", source };
    // Sent as JSON: an empty slice says null for its lists, which typed values cannot.
    let mut body = serde_json::to_value(slice).map_err(encoding)?;
    for list in ["endpoints", "ports"] {
        if body[list].as_array().is_none_or(Vec::is_empty) {
            body[list] = Value::Null;
        }
    }
    let request = Request::new(format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", namespace(slice)));
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let request = request
        .create(&params, body.to_string().into_bytes())
        .map_err(|error| Error::api("create an EndpointSlice", kube::Error::BuildRequest(error)))?;
    let created: Value =
        cluster.client.request(request).await.map_err(|error| Error::api("create an EndpointSlice", error))?;
    cluster.slices.learn(serde_json::from_value(created).map_err(encoding)?);
    Ok(())
}

async fn write_endpoints(
    cluster: &Cluster,
    service: &Service,
    backends: &[plan::Backend],
    key: &Key,
) -> Result<(), Error> {
    let wanted = endpoints(service, backends);
    match cluster.endpoints.get(key) {
        None => {
            cluster.endpoints.create(&key.namespace, &wanted).await?;
        }
        Some(current) => {
            let mut updated = (*current).clone();
            updated.subsets = wanted.subsets;
            updated.metadata.labels = wanted.metadata.labels;
            cluster.endpoints.update(&current, &updated).await?;
        }
    }
    Ok(())
}
