//! Removal: somebody says by its name which cluster leaves, and whether it is asked to give back what the platform has put
//! there. What they say stands in annotations; from there on it is the controller's work.

use api_types::cluster::{CONFIRM_REMOVAL, Cluster, FORCE_REMOVAL};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::Status;
use kube::{Client, ResourceExt};
use lib_names::ClusterName;
use lib_telemetry::chain;
use serde::Deserialize;
use serde_json::json;

use crate::error::{Cause, Error};
use crate::{Caller, Fleet, NAMESPACE};

/// Which cluster somebody wants removed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemovalRequest {
    /// The cluster's name on the hub.
    #[serde(default)]
    pub name: String,
    /// The same, as the person has typed it.
    #[serde(default)]
    pub confirm: String,
    /// Which cluster of that name was looked at; one that was made since is left alone.
    pub uid: Option<String>,
    /// Forget it at once: it is asked for nothing, and keeps what the platform has put there.
    #[serde(default)]
    pub force: bool,
}

/// A request that makes sense. Nothing has happened yet.
pub struct Removal {
    name: ClusterName,
    uid: Option<String>,
    force: bool,
}

impl Removal {
    /// Reads a request.
    pub fn read(request: RemovalRequest) -> Result<Self, Error> {
        let RemovalRequest { name, confirm, uid, force } = request;
        let name: ClusterName = name.parse().map_err(|error| Cause::new("name", format!("{name:?} {error}")))?;
        if name.is_global() {
            return Err(Cause::new("name", "\"global\" is the hub itself, and stays").into());
        }
        if confirm != name.as_str() {
            let message = format!("must be the name of the cluster, {:?}, and is {confirm:?}", name.as_str());
            return Err(Cause::new("confirm", message).into());
        }
        Ok(Self { name, uid, force })
    }
}

impl Fleet {
    /// Removes a cluster in the caller's name, or only looks whether they may: the hub's own rules decide. Returns the
    /// cluster as it is then; what is left to do, its condition Removing says.
    pub async fn remove(&self, caller: &Caller, removal: &Removal, dry_run: bool) -> Result<Cluster, Error> {
        let clusters: Api<Cluster> = Api::namespaced(caller.clone().client_of(&self.inner.hub), NAMESPACE);
        let mut annotations = json!({CONFIRM_REMOVAL: removal.name.as_str()});
        if removal.force {
            annotations[FORCE_REMOVAL] = removal.name.as_str().into();
        }
        let mut patch = json!({"metadata": {"annotations": annotations}});
        if let Some(uid) = &removal.uid {
            patch["metadata"]["uid"] = uid.as_str().into();
        }
        let params = PatchParams { dry_run, ..Default::default() };
        let patched = clusters.patch(removal.name.as_str(), &params, &Patch::Merge(&patch)).await;
        let cluster = patched.map_err(|error| match error {
            kube::Error::Api(status) if is_about_uid(&status) => {
                Cause::new("uid", format!("cluster {} is another one by now: look at it again", removal.name)).into()
            }
            error => Error::hub("confirm that the cluster is removed")(error),
        })?;
        // Without the annotation there is nothing more that could be asked.
        if dry_run {
            return Ok(cluster);
        }
        match delete(&clusters, &cluster).await {
            Ok(()) => {
                tracing::info!(
                    cluster = %removal.name, user = caller.name(), forced = removal.force,
                    "a cluster is to be removed"
                );
                Ok(cluster)
            }
            Err(error) => {
                // What is not removed now had better not be removed by a slip later.
                withdraw(&clusters, &cluster).await;
                Err(Error::hub("delete the cluster")(error))
            }
        }
    }

    /// Undoes a creation.
    pub(crate) async fn take_back(&self, cluster: &Cluster) {
        let name = cluster.name_any();
        if let Err(error) = confirm_and_delete(&self.inner.client, cluster).await {
            tracing::warn!(cluster = %name, error = %chain(&error), "could not take a cluster back");
        }
    }
}

/// Whether an object was not the one that was meant.
fn is_about_uid(status: &Status) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.field == "metadata.uid")
}

/// The finalizer's owner finishes the removal.
async fn confirm_and_delete(client: &Client, cluster: &Cluster) -> Result<(), kube::Error> {
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), NAMESPACE);
    let name = cluster.name_any();
    let patch = json!({"metadata": {"uid": cluster.uid(), "annotations": {CONFIRM_REMOVAL: name}}});
    clusters.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    delete(&clusters, cluster).await
}

/// This one, and no namesake.
async fn delete(clusters: &Api<Cluster>, cluster: &Cluster) -> Result<(), kube::Error> {
    let only = Preconditions { uid: cluster.uid(), resource_version: None };
    clusters.delete(&cluster.name_any(), &DeleteParams::default().preconditions(only)).await.map(drop)
}

async fn withdraw(clusters: &Api<Cluster>, cluster: &Cluster) {
    if cluster.metadata.deletion_timestamp.is_some() {
        return;
    }
    let patch = json!({"metadata": {
        "uid": cluster.uid(), "annotations": {CONFIRM_REMOVAL: null, FORCE_REMOVAL: null},
    }});
    if let Err(error) = clusters.patch(&cluster.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
        tracing::debug!(cluster = %cluster.name_any(), error = %chain(&error), "could not withdraw a confirmation");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, confirm: &str) -> Result<Removal, Error> {
        Removal::read(RemovalRequest { name: name.into(), confirm: confirm.into(), uid: None, force: false })
    }

    #[track_caller]
    fn refused(name: &str, confirm: &str, field: &str, says: &str) {
        let Err(Error::Invalid(causes)) = read(name, confirm) else { panic!("{name:?} {confirm:?}") };
        assert_eq!(causes.len(), 1);
        assert_eq!(causes[0].field, field);
        assert!(causes[0].message.contains(says), "{}", causes[0].message);
    }

    #[test]
    fn case_79_a_removal_says_the_name_twice() {
        assert!(read("edge", "edge").is_ok());
        for confirm in ["", "Edge", "edge ", "edg", "edge-2"] {
            refused("edge", confirm, "confirm", "must be the name of the cluster, \"edge\"");
        }
        refused("", "", "name", "\"\"");
        refused("global", "global", "name", "the hub itself");
    }
}
