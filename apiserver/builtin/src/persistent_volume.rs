//! `PersistentVolume`.

use apiserver_model::Strategy;

pub(crate) struct PersistentVolumes;

impl Strategy for PersistentVolumes {
    fn has_status(&self) -> bool {
        true
    }
}
