//! Creating and deleting pods for a controller, several at a time.

use std::sync::Arc;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;

use crate::{
    cache::{Deletion, Kind},
    cluster::Cluster,
    error::Error,
    events::Recorder,
    meta::{name, namespace},
};

/// Requests of one controller under way at the same time.
pub(super) const WIDTH: usize = 8;

/// Creates pods and tells of each on `owner`. The first is tried alone, then twice as many each time: where one fails,
/// as over a quota, all after it would, and only those tried with it are. Returns the first failure.
pub(super) async fn create_pods<O: Kind>(
    cluster: &Cluster,
    events: &Recorder,
    owner: &O,
    pods: Vec<Pod>,
) -> Result<(), Error> {
    let (mut rest, mut size) = (pods.into_iter(), 1);
    while rest.len() > 0 {
        let results = stream::iter(rest.by_ref().take(size).collect::<Vec<Pod>>())
            .map(|pod| async move { create_pod(cluster, events, owner, &pod).await })
            .buffer_unordered(WIDTH)
            .collect::<Vec<_>>()
            .await;
        results.into_iter().collect::<Result<(), Error>>()?;
        size *= 2;
    }
    Ok(())
}

async fn create_pod<O: Kind>(cluster: &Cluster, events: &Recorder, owner: &O, pod: &Pod) -> Result<(), Error> {
    match cluster.pods.create(namespace(owner), pod).await {
        Ok(created) => {
            events.normal(owner, "SuccessfulCreate", format!("Created pod: {}", name(&*created)));
            Ok(())
        }
        Err(error) => {
            if !error.is_namespace_terminating() {
                events.warning(owner, "FailedCreate", format!("Error creating: {}", error.message()));
            }
            Err(error)
        }
    }
}

/// Deletes pods gracefully and tells of each on `owner`.
pub(super) async fn delete_pods<O: Kind>(
    cluster: &Cluster,
    events: &Recorder,
    owner: &O,
    pods: Vec<Arc<Pod>>,
) -> Result<(), Error> {
    let results = stream::iter(pods)
        .map(|pod| async move {
            let result = cluster.pods.delete(&pod, Deletion::graceful()).await;
            match &result {
                Ok(()) => events.normal(owner, "SuccessfulDelete", format!("Deleted pod: {}", name(&*pod))),
                Err(error) => {
                    events.warning(owner, "FailedDelete", format!("Error deleting: {}", error.message()));
                }
            }
            result
        })
        .buffer_unordered(WIDTH)
        .collect::<Vec<_>>()
        .await;
    results.into_iter().collect()
}
