//! `Job`.

use apiserver_model::Strategy;

pub(crate) struct Jobs;

impl Strategy for Jobs {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}
