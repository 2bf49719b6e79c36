//! Dynamic resource allocation (`resource.k8s.io`).

use apiserver_model::Strategy;

pub(crate) struct DeviceClasses;

impl Strategy for DeviceClasses {
    fn has_generation(&self) -> bool {
        true
    }
}

pub(crate) struct ResourceClaims;

impl Strategy for ResourceClaims {
    fn has_status(&self) -> bool {
        true
    }
}

pub(crate) struct ResourceClaimTemplates;

impl Strategy for ResourceClaimTemplates {}

pub(crate) struct ResourceSlices;

impl Strategy for ResourceSlices {
    fn has_generation(&self) -> bool {
        true
    }
}
