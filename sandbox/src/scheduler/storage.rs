//! Storage objects from the shared caches.

use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};

use crate::{cache::Key, cluster::Cluster};

use super::volumes::Storage;

pub(super) struct Informers<'a>(pub(super) &'a Cluster);

impl Storage for Informers<'_> {
    fn claim(&self, key: &Key) -> Option<Arc<PersistentVolumeClaim>> {
        self.0.claims.get(key)
    }

    fn volume(&self, name: &str) -> Option<Arc<PersistentVolume>> {
        self.0.persistent_volumes.get(&Key::new("", name))
    }

    fn class(&self, name: &str) -> Option<Arc<StorageClass>> {
        self.0.storage_classes.get(&Key::new("", name))
    }

    fn volumes(&self) -> Vec<Arc<PersistentVolume>> {
        self.0.persistent_volumes.all()
    }
}
