//! What changed since the scheduler last looked: keys, not states, so it holds each object at most once.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    cache::{Key, Kind},
    cluster::Cluster,
};

use std::sync::Arc;

/// Keys in the order in which they were first heard of.
#[derive(Default)]
pub(super) struct Keys {
    order: Vec<Key>,
    known: HashSet<Key>,
}

impl Keys {
    fn add(&mut self, key: Key) {
        if self.known.insert(key.clone()) {
            self.order.push(key);
        }
    }
}

impl IntoIterator for Keys {
    type Item = Key;
    type IntoIter = std::vec::IntoIter<Key>;

    fn into_iter(self) -> Self::IntoIter {
        self.order.into_iter()
    }
}

#[derive(Default)]
pub(super) struct Changes {
    pub(super) nodes: Keys,
    pub(super) pods: Keys,
    pub(super) namespaces: Keys,
    pub(super) claims: Keys,
    pub(super) volumes: Keys,
    pub(super) classes: Keys,
}

#[derive(Default)]
pub(super) struct Inbox {
    changes: Mutex<Changes>,
    changed: Notify,
    /// Wakes those who wait for claims to be bound.
    pub(super) claims_changed: Notify,
}

impl Inbox {
    /// Begins to listen. Informers must not run yet.
    pub(super) fn follow(cluster: &Cluster) -> Arc<Self> {
        let inbox = Arc::new(Self::default());
        inbox.listen(&cluster.nodes, |changes| &mut changes.nodes);
        inbox.listen(&cluster.pods, |changes| &mut changes.pods);
        inbox.listen(&cluster.namespaces, |changes| &mut changes.namespaces);
        inbox.listen(&cluster.claims, |changes| &mut changes.claims);
        inbox.listen(&cluster.persistent_volumes, |changes| &mut changes.volumes);
        inbox.listen(&cluster.storage_classes, |changes| &mut changes.classes);
        let woken = inbox.clone();
        cluster.claims.on_change(move |_, _| woken.claims_changed.notify_waiters());
        inbox
    }

    fn listen<K: Kind>(self: &Arc<Self>, informer: &crate::cache::Informer<K>, keys: fn(&mut Changes) -> &mut Keys) {
        let inbox = self.clone();
        informer.on_change(move |old, new| {
            if let Some(object) = new.or(old) {
                keys(&mut inbox.lock()).add(Key::of(&**object));
                inbox.changed.notify_one();
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self) -> Changes {
        std::mem::take(&mut *self.lock())
    }

    /// Returns when there is something to take, or was.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
