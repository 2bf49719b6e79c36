//! `Pod`.

use apiserver_model::Strategy;

pub(crate) struct Pods;

impl Strategy for Pods {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}
