//! Watches: history, live changes, selector transitions and bookmarks, in one ordered stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api_meta::{FieldSelector, LabelSelector, Status};
use bytes::Bytes;
use futures::StreamExt;
use store_core::{EventKind, Revision, WatchRequest, WatchStream};
use tokio::time::Instant;

use crate::collection::{Change, Changes};
use crate::entry::Entry;
use crate::error::from_store;
use crate::list::fields_match;
use crate::{Registry, Served};

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// The current state as additions, then changes. `fresh`: everything acknowledged before the request.
    State {
        fresh: bool,
        at_least: u64,
    },
    /// Changes only, from now on.
    Now,
    After(u64),
}

#[derive(Clone, Debug)]
pub struct WatchOptions {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
    pub start: WatchStart,
    /// Periodic bookmarks.
    pub bookmarks: bool,
    /// A bookmark that says the initial state is complete.
    pub mark_initial_end: bool,
}

/// What happened to an object, as one watcher sees it: an object that leaves the selection is deleted to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEventType {
    Added,
    Modified,
    Deleted,
}

#[derive(Clone)]
pub enum WatchEvent {
    Object(ObjectEvent),
    Bookmark { revision: u64, initial_end: bool },
}

#[derive(Clone)]
pub struct ObjectEvent {
    pub kind: WatchEventType,
    /// The state after the change; of a deletion the last state.
    pub entry: Arc<Entry>,
    /// Of the change.
    pub revision: u64,
    /// The change, where this watcher sees it as most do.
    shared: Option<Arc<Change>>,
}

impl ObjectEvent {
    fn present(entry: Arc<Entry>) -> Self {
        Self { kind: WatchEventType::Added, revision: entry.revision(), entry, shared: None }
    }

    /// The event as the plain stream shows it: made once, for all watchers that see it alike.
    pub fn encoded(&self, make: impl FnOnce() -> Bytes) -> Bytes {
        match &self.shared {
            Some(change) => change.encoded.get_or_init(make).clone(),
            None => make(),
        }
    }
}

const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

enum Source {
    Mirror(Changes),
    /// A start that the mirror no longer remembers, followed in the store itself.
    Store(WatchStream),
}

/// A watch under way. Dropping it ends it.
pub struct Watch {
    registry: Registry,
    served: Served,
    namespace: String,
    options: WatchOptions,
    /// Ready to be read.
    pending: VecDeque<WatchEvent>,
    source: Source,
    /// Changes up to here are not reported.
    after: u64,
    next_bookmark: Instant,
}

impl Registry {
    /// # Errors
    ///
    /// 410 when the start is too far in the past.
    pub async fn watch(&self, served: &Served, namespace: &str, options: WatchOptions) -> Result<Watch, Status> {
        let collection = served.stored()?;
        let mut pending = VecDeque::new();
        let (source, after, initial) = match options.start {
            WatchStart::State { fresh, at_least } => {
                if fresh {
                    self.mirror().wait_current().await?;
                }
                self.mirror().wait_for(at_least).await?;
                let mirror = self.mirror();
                let (entries, subscription) = collection.snapshot_and_subscribe(namespace, || mirror.applied());
                (Source::Mirror(subscription.changes), 0, Some((entries, subscription.revision)))
            }
            WatchStart::Now => {
                let revision = self.mirror().wait_current().await?;
                (Source::Mirror(collection.follow()), revision, None)
            }
            WatchStart::After(revision) => match collection.replay_and_subscribe(revision) {
                Some((replay, subscription)) => {
                    for change in &replay {
                        pending.extend(report(served, namespace, &options, change)?);
                    }
                    let replayed = replay.last().map_or(revision, |c| c.revision);
                    (Source::Mirror(subscription.changes), replayed.max(revision), None)
                }
                None => {
                    let request = WatchRequest::prefix(collection.prefix()).after(Revision(revision));
                    let stream = self.mirror().store().watch(request).await.map_err(|error| match error {
                        store_core::Error::Compacted { requested, compacted } => too_old(requested, compacted),
                        other => from_store(&other),
                    })?;
                    (Source::Store(stream), revision, None)
                }
            },
        };
        if let Some((entries, revision)) = initial {
            for entry in entries {
                entry.check()?;
                if options.labels.matches(entry.labels()) && fields_match(served, &options.fields, &entry)? {
                    pending.push_back(WatchEvent::Object(ObjectEvent::present(entry)));
                }
            }
            if options.mark_initial_end {
                pending.push_back(WatchEvent::Bookmark { revision, initial_end: true });
            }
        }
        Ok(Watch {
            registry: self.clone(),
            served: served.clone(),
            namespace: namespace.to_owned(),
            options,
            pending,
            source,
            after,
            next_bookmark: Instant::now() + BOOKMARK_INTERVAL,
        })
    }
}

