//! `StatefulSet`.

use apiserver_model::Strategy;

pub(crate) struct StatefulSets;

impl Strategy for StatefulSets {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}
