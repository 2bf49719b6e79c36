//! `CustomResourceDefinition`: defaults and policy; its schema is judged by the crd crate.

use apiserver_model::Strategy;

pub(crate) struct CustomResourceDefinitions;

impl Strategy for CustomResourceDefinitions {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
