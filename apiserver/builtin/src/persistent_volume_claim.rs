//! `PersistentVolumeClaim`.

use apiserver_model::Strategy;

pub(crate) struct PersistentVolumeClaims;

impl Strategy for PersistentVolumeClaims {
    fn has_status(&self) -> bool {
        true
    }
}
