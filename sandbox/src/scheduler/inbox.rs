//! What changed since the scheduler last looked: keys, not states, so it holds each object at most once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    cache::{Informer, Key, Kind},
    cluster::Cluster,
    meta::is_deleting,
};

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
    /// Wakes those who wait for a pod's claims to be bound, when a claim changed or a pod went.
    pub(super) turn: Notify,
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
        let waiting = inbox.clone();
        cluster.claims.on_change(move |_, _| waiting.turn.notify_waiters());
        let waiting = inbox.clone();
        cluster.pods.on_change(move |_, new| {
            if new.is_none_or(|pod| is_deleting(&**pod)) {
                waiting.turn.notify_waiters();
            }
        });
        inbox
    }

    fn listen<K: Kind>(self: &Arc<Self>, informer: &Informer<K>, keys: fn(&mut Changes) -> &mut Keys) {
        let inbox = self.clone();
        informer.on_change(move |old, new| {
            if let Some(object) = new.or(old) {
                keys(&mut inbox.lock()).add(Key::of(&**object));
                inbox.changed.notify_one();
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
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
