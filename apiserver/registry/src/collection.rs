//! The objects of one resource, what lately happened to them, and who wants to know.
//!
//! Subscribers have queues bounded in number and bytes. One that does not keep
//! up is cut off at once, with all that waited for it: its stream ends, and its
//! client goes on from where it was. Writers and other subscribers never wait.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use store_core::{Event, EventKind, KeyValue};
use tokio::sync::Notify;

use crate::entry::Entry;
use crate::keys;

/// How many changes, and how many bytes of them, a collection remembers for watches that start in the past. Older ones
/// are read from the store.
const HISTORY: usize = 1024;
const HISTORY_BYTES: usize = 8 << 20;
/// How far a subscriber may fall behind. One change may always wait, whatever its size.
const QUEUE: usize = 4096;
const QUEUE_BYTES: usize = 16 << 20;

/// One change of one object.
pub struct Change {
    pub revision: u64,
    /// The state after the change; `None` when the object was deleted.
    pub now: Option<Arc<Entry>>,
    /// The state before; `None` when the object was created.
    pub before: Option<Arc<Entry>>,
    /// What its watchers send, once one of them has made it.
    pub(crate) encoded: OnceLock<Bytes>,
}

impl Change {
    pub(crate) fn new(revision: u64, now: Option<Arc<Entry>>, before: Option<Arc<Entry>>) -> Self {
        Self { revision, now, before, encoded: OnceLock::new() }
    }

    /// Bytes that the change keeps alive.
    fn weight(&self) -> usize {
        size_of::<Self>() + [&self.now, &self.before].into_iter().flatten().map(|entry| entry.size()).sum::<usize>()
    }
}

/// The objects of one resource.
pub struct Collection {
    prefix: String,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<Box<str>, Arc<Entry>>,
    history: VecDeque<Arc<Change>>,
    history_bytes: usize,
    /// The history holds every change after this revision.
    complete_after: u64,
    subscribers: Vec<Subscriber>,
}

/// The state at one revision, and every change after it.
pub struct Subscription {
    pub revision: u64,
    pub changes: Changes,
}

impl Collection {
    pub(crate) fn new(prefix: String, revision: u64) -> Self {
        let inner = Inner { complete_after: revision, ..Inner::default() };
        Self { prefix, inner: RwLock::new(inner) }
    }

