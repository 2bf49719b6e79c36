//! Nobody grants what they do not hold (upstream asks this in the storage of roles and bindings).

use std::sync::Arc;

use api_meta::{Object, Status};
use apiserver_access::Rbac;
use async_trait::async_trait;

use crate::attributes::{Attributes, Operation};
use crate::plugin::Plugin;

pub(crate) struct RoleEscalation(pub(crate) Arc<Rbac>);

#[async_trait]
impl Plugin for RoleEscalation {
    fn name(&self) -> &'static str {
        "RoleEscalation"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.served.info().group == "rbac.authorization.k8s.io" && attributes.operation != Operation::Delete
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
        let resource = attributes.served.group_resource();
        self.0.check_escalation(attributes.authorizer, attributes.user, &resource, attributes.old, object)
    }
}
