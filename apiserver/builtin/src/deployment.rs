//! `Deployment`.

use apiserver_model::Strategy;

pub(crate) struct Deployments;

impl Strategy for Deployments {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}
