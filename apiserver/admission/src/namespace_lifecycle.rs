//! Nothing is created in a namespace that is missing or on its way out, and some namespaces never go.

use api_meta::{Cause, Object, Status};
use async_trait::async_trait;

use crate::attributes::{Attributes, Operation};
use crate::plugin::Plugin;

/// Namespaces that a cluster cannot do without.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(crate) struct NamespaceLifecycle;

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.is("", "namespaces") || attributes.served.info().namespaced()
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        // Reviews speak about a namespace; they need not exist in one.
        if attributes.operation != Operation::Create
            || attributes.is("", "namespaces")
            || attributes.served.collection.is_none()
        {
            return Ok(());
        }
        lives(attributes, object).await
    }

    async fn validate(&self, attributes: &Attributes<'_>, _object: &Object) -> Result<(), Status> {
        let dies = attributes.operation == Operation::Delete && attributes.is("", "namespaces");
        if dies && IMMORTAL.contains(&attributes.name) {
            let resource = attributes.served.group_resource();
            return Err(Status::forbidden(&resource, attributes.name, "this namespace may not be deleted"));
        }
        Ok(())
    }
}

async fn lives(attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
    let registry = attributes.registry;
    let namespaces = registry.catalog().find("", "v1", "namespaces").ok_or_else(Status::no_such_resource)?;
    let name = attributes.namespace;
    let found = match registry.get_cached(&namespaces, "", name) {
        Ok(found) => found,
        // Perhaps it was made a moment ago, through another server.
        Err(_) => registry.get(&namespaces, "", name).await?,
    };
    if found.object.deletion_timestamp().is_none() {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut status = attributes.forbidden(object, why);
    if let Some(details) = &mut status.details {
        details.causes.push(Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {name} is being terminated"),
            field: "metadata.namespace".into(),
        });
    }
    Err(status)
}
