//! What a sandbox member's storage is called: its driver and its classes. Made once; who removes them is obeyed.
//!
//! As in Kubernetes itself, a plain cluster knows no snapshots. Where somebody defines their kinds they work; where
//! storage is to be the cluster's own they are defined here.

use std::time::Duration;

use k8s_openapi::{
    api::storage::v1::{CSIDriver, StorageClass},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::{
    cache::Kind,
    cluster::Cluster,
    error::{Error, chain},
};

use super::{DRIVER, facts::DEFAULT_CLASS, snapshots};

const RETRY: Duration = Duration::from_secs(1);

pub(super) fn start(cluster: &Cluster, default: bool) {
    let this = cluster.clone();
    cluster.spawn(async move {
        while let Err(error) = make(&this, default).await {
            tracing::warn!(error = %chain(&error), "storage not set up, trying again");
            this.clock.sleep(RETRY).await;
        }
    });
}

/// The driver is made last: where it is, all was made before.
async fn make(cluster: &Cluster, default: bool) -> Result<(), Error> {
    let drivers: Api<CSIDriver> = Api::all(cluster.client.clone());
    if drivers.get_opt(DRIVER).await.map_err(|error| Error::api("look for the storage driver", error))?.is_some() {
        return Ok(());
    }
    create::<StorageClass>(cluster, class(default)).await?;
    if default {
        for definition in snapshots::definitions()? {
            create::<CustomResourceDefinition>(cluster, definition).await?;
        }
        snapshots::served(cluster).await;
        create::<snapshots::VolumeSnapshotClass>(cluster, snapshots::class()).await?;
    }
    create::<CSIDriver>(cluster, driver()).await
}

async fn create<K: Kind>(cluster: &Cluster, object: Value) -> Result<(), Error> {
    let object =
        serde_json::from_value(object).map_err(|source| Error::Encoding { what: "a storage object", source })?;
    match Api::<K>::all(cluster.client.clone()).create(&PostParams::default(), &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(Error::api(format!("create {}", K::plural(&())), error)),
    }
}

fn class(default: bool) -> Value {
    let mut class = json!({
        "metadata": {"name": "standard"},
        "provisioner": DRIVER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": true,
    });
    if default {
        class["metadata"]["annotations"] = json!({DEFAULT_CLASS: "true"});
    }
    class
}

/// Nothing is attached to simulated nodes.
fn driver() -> Value {
    json!({
        "metadata": {"name": DRIVER},
        "spec": {"attachRequired": false, "podInfoOnMount": false, "fsGroupPolicy": "File",
                 "volumeLifecycleModes": ["Persistent"]},
    })
}
