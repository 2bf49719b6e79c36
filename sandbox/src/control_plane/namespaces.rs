//! Empties namespaces that are being deleted, then lets them go.
//!
//! Each pass deletes what is there, counts what remains and reports it in upstream's conditions. A pass follows every
//! change of the namespace and of anything in it, as the garbage collector's watches see it.

mod report;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    api::{DeleteParams, ListParams, PropagationPolicy},
    core::{ObjectList, Request},
};
use serde_json::{Value, json};

use crate::{
    cache::{Informer, Key},
    clock::Clock,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    meta::{is_deleting, name},
    queue::Queue,
};

use super::catalog::{Meta, Served, discover};
use report::{Found, conditions};

/// Changes come in bunches; one pass serves them all.
const GATHER: Duration = Duration::from_millis(20);
/// Not everything is watched (events are not), so look again in any case.
const LOOK: Duration = Duration::from_secs(10);
const FINALIZER: &str = "kubernetes";

/// Tells the controller that something in a namespace has changed.
#[derive(Clone)]
pub(super) struct Contents {
    namespaces: Arc<Informer<Namespace>>,
    queue: Arc<Queue<String>>,
}

impl Contents {
    pub(super) fn changed(&self, namespace: &str) {
        if self.namespaces.get(&Key::new("", namespace)).is_some_and(|found| is_deleting(&*found)) {
            self.queue.add_after(namespace.to_owned(), GATHER);
        }
    }
}

pub(super) fn start(cluster: &Cluster) -> Contents {
    let queue = Arc::new(Queue::new(&Clock::default()));
    let contents = Contents { namespaces: cluster.namespaces.clone(), queue: queue.clone() };
    let wake = queue.clone();
    cluster.namespaces.on_change(move |_, new| {
        if let Some(namespace) = new.filter(|namespace| is_deleting(&***namespace)) {
            wake.add(name(&**namespace).to_owned());
        }
    });
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    cluster.tasks.clone().spawn(async move {
        cluster.namespaces.synced().await;
        controller::run("namespace", queue, 2, token, |key| reconcile(&cluster, key)).await;
    });
    contents
}

async fn reconcile(cluster: &Cluster, key: String) -> Result<Next, Error> {
    let Some(namespace) = cluster.namespaces.get(&Key::new("", &key)).filter(|found| is_deleting(&**found)) else {
        return Ok(None);
    };
    let held = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
    if held.is_none_or(|finalizers| !finalizers.iter().any(|finalizer| finalizer == FINALIZER)) {
        return Ok(None);
    }
    let served: Vec<Served> = discover(&cluster.client).await?.into_iter().filter(|served| served.namespaced).collect();
    let found = empty(cluster, &key, &served).await?;
    let mut reported = (*namespace).clone();
    let status = reported.status.get_or_insert_default();
    status.phase = Some("Terminating".to_owned());
    status.conditions = Some(conditions(status.conditions.take(), &found));
    cluster.namespaces.update_status(&namespace, &reported).await?;
    if found.is_empty() {
        finalize(cluster, &namespace).await?;
        return Ok(None);
    }
    Ok(Some(LOOK))
}

/// Deletes everything in the namespace and gives what is left.
async fn empty(cluster: &Cluster, namespace: &str, served: &[Served]) -> Result<Found, Error> {
    let mut found = Found::default();
    for resource in served {
        let present = list(cluster, namespace, resource).await?;
        if present.is_empty() {
            continue;
        }
        if present.iter().any(|meta| meta.metadata.deletion_timestamp.is_none())
            && let Err(error) = delete_all(cluster, namespace, resource, &present).await
        {
            found.failures.push(error.message());
        }
        let left = list(cluster, namespace, resource).await?;
        if left.is_empty() {
            continue;
        }
        let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
        for finalizer in left.iter().flat_map(|meta| meta.metadata.finalizers.iter().flatten()) {
            *finalizers.entry(finalizer.clone()).or_insert(0) += 1;
        }
        found.remain(resource.qualified(), left.len(), finalizers);
    }
    Ok(found)
}

async fn list(cluster: &Cluster, namespace: &str, served: &Served) -> Result<Vec<Meta>, Error> {
    let build = |error| Error::api("list what is in a namespace", kube::Error::BuildRequest(error));
    let request = served.requests(Some(namespace)).list_metadata(&ListParams::default()).map_err(build)?;
    match cluster.client.request::<ObjectList<Meta>>(request).await {
        Ok(list) => Ok(list.items),
        // The resource went away between discovery and now.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 405 => Ok(Vec::new()),
        Err(error) => Err(Error::api("list what is in a namespace", error)),
    }
}

async fn delete_all(cluster: &Cluster, namespace: &str, served: &Served, present: &[Meta]) -> Result<(), Error> {
    let build = |error| Error::api("empty a namespace", kube::Error::BuildRequest(error));
    let params = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    let target = served.requests(Some(namespace));
    if served.collectable {
        let request = target.delete_collection(&params, &ListParams::default()).map_err(build)?;
        return gone_or(cluster.client.request::<Value>(request).await);
    }
    for meta in present {
        let name = meta.metadata.name.as_deref().unwrap_or_default();
        let request = target.delete(name, &params).map_err(build)?;
        gone_or(cluster.client.request::<Value>(request).await)?;
    }
    Ok(())
}

fn gone_or(result: Result<Value, kube::Error>) -> Result<(), Error> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::api("empty a namespace", error)),
    }
}

async fn finalize(cluster: &Cluster, namespace: &Namespace) -> Result<(), Error> {
    let finalizers = namespace.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten());
    let kept: Vec<&String> = finalizers.filter(|finalizer| *finalizer != FINALIZER).collect();
    let body = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name(namespace), "uid": namespace.metadata.uid},
        "spec": {"finalizers": kept},
    });
    let build = |error| Error::api("finalize a namespace", kube::Error::BuildRequest(error));
    let request = Request::new("/api/v1/namespaces")
        .replace_subresource(
            "finalize",
            name(namespace),
            &kube::api::PostParams::default(),
            body.to_string().into_bytes(),
        )
        .map_err(build)?;
    match cluster.client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::api("finalize a namespace", error)),
    }
}
