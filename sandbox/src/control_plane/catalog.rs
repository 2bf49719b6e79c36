//! Which resources the cluster serves, as discovery tells it.

use kube::{
    Client,
    api::{ApiResource, PartialObjectMeta},
    core::{DynamicObject, Request},
    discovery::{Discovery, Scope, verbs},
};

use crate::error::Error;

/// Metadata of an object of any kind.
pub(super) type Meta = PartialObjectMeta<DynamicObject>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) resource: ApiResource,
    pub(super) namespaced: bool,
    pub(super) watchable: bool,
    pub(super) collectable: bool,
}

impl Served {
    /// Requests to this resource in a namespace, or cluster-wide.
    pub(super) fn requests(&self, namespace: Option<&str>) -> Request {
        use kube::Resource;
        let namespace = namespace.filter(|_| self.namespaced);
        Request::new(DynamicObject::url_path(&self.resource, namespace))
    }

    /// `configmaps.` or `deployments.apps`, as upstream prints resources in conditions.
    pub(super) fn qualified(&self) -> String {
        format!("{}.{}", self.resource.plural, self.resource.group)
    }
}

/// Everything that can be listed and deleted, each in its preferred version.
pub(super) async fn discover(client: &Client) -> Result<Vec<Served>, Error> {
    let discovery =
        Discovery::new(client.clone()).run().await.map_err(|error| Error::api("discover resources", error))?;
    let mut all: Vec<Served> = discovery
        .groups()
        .flat_map(kube::discovery::ApiGroup::recommended_resources)
        .filter(|(_, can)| can.supports_operation(verbs::LIST) && can.supports_operation(verbs::DELETE))
        .map(|(resource, can)| Served {
            namespaced: can.scope == Scope::Namespaced,
            watchable: can.supports_operation(verbs::WATCH),
            collectable: can.supports_operation(verbs::DELETE_COLLECTION),
            resource,
        })
        .collect();
    all.sort_by(|a, b| (&a.resource.group, &a.resource.plural).cmp(&(&b.resource.group, &b.resource.plural)));
    Ok(all)
}