    // A poisoned lock means a panic while applying a change; the data itself is whole after each statement.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.read().entries.get(&*keys::relative(namespace, name)).cloned()
    }

    /// The objects of one namespace (all of them when it is empty), in key order.
    pub fn list(&self, namespace: &str) -> Vec<Arc<Entry>> {
        self.read().of(namespace)
    }

    pub fn len(&self) -> usize {
        self.read().entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The revision of the latest change here: as long as it stays, what was made of the objects stays true.
    pub fn version(&self) -> u64 {
        let inner = self.read();
        inner.history.back().map_or(inner.complete_after, |change| change.revision)
    }

    /// The changes after a revision; `None` when they are no longer all remembered here.
    pub fn changes_after(&self, revision: u64) -> Option<Vec<Arc<Change>>> {
        self.read().changes_after(revision)
    }

    /// The state now and every change after it, with nothing lost in between.
    ///
    /// `applied` is read under the collection's lock, so the snapshot has at least that revision.
    pub(crate) fn snapshot_and_subscribe(
        &self,
        namespace: &str,
        applied: impl FnOnce() -> u64,
    ) -> (Vec<Arc<Entry>>, Subscription) {
        let mut inner = self.write();
        let changes = inner.subscribe();
        (inner.of(namespace), Subscription { revision: applied(), changes })
    }

    /// The changes after a revision, then live ones; `None` when they are no longer all remembered here.
    pub(crate) fn replay_and_subscribe(&self, after: u64) -> Option<(Vec<Arc<Change>>, Subscription)> {
        let mut inner = self.write();
        let replay = inner.changes_after(after)?;
        let changes = inner.subscribe();
        Some((replay, Subscription { revision: after, changes }))
    }

    /// Every change from now on.
    pub(crate) fn follow(&self) -> Changes {
        self.write().subscribe()
    }

    /// The state now and every change after it.
    pub fn subscribe(&self) -> (Vec<Arc<Entry>>, Changes) {
        let (entries, subscription) = self.snapshot_and_subscribe("", || 0);
        (entries, subscription.changes)
    }

    /// Takes in what is stored, before anybody watches.
    pub(crate) fn load(&self, stored: &[KeyValue]) {
        let mut inner = self.write();
        for kv in stored {
            let entry = self.entry(kv);
            inner.entries.insert(entry.relative_key().into(), entry);
        }
    }

    /// Said here, once: those who read it may be many, and none of them a person.
    fn entry(&self, kv: &KeyValue) -> Arc<Entry> {
        let entry = Entry::new(kv, self.prefix.len());
        if let Some(fault) = entry.fault() {
            tracing::error!(key = %kv.key, %fault, "what is stored is no object, and keeps its resource from being listed");
        }
        Arc::new(entry)
    }

    /// Becomes what was loaded anew. Subscribers, who cannot be told what changed, are cut off.
    pub(crate) fn start_over(&self, fresh: Self) {
        *self.write() = fresh.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
    }

    /// Forgets the changes up to a revision that is applied here.
    pub(crate) fn forget(&self, revision: u64) {
        let mut inner = self.write();
        while inner.history.front().is_some_and(|change| change.revision <= revision) {
            inner.forget_oldest();
        }
        inner.complete_after = inner.complete_after.max(revision);
    }

    pub(crate) fn apply(&self, event: &Event) {
        // Made before the lock is taken: readers need not wait for it.
        let entry = (event.kind == EventKind::Put).then(|| self.entry(&event.kv));
        let relative = &event.kv.key[self.prefix.len()..];
        let mut inner = self.write();
        let before = match &entry {
            Some(entry) => inner.entries.insert(relative.into(), entry.clone()),
            None => inner.entries.remove(relative),
        };
        if entry.is_none() && before.is_none() {
            return;
        }
        let change = Arc::new(Change::new(event.kv.mod_revision.0, entry, before));
        inner.remember(change.clone());
        inner.subscribers.retain(|subscriber| subscriber.0.offer(&change));
    }
}

impl Inner {
    fn of(&self, namespace: &str) -> Vec<Arc<Entry>> {
        if namespace.is_empty() {
            return self.entries.values().cloned().collect();
        }
        let start = format!("{namespace}/");
        self.entries
            .range::<str, _>((Bound::Included(&*start), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&start))
            .map(|(_, entry)| entry.clone())
            .collect()
    }

    fn changes_after(&self, revision: u64) -> Option<Vec<Arc<Change>>> {
        let first = self.history.partition_point(|change| change.revision <= revision);
        (revision >= self.complete_after).then(|| self.history.range(first..).cloned().collect())
    }

    fn subscribe(&mut self) -> Changes {
        let queue = Arc::new(Queue::default());
        // While nothing is written, nobody else would notice those who left.
        self.subscribers.retain(|subscriber| subscriber.0.is_open());
        self.subscribers.push(Subscriber(queue.clone()));
        Changes(queue)
    }

    fn remember(&mut self, change: Arc<Change>) {
        self.history_bytes += change.weight();
        self.history.push_back(change);
        while self.history.len() > HISTORY || (self.history_bytes > HISTORY_BYTES && !self.history.is_empty()) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.history.pop_front() {
            self.history_bytes -= oldest.weight();
            self.complete_after = oldest.revision;
        }
    }
}

/// The writing end of a queue. When it goes, the reader gets what is left and then the end.
struct Subscriber(Arc<Queue>);

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.arrived.notify_one();
    }
}

/// The reading end of a queue of changes.
pub struct Changes(Arc<Queue>);

impl Changes {
    /// The next change; `None` when there will be no more, or some were lost because this reader was too slow.
    pub async fn recv(&mut self) -> Option<Arc<Change>> {
        loop {
            if let Some(change) = self.try_recv() {
                return Some(change);
            }
            // What comes between the look and the wait leaves a permit behind.
            if !self.0.is_open() {
                return self.try_recv();
            }
            self.0.arrived.notified().await;
        }
    }

