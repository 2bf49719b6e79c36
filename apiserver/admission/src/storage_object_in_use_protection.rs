//! Claims and volumes stay while they are in use: a finalizer holds them until nobody uses them any more.

use api_meta::{Object, Status};
use async_trait::async_trait;

use crate::attributes::Attributes;
use crate::plugin::Plugin;

pub(crate) struct StorageObjectInUseProtection;

#[async_trait]
impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        finalizer(attributes).is_some()
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        let mut finalizers: Vec<String> = object.finalizers().into_iter().map(str::to_owned).collect();
        if let Some(own) = finalizer(attributes).filter(|own| !finalizers.iter().any(|f| f == own)) {
            finalizers.push(own.to_owned());
            object.set_finalizers(finalizers);
        }
        Ok(())
    }
}

fn finalizer(attributes: &Attributes<'_>) -> Option<&'static str> {
    if attributes.creates("", "persistentvolumeclaims") {
        Some("kubernetes.io/pvc-protection")
    } else if attributes.creates("", "persistentvolumes") {
        Some("kubernetes.io/pv-protection")
    } else {
        None
    }
}
