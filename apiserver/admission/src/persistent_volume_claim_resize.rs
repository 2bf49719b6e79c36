//! A claim grows only when it is bound and its storage class lets it.

use api_meta::{Object, Status, Value};
use api_quota::Amounts;
use async_trait::async_trait;

use crate::attributes::{Attributes, Operation};
use crate::plugin::Plugin;

pub(crate) struct PersistentVolumeClaimResize;

#[async_trait]
impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.operation == Operation::Update && attributes.is("", "persistentvolumeclaims")
    }

    async fn validate(&self, attributes: &Attributes<'_>, claim: &Object) -> Result<(), Status> {
        let Some(old) = attributes.old else { return Ok(()) };
        let size = |claim: &Object| {
            Amounts::of(claim.at(&["spec", "resources", "requests"])).get("storage").unwrap_or_default()
        };
        if size(claim) <= size(old) {
            return Ok(());
        }
        if old.str_at(&["status", "phase"]) != Some("Bound") {
            return Err(attributes.forbidden(claim, "Only bound persistent volume claims can be expanded"));
        }
        if !may_grow(attributes, claim, old) {
            let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                       support resize";
            return Err(attributes.forbidden(claim, why));
        }
        Ok(())
    }
}

fn may_grow(attributes: &Attributes<'_>, claim: &Object, old: &Object) -> bool {
    let name = class(claim);
    if name.is_empty() || name != class(old) {
        return false;
    }
    let classes = attributes.registry.catalog().find("storage.k8s.io", "v1", "storageclasses");
    classes.is_some_and(|classes| {
        let found = attributes.registry.get_cached(&classes, "", name);
        found.is_ok_and(|found| found.object.get("allowVolumeExpansion") == Some(&Value::Bool(true)))
    })
}

fn class(claim: &Object) -> &str {
    match claim.annotation("volume.beta.kubernetes.io/storage-class") {
        Some(class) => class,
        None => claim.str_at(&["spec", "storageClassName"]).unwrap_or_default(),
    }
}
