//! `Ingress` and `IngressClass`.

use apiserver_model::Strategy;

pub(crate) struct Ingresses;

impl Strategy for Ingresses {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}

pub(crate) struct IngressClasses;

impl Strategy for IngressClasses {
    fn has_generation(&self) -> bool {
        true
    }
}
