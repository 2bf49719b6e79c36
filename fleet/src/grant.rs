//! The platform's administrators administer every cluster: one binding, by server-side apply.
//!
//! In a member this is done by the hub's own named identity, with the narrow role that the member gives it. A cluster
//! that was imported has given the hub a credential and no role, so the role is laid first, with that credential.

use std::sync::PoisonError;
use std::time::Duration;

use api_types::PLATFORM_ADMINS;
use api_types::cluster::{Cluster, Connection};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use lib_names::ClusterName;
use lib_telemetry::chain;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::manifest::{inventory_objects, member_objects};
use crate::plan::is_ready;
use crate::{ADMINS_BINDING, Caller, FLEET_USER, Inner, MANAGER};
use lib_kubernetes::ClusterApi;

/// Clusters at a time whose binding is put right, if it has to be.
pub(crate) const REPAIRS: usize = 4;
/// How long it may take; the cluster may vanish in the middle of it.
const DEADLINE: Duration = Duration::from_secs(4);

impl Inner {
    /// Once per cluster and process; a failure is tried again with the next look. `shows` is the uid that the cluster has
    /// just shown: one that was rebuilt has lost what it had. A cluster that was ready when the hub stopped has its binding,
    /// unless somebody took it away: such clusters come back all at once, and wait for each other.
    pub(crate) async fn grant_admins(&self, cluster: &Cluster, name: &ClusterName, shows: Option<&str>) {
        let granted = (cluster.uid().unwrap_or_default(), shows.map(str::to_owned));
        if self.granted.lock().unwrap_or_else(PoisonError::into_inner).contains(&granted) {
            return;
        }
        let _turn = match cluster.status.as_ref().is_some_and(is_ready) {
            true => match self.repairs.try_acquire() {
                Ok(turn) => Some(turn),
                Err(_) => return,
            },
            false => None,
        };
        let done = timeout(DEADLINE, self.try_grant(cluster, name)).await;
        match done.unwrap_or_else(|elapsed| Err(kube::Error::Service(elapsed.into()))) {
            Ok(()) => drop(self.granted.lock().unwrap_or_else(PoisonError::into_inner).insert(granted)),
            Err(error) => {
                tracing::warn!(cluster = %name, error = %chain(&error), "could not bind the administrators");
            }
        }
    }

    async fn try_grant(&self, cluster: &Cluster, name: &ClusterName) -> Result<(), kube::Error> {
        let api = self.briefly(name);
        match Connection::of(cluster) {
            Some(Connection::Direct) => {
                self.lay_roles(&api).await?;
                bind_admins(Caller::fleet().client_of(&api)).await?;
                // Last: where the credential may not give it, the cluster is administered all the same.
                lay(&api.client(), &inventory_objects()).await
            }
            Some(Connection::Tunnel) => bind_admins(Caller::fleet().client_of(&api)).await,
            // The hub has its binding since it was installed.
            Some(Connection::InProcess) | None => Ok(()),
        }
    }

    /// The roles of the hub's own parts and their bindings, and nothing else of what a registered member has.
    async fn lay_roles(&self, api: &ClusterApi) -> Result<(), kube::Error> {
        let ours = member_objects().into_iter().filter(|object| object["metadata"]["name"] == FLEET_USER);
        let others = self.config.member_rights.iter().cloned();
        lay(&api.client(), &ours.chain(others).collect::<Vec<_>>()).await
    }
}

/// Applies roles and bindings as they are wanted, in their order.
pub(crate) async fn lay(client: &Client, objects: &[Value]) -> Result<(), kube::Error> {
    for object in objects {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", &kind));
        let objects: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        objects.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await?;
    }
    Ok(())
}

pub(crate) async fn bind_admins(client: Client) -> Result<(), kube::Error> {
    let bindings: Api<ClusterRoleBinding> = Api::all(client);
    let params = PatchParams::apply(MANAGER).force();
    bindings.patch(ADMINS_BINDING, &params, &Patch::Apply(&admins_binding())).await.map(drop)
}

/// The platform's administrators are the cluster's.
pub(crate) fn admins_binding() -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": ADMINS_BINDING},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "Group", "apiGroup": group, "name": PLATFORM_ADMINS}],
    })
}
