//! `ReplicaSet`, and `ReplicationController`, its elder.

use apiserver_model::Strategy;

pub(crate) struct ReplicaSets;

impl Strategy for ReplicaSets {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}

pub(crate) struct ReplicationControllers;

impl Strategy for ReplicationControllers {
    fn has_status(&self) -> bool {
        true
    }

    fn has_generation(&self) -> bool {
        true
    }
}
