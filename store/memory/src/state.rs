//! The versions of all keys, and the pure rules by which they change.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;
use store_core::{Content, Error, Event, EventKind, Key, KeyValue, Op, Page, Range, Revision, Txn, TxnOutcome};

/// What a key was from one revision on.
#[derive(Debug)]
struct Version {
    mod_revision: Revision,
    create_revision: Revision,
    version: u64,
    /// `None` when the key was deleted.
    value: Option<Bytes>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) revision: Revision,
    pub(crate) compacted: Revision,
    pub(crate) closed: bool,
    /// Versions oldest first; never empty.
    keys: BTreeMap<Key, VecDeque<Version>>,
    /// What changed after the compacted revision: what compaction has to look at.
    log: VecDeque<Change>,
    /// The weight of the log.
    log_bytes: usize,
}

#[derive(Debug)]
struct Change {
    revision: Revision,
    key: Key,
    /// About how much memory the change keeps from being freed.
    weight: usize,
}

impl Default for State {
    fn default() -> Self {
        Self {
            revision: Revision::FIRST,
            compacted: Revision::ZERO,
            closed: false,
            keys: BTreeMap::new(),
            log: VecDeque::new(),
            log_bytes: 0,
        }
    }
}

impl State {
    /// The revision to read at.
    pub(crate) fn resolve(&self, at: Option<Revision>) -> Result<Revision, Error> {
        match at {
            None => Ok(self.revision),
            Some(at) if at < self.compacted => Err(Error::Compacted { requested: at, compacted: self.compacted }),
            Some(at) if at > self.revision => Err(Error::FutureRevision { requested: at, current: self.revision }),
            Some(at) => Ok(at),
        }
    }

    pub(crate) fn get(&self, key: &str, at: Revision) -> Option<KeyValue> {
        let (key, versions) = self.keys.get_key_value(key)?;
        versions.at(at)?.to_key_value(key, Content::Values)
    }

    pub(crate) fn range(&self, range: &Range, at: Revision) -> Page {
        let mut page = Page { items: Vec::new(), revision: at, more: false, remaining: 0 };
        let limit = match (range.content, range.limit) {
            (Content::CountOnly, _) => 0,
            (_, 0) => usize::MAX,
            (_, limit) => limit,
        };
        for (key, versions) in self.walk(range) {
            let Some(version) = versions.at(at).filter(|version| version.value.is_some()) else { continue };
            if page.items.len() < limit {
                page.items.extend(version.to_key_value(key, range.content));
            } else {
                page.remaining += 1;
            }
        }
        page.more = page.remaining > 0;
        page
    }