/// The changes since `requested` are no longer known (upstream: `cacher.getIntervalFromStoreLocked` and etcd's compaction).
fn too_old(requested: Revision, known_from: Revision) -> Status {
    Status::expired(format!("too old resource version: {requested} ({known_from})"))
}

impl Watch {
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// The next event; `None` when the watch is over: the server stops, or this watcher was too slow.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, Status>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(Ok(event));
            }
            let bookmark = self.next_bookmark;
            let arrived = tokio::select! {
                biased;
                arrived = Self::arrive(&mut self.source, self.served.stored().ok()?.prefix().len()) => arrived,
                () = tokio::time::sleep_until(bookmark), if self.options.bookmarks => {
                    self.bookmark();
                    continue;
                }
            };
            match arrived? {
                Ok(changes) => {
                    for change in changes {
                        if let Err(status) = self.take(&change) {
                            return Some(Err(status));
                        }
                    }
                }
                Err(status) => return Some(Err(status)),
            }
        }
    }

    fn take(&mut self, change: &Arc<Change>) -> Result<(), Status> {
        if change.revision > self.after {
            self.pending.extend(report(&self.served, &self.namespace, &self.options, change)?);
        }
        Ok(())
    }

    async fn arrive(source: &mut Source, prefix: usize) -> Option<Result<Vec<Arc<Change>>, Status>> {
        match source {
            Source::Mirror(changes) => changes.recv().await.map(|change| Ok(vec![change])),
            Source::Store(stream) => match stream.next().await? {
                Ok(batch) => Some(Ok(batch.events.iter().map(|event| Arc::new(change(event, prefix))).collect())),
                Err(store_core::Error::Compacted { requested, compacted }) => Some(Err(too_old(requested, compacted))),
                Err(store_core::Error::Closed | store_core::Error::WatchLagged { .. }) => None,
                Err(other) => Some(Err(from_store(&other))),
            },
        }
    }

    /// Says how far the watch is complete.
    ///
    /// The revision is read first and the queue drained after it: everything
    /// up to that revision was queued before it was published.
    fn bookmark(&mut self) {
        self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
        let Source::Mirror(_) = &self.source else { return };
        let revision = self.registry.mirror().applied();
        let mut queued = Vec::new();
        if let Source::Mirror(changes) = &mut self.source {
            while let Some(change) = changes.try_recv() {
                queued.push(change);
            }
        }
        for change in queued {
            // An object that does not decode is reported where it is read.
            let _ = self.take(&change);
        }
        self.pending.push_back(WatchEvent::Bookmark { revision, initial_end: false });
    }
}

fn change(event: &store_core::Event, prefix: usize) -> Change {
    let entry = Arc::new(Entry::new(&event.kv, prefix));
    let now = (event.kind == EventKind::Put).then_some(entry);
    let before = event.prev.as_ref().map(|kv| Arc::new(Entry::new(kv, prefix)));
    Change::new(event.kv.mod_revision.0, now, before)
}

/// What a change means to one watcher.
fn report(
    served: &Served,
    namespace: &str,
    options: &WatchOptions,
    change: &Arc<Change>,
) -> Result<Option<WatchEvent>, Status> {
    let selected = |entry: &Option<Arc<Entry>>| -> Result<bool, Status> {
        let Some(entry) = entry else { return Ok(false) };
        if !namespace.is_empty() && entry.namespace() != namespace {
            return Ok(false);
        }
        entry.check()?;
        Ok(options.labels.matches(entry.labels()) && fields_match(served, &options.fields, entry)?)
    };
    // Nobody has seen what was no object.
    let seen = change.before.as_ref().is_none_or(|before| before.fault().is_none());
    let (before, now) = (seen && selected(&change.before)?, selected(&change.now)?);
    let (kind, entry) = match (before, now) {
        (false, true) => (WatchEventType::Added, &change.now),
        (true, true) => (WatchEventType::Modified, &change.now),
        (true, false) => (WatchEventType::Deleted, &change.before),
        (false, false) => return Ok(None),
    };
    let alike = before == change.before.is_some() && now == change.now.is_some();
    Ok(entry.clone().map(|entry| {
        let shared = alike.then(|| change.clone());
        WatchEvent::Object(ObjectEvent { kind, entry, revision: change.revision, shared })
    }))
}
