//! What this server serves at the moment: built-in resources, and custom ones as their definitions come and go.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use api_meta::{GroupResource, GroupVersionResource, Status};
use apiserver_model::{Resource, ResourceInfo};
use tokio::sync::watch;

use crate::collection::Collection;
use crate::keys;
use crate::mirror::Mirror;

/// One resource in one version, with the objects it is served from.
#[derive(Clone)]
pub struct Served {
    pub resource: Resource,
    /// `None` for resources that keep nothing, such as reviews.
    pub collection: Option<Arc<Collection>>,
}

impl Served {
    pub fn info(&self) -> &ResourceInfo {
        &self.resource.info
    }

    pub fn group_resource(&self) -> GroupResource {
        self.resource.info.group_resource()
    }

    pub(crate) fn stored(&self) -> Result<&Arc<Collection>, Status> {
        self.collection.as_ref().ok_or_else(Status::method_not_allowed)
    }
}

type Table = BTreeMap<GroupVersionResource, Arc<Served>>;

pub struct Catalog {
    mirror: Arc<Mirror>,
    table: RwLock<Arc<Table>>,
    /// Counts changes, for those who keep documents made from the catalogue.
    generation: watch::Sender<u64>,
}

/// The prefixes that hold the objects of these resources.
pub fn prefixes(resources: &[Resource]) -> Vec<String> {
    let mut prefixes: Vec<_> =
        resources.iter().filter(|r| is_stored(&r.info)).map(|r| keys::collection(&r.info)).collect();
    prefixes.sort();
    prefixes.dedup();
    prefixes
}

fn is_stored(info: &ResourceInfo) -> bool {
    info.offers(apiserver_model::Verb::Get) && !info.storage_prefix.is_empty()
}

impl Catalog {
    pub fn new(mirror: Arc<Mirror>, resources: Vec<Resource>) -> Self {
        let table = resources
            .into_iter()
            .map(|resource| {
                let collection =
                    is_stored(&resource.info).then(|| mirror.collection(&keys::collection(&resource.info))).flatten();
                (resource.info.group_version_resource(), Arc::new(Served { resource, collection }))
            })
            .collect();
        Self { mirror, table: RwLock::new(Arc::new(table)), generation: watch::Sender::new(1) }
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Served>> {
        let key = GroupVersionResource { group: group.into(), version: version.into(), resource: plural.into() };
        self.table().get(&key).cloned()
    }

    /// One served version of each resource: the stored one if it is served.
    pub fn find_any_version(&self, group: &str, plural: &str) -> Option<Arc<Served>> {
        let table = self.table();
        let mut versions = table.values().filter(|s| s.info().group == group && s.info().plural == plural);
        let first = versions.next()?.clone();
        let stored = |s: &Served| s.info().storage_version == s.info().group_version();
        if stored(&first) {
            return Some(first);
        }
        Some(versions.find(|s| stored(s)).cloned().unwrap_or(first))
    }

    pub fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Served>> {
        self.table()
            .values()
            .find(|s| s.info().group == group && s.info().version == version && s.info().kind == kind)
            .cloned()
    }

    pub fn all(&self) -> Vec<Arc<Served>> {
        self.table().values().cloned().collect()
    }

    pub fn has_group_version(&self, group: &str, version: &str) -> bool {
        self.table().keys().any(|k| k.group == group && k.version == version)
    }

    /// Whether the group is this server's own, and not one that definitions of custom resources bring.
    pub fn is_builtin_group(&self, group: &str) -> bool {
        self.table().values().any(|s| s.info().group == group && !s.resource.schema.is_structural())
    }

    /// Counts changes of what is served.
    pub fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves these versions of one custom resource, and no others of it.
    pub async fn serve(&self, group: &str, plural: &str, resources: Vec<Resource>) -> Result<(), Status> {
        let mut served = Vec::with_capacity(resources.len());
        for resource in resources {
            let collection = Some(self.mirror.add(&keys::collection(&resource.info)).await?);
            served.push((resource.info.group_version_resource(), Arc::new(Served { resource, collection })));
        }
        self.change(|table| {
            table.retain(|key, _| !(key.group == group && key.resource == plural));
            table.extend(served);
        });
        Ok(())
    }

    pub async fn withdraw(&self, group: &str, plural: &str) {
        self.change(|table| table.retain(|key, _| !(key.group == group && key.resource == plural)));
        self.mirror.remove(&format!("{}{group}/{plural}/", keys::ROOT)).await;
    }

    fn change(&self, edit: impl FnOnce(&mut Table)) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut copy = (**table).clone();
        edit(&mut copy);
        *table = Arc::new(copy);
        drop(table);
        self.generation.send_modify(|n| *n += 1);
    }
}