    fn walk<'a>(&'a self, range: &'a Range) -> impl Iterator<Item = (&'a Key, &'a VecDeque<Version>)> {
        let start = match range.after.as_deref() {
            Some(after) if after >= range.span.start() => Bound::Excluded(after),
            _ => Bound::Included(range.span.start()),
        };
        // The end is tested on the way: `BTreeMap::range` panics on bounds that cross.
        self.keys.range::<str, _>((start, Bound::Unbounded)).take_while(|(key, _)| range.span.contains(key))
    }

    /// Applies a checked transaction. The events are those of the outcome's revision.
    pub(crate) fn apply(&mut self, txn: Txn) -> (TxnOutcome, Vec<Arc<Event>>) {
        let succeeded = txn.compare.iter().all(|compare| compare.holds(self.mod_revision(&compare.key)));
        let (ops, current) = if succeeded {
            (txn.success, Vec::new())
        } else {
            let current = txn.compare.iter().map(|compare| self.get(&compare.key, self.revision)).collect();
            (txn.failure, current)
        };
        let revision = self.revision.next();
        let events = ops.into_iter().filter_map(|op| self.apply_op(op, revision)).map(Arc::new).collect::<Vec<_>>();
        if !events.is_empty() {
            self.revision = revision;
        }
        (TxnOutcome { succeeded, revision: self.revision, current }, events)
    }

    fn mod_revision(&self, key: &str) -> Option<Revision> {
        let latest = self.keys.get(key)?.back()?;
        latest.value.as_ref().map(|_| latest.mod_revision)
    }

    fn apply_op(&mut self, op: Op, revision: Revision) -> Option<Event> {
        let prev = self.get(op.key(), self.revision);
        let (kind, key, value) = match op {
            Op::Put { key, value } => (EventKind::Put, key, Some(value)),
            Op::Delete { key } => (EventKind::Delete, prev.as_ref().map(|_| key)?, None),
        };
        let (create_revision, version) = match (&prev, kind) {
            (_, EventKind::Delete) => (Revision::ZERO, 0),
            (Some(prev), _) => (prev.create_revision, prev.version + 1),
            (None, _) => (revision, 1),
        };
        let kv = KeyValue {
            key: key.clone(),
            value: value.clone().unwrap_or_default(),
            create_revision,
            mod_revision: revision,
            version,
        };
        // The value before is shared with the change that wrote it, and counted there.
        let weight = size_of::<Event>() + key.len() + kv.value.len();
        let event = Event { kind, kv, prev };
        let change = Change { revision, key: key.clone(), weight };
        self.log_bytes += change.weight;
        self.log.push_back(change);
        let version = Version { mod_revision: revision, create_revision, version, value };
        self.keys.entry(key).or_default().push_back(version);
        Some(event)
    }

    pub(crate) fn may_compact(&self, revision: Revision) -> Result<(), Error> {
        if revision > self.revision {
            return Err(Error::FutureRevision { requested: revision, current: self.revision });
        }
        if revision <= self.compacted {
            return Err(Error::Compacted { requested: revision, compacted: self.compacted });
        }
        Ok(())
    }

    /// About how much memory history takes.
    pub(crate) fn history_bytes(&self) -> usize {
        self.log_bytes
    }

    /// The oldest revision after which history takes no more than so many bytes.
    pub(crate) fn fitting(&self, bytes: usize) -> Revision {
        let mut left = self.log_bytes;
        let surplus = self.log.iter().take_while(|change| {
            let fits = left <= bytes;
            left -= change.weight;
            !fits
        });
        surplus.last().map_or(self.compacted, |change| change.revision)
    }

    /// Drops what only states before `revision` need. Costs as much as was changed since the last compaction.
    pub(crate) fn compact(&mut self, revision: Revision) {
        self.compacted = revision;
        while let Some(Change { key, weight, .. }) = self.log.pop_front_if(|change| change.revision <= revision) {
            self.log_bytes -= weight;
            let Some(versions) = self.keys.get_mut(&key) else { continue };
            while versions.get(1).is_some_and(|next| next.mod_revision <= revision) {
                versions.pop_front();
            }
            // A deletion at or before `revision` has nothing left to hide.
            if versions.front().is_some_and(|first| first.value.is_none() && first.mod_revision <= revision) {
                versions.pop_front();
            }
            if versions.is_empty() {
                self.keys.remove(&key);
            }
        }
    }
}

trait VersionsExt {
    /// The version that is in force at a revision.
    fn at(&self, at: Revision) -> Option<&Version>;
}

impl VersionsExt for VecDeque<Version> {
    fn at(&self, at: Revision) -> Option<&Version> {
        // Most reads are of the latest state.
        if let Some(latest) = self.back().filter(|latest| latest.mod_revision <= at) {
            return Some(latest);
        }
        let later = self.partition_point(|version| version.mod_revision <= at);
        self.get(later.checked_sub(1)?)
    }
}

impl Version {
    fn to_key_value(&self, key: &Key, content: Content) -> Option<KeyValue> {
        let value = self.value.as_ref()?;
        Some(KeyValue {
            key: key.clone(),
            value: if content == Content::Values { value.clone() } else { Bytes::new() },
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
        })
    }
}