    /// A change that waits already.
    pub(crate) fn try_recv(&mut self) -> Option<Arc<Change>> {
        self.0.lock().take()
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.0.lock().cut_off();
    }
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        !self.lock().closed
    }

    /// False when the reader is gone, or just now cut off.
    fn offer(&self, change: &Arc<Change>) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        let weight = change.weight();
        let full = waiting.changes.len() >= QUEUE || waiting.bytes + weight > QUEUE_BYTES;
        if full && !waiting.changes.is_empty() {
            waiting.cut_off();
        } else {
            waiting.bytes += weight;
            waiting.changes.push_back(change.clone());
        }
        let open = !waiting.closed;
        drop(waiting);
        self.arrived.notify_one();
        open
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Arc<Change>> {
        let change = self.changes.pop_front()?;
        self.bytes -= change.weight();
        Some(change)
    }

    fn cut_off(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use store_core::Revision;

    use super::*;

    fn put(revision: u64, size: usize) -> Event {
        let kv = KeyValue {
            key: "/registry/configmaps/ns/a".into(),
            value: Bytes::from(vec![b' '; size]),
            create_revision: Revision(1),
            mod_revision: Revision(revision),
            version: 1,
        };
        Event { kind: EventKind::Put, kv, prev: None }
    }

    fn collection() -> Collection {
        Collection::new("/registry/configmaps/".into(), 1)
    }

    fn waiting(changes: &Changes) -> (usize, usize) {
        let waiting = changes.0.lock();
        (waiting.changes.len(), waiting.bytes)
    }

    #[tokio::test]
    async fn a_reader_gets_every_change_in_order() {
        let collection = collection();
        let mut changes = collection.follow();
        for revision in 2..100 {
            collection.apply(&put(revision, 10));
        }
        for revision in 2..100 {
            assert_eq!(changes.recv().await.unwrap().revision, revision);
        }
        assert_eq!(waiting(&changes), (0, 0));
    }

    #[tokio::test]
    async fn a_reader_who_waits_is_woken() {
        let collection = collection();
        let mut changes = collection.follow();
        let (got, ()) = tokio::join!(changes.recv(), async { collection.apply(&put(2, 10)) });
        assert_eq!(got.unwrap().revision, 2);
    }

    #[tokio::test]
    async fn a_slow_reader_is_cut_off_by_number() {
        let collection = collection();
        let (mut slow, mut quick) = (collection.follow(), collection.follow());
        for revision in 2..QUEUE as u64 + 10 {
            collection.apply(&put(revision, 1));
            assert_eq!(quick.recv().await.unwrap().revision, revision);
        }
        assert!(slow.recv().await.is_none());
        assert_eq!(collection.read().subscribers.len(), 1);
    }

    #[tokio::test]
    async fn a_slow_reader_holds_no_more_bytes_than_its_share() {
        let collection = collection();
        let mut slow = collection.follow();
        for revision in 2..200 {
            collection.apply(&put(revision, 1 << 20));
            assert!(waiting(&slow).1 <= QUEUE_BYTES);
        }
        assert_eq!(waiting(&slow), (0, 0), "what nobody will read is let go");
        assert!(slow.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_single_change_may_be_as_large_as_it_is() {
        let collection = collection();
        let mut changes = collection.follow();
        collection.apply(&put(2, QUEUE_BYTES + 1));
        assert_eq!(changes.recv().await.unwrap().revision, 2);
    }

    #[test]
    fn the_history_is_bounded_and_knows_where_it_begins() {
        let collection = collection();
        for revision in 2..100 {
            collection.apply(&put(revision, 1 << 20));
        }
        let inner = collection.read();
        assert!(inner.history_bytes <= HISTORY_BYTES);
        assert_eq!(inner.history.front().unwrap().revision, inner.complete_after + 1);
        drop(inner);
        assert!(collection.replay_and_subscribe(50).is_none());
        let (replay, _) = collection.replay_and_subscribe(98).unwrap();
        assert_eq!(replay.iter().map(|c| c.revision).collect::<Vec<_>>(), [99]);
        assert_eq!(collection.version(), 99);
    }

    #[tokio::test]
    async fn starting_over_ends_streams() {
        let collection = collection();
        let mut changes = collection.follow();
        collection.apply(&put(2, 10));
        collection.start_over(Collection::new("/registry/configmaps/".into(), 9));
        assert_eq!(changes.recv().await.unwrap().revision, 2);
        assert!(changes.recv().await.is_none());
        assert_eq!((collection.len(), collection.version()), (0, 9));
    }
}
