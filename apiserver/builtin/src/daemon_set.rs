//! `DaemonSet`.

use apiserver_model::Strategy;

pub(crate) struct DaemonSets;

impl Strategy for DaemonSets {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}
