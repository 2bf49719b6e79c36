//! Creations and updates: each a compare-and-swap on the state it was made from.

use std::sync::Arc;

use api_meta::{Object, Status, now_seconds};
use store_core::{KeyValue, Revision, Swap};

use crate::catalog::{Catalog, Served};
use crate::entry::{Entry, encode};
use crate::error::from_store;
use crate::keys;
use crate::list::in_served_version;
use crate::mirror::Mirror;

/// The generic store. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    mirror: Arc<Mirror>,
    catalog: Arc<Catalog>,
}

/// The state a change is made from.
pub struct Current {
    pub entry: Arc<Entry>,
    /// The object in the served version.
    pub object: Object,
}

pub enum Swapped {
    /// The object as it is stored now, in the served version.
    Done(Object),
    /// Somebody else was faster; `None` when the object is gone.
    Lost(Option<Box<Current>>),
}

/// How often a name is drawn for `generateName` before giving up.
const NAME_DRAWS: usize = 8;
const NAME_LIMIT: usize = 63;
const NAME_RANDOM: usize = 5;

impl Registry {
    pub fn new(mirror: Arc<Mirror>, catalog: Arc<Catalog>) -> Self {
        Self { mirror, catalog }
    }

    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The current state, at least as new as every write acknowledged before the call.
    pub async fn get(&self, served: &Served, namespace: &str, name: &str) -> Result<Current, Status> {
        self.mirror.wait_current().await?;
        self.get_cached(served, namespace, name)
    }

    /// The state at hand, without asking the store for a newer one.
    pub fn get_cached(&self, served: &Served, namespace: &str, name: &str) -> Result<Current, Status> {
        let entry =
            served.stored()?.get(namespace, name).ok_or_else(|| Status::not_found(&served.group_resource(), name))?;
        current(served, entry)
    }

    /// Fills in what the server gives every new object.
    pub fn stamp(&self, served: &Served, object: &mut Object) {
        object.set_meta_str("uid", &uuid::Uuid::new_v4().to_string());
        object.set_meta_str("creationTimestamp", &now_seconds());
        for gone in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            object.metadata_mut().remove(gone);
        }
        if object.name().is_empty() && !object.generate_name().is_empty() {
            let name = generated_name(object.generate_name());
            object.set_meta_str("name", &name);
        }
        if !served.info().namespaced() {
            object.metadata_mut().remove("namespace");
        }
    }

    /// Stores a new object, which has passed admission and validation.
    ///
    /// # Errors
    ///
    /// 409 when the name is taken.
    pub async fn create(&self, served: &Served, mut object: Object) -> Result<Object, Status> {
        let generated = !object.generate_name().is_empty()
            && object.name().starts_with(&*truncated(object.generate_name()))
            && object.name() != object.generate_name();
        for draw in 1.. {
            match self.create_once(served, &object).await? {
                Some(stored) => return Ok(stored),
                None if generated && draw < NAME_DRAWS => {
                    let name = generated_name(object.generate_name());
                    object.set_meta_str("name", &name);
                }
                None => break,
            }
        }
        Err(self.taken(served, &object).await)
    }

    /// Whoever waits for the old object to go is told that it is on its way.
    async fn taken(&self, served: &Served, object: &Object) -> Status {
        let mut status = Status::already_exists(&served.group_resource(), object.name());
        let current = self.get(served, object.namespace(), object.name()).await;
        if current.is_ok_and(|current| current.object.deletion_timestamp().is_some()) {
            status.message = format!("object is being deleted: {}", status.message);
        }
        status
    }

    async fn create_once(&self, served: &Served, object: &Object) -> Result<Option<Object>, Status> {
        let key = self.key(served, object.namespace(), object.name())?;
        let stored = to_storage(served, object.clone());
        let bytes = encode(stored.clone())?;
        let swap = self.mirror.store().create(key.into(), bytes).await.map_err(|e| from_store(&e))?;
        match swap {
            Swap::Done(revision) => Ok(Some(self.settled(served, stored, revision).await)),
            Swap::Conflict(_) => Ok(None),
        }
    }

    /// What a creation would have stored.
    pub fn create_dry_run(&self, served: &Served, object: Object) -> Result<Object, Status> {
        if served.stored()?.get(object.namespace(), object.name()).is_some() {
            return Err(Status::already_exists(&served.group_resource(), object.name()));
        }
        Ok(object)
    }

    /// Replaces an object that must still be as `current` says.
    ///
    /// Without a difference nothing is written and the version stays.
    pub async fn replace(&self, served: &Served, current: &Current, mut new: Object) -> Result<Swapped, Status> {
        new.set_meta_str("resourceVersion", current.object.resource_version());
        if new == current.object {
            return Ok(Swapped::Done(new));
        }
        let stored = to_storage(served, new);
        let bytes = encode(stored.clone())?;
        let swap = self
            .mirror
            .store()
            .update_if(current.entry.key().clone(), Revision(current.entry.revision()), bytes)
            .await
            .map_err(|e| from_store(&e))?;
        match swap {
            Swap::Done(revision) => Ok(Swapped::Done(self.settled(served, stored, revision).await)),
            Swap::Conflict(found) => self.lost(served, found),
        }
    }

    pub(crate) fn lost(&self, served: &Served, found: Option<KeyValue>) -> Result<Swapped, Status> {
        let prefix = served.stored()?.prefix().len();
        let newer = found.map(|kv| current(served, Arc::new(Entry::new(&kv, prefix)))).transpose()?;
        Ok(Swapped::Lost(newer.map(Box::new)))
    }

    /// Waits until readers see the write, and gives the object its version.
    async fn settled(&self, served: &Served, stored: Object, revision: Revision) -> Object {
        self.mirror.settle(revision).await;
        let mut object = in_served_version(served, stored);
        object.set_meta_str("resourceVersion", &revision.0.to_string());
        object
    }

    pub(crate) fn key(&self, served: &Served, namespace: &str, name: &str) -> Result<String, Status> {
        let unsafe_part = |part: &str| part.contains('/') || part == "." || part == "..";
        if name.is_empty() || unsafe_part(name) || unsafe_part(namespace) {
            return Err(Status::bad_request(format!("invalid name: {name:?} in namespace {namespace:?}")));
        }
        Ok(format!("{}{}", served.stored()?.prefix(), keys::relative(namespace, name)))
    }
}

pub(crate) fn current(served: &Served, entry: Arc<Entry>) -> Result<Current, Status> {
    Ok(Current { object: in_served_version(served, entry.object()?), entry })
}

fn to_storage(served: &Served, object: Object) -> Object {
    let info = served.info();
    if info.storage_version == info.group_version() {
        object
    } else {
        served.resource.strategy.convert(object, &info.storage_version)
    }
}

fn truncated(prefix: &str) -> String {
    prefix.chars().take(NAME_LIMIT - NAME_RANDOM).collect()
}

/// Upstream: `names.SimpleNameGenerator`, with its alphabet that spells no words.
fn generated_name(prefix: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let random = uuid::Uuid::new_v4();
    let suffix: String = random
        .as_bytes()
        .iter()
        .take(NAME_RANDOM)
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect();
    format!("{}{suffix}", truncated(prefix))
}
