//! What Pods and everything that makes Pods share; and `PodTemplate` itself.

use apiserver_model::Strategy;

pub(crate) struct PodTemplates;

impl Strategy for PodTemplates {
    fn has_generation(&self) -> bool {
        true
    }
}
