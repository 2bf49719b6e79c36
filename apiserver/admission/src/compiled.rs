//! What is made of all objects of one kind, made anew when one of them changes.
//!
//! Rules that others write are read on every write of any kind: they must not be decoded each time.

use std::sync::{Arc, Mutex, PoisonError};

use api_meta::{Object, Status};
use apiserver_registry::Registry;

pub(crate) struct Compiled<T> {
    group: &'static str,
    plural: &'static str,
    kept: Mutex<Option<(u64, Arc<T>)>>,
}

impl<T> Compiled<T> {
    pub(crate) fn of(group: &'static str, plural: &'static str) -> Self {
        Self { group, plural, kept: Mutex::new(None) }
    }

    /// As of the latest change, which is compiled by the first who asks.
    ///
    /// # Errors
    ///
    /// 500 when stored objects cannot be read: what they would forbid is then not known.
    pub(crate) fn get(&self, registry: &Registry, compile: impl FnOnce(Vec<Object>) -> T) -> Result<Arc<T>, Status> {
        let served = registry.catalog().find(self.group, "v1", self.plural).ok_or_else(Status::no_such_resource)?;
        let collection = served.collection.as_ref().ok_or_else(Status::no_such_resource)?;
        // Read before the objects: what comes in between is compiled once more, never missed.
        let version = collection.version();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = kept.as_ref().filter(|(of, _)| *of >= version) {
            return Ok(value.clone());
        }
        let objects = collection.list("").iter().map(|entry| entry.object()).collect::<Result<_, _>>();
        let value = Arc::new(compile(objects.map_err(Status::internal)?));
        *kept = Some((version, value.clone()));
        Ok(value)
    }
}
