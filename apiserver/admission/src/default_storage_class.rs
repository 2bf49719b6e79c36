//! A claim that names no storage class gets the cluster's default.

use api_meta::{Object, Status};
use async_trait::async_trait;

use crate::attributes::Attributes;
use crate::class::default_class;
use crate::plugin::Plugin;

pub(crate) struct DefaultStorageClass;

#[async_trait]
impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.creates("", "persistentvolumeclaims")
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        let annotation = "storageclass.kubernetes.io/is-default-class";
        default_class(
            attributes.registry,
            object,
            "storage.k8s.io",
            "storageclasses",
            annotation,
            &["spec", "storageClassName"],
        );
        Ok(())
    }
}
