//! Which clusters are connected, and since when. Pure bookkeeping under one short lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use lib_names::ClusterName;
use lib_tls::SpkiPin;
use tokio::sync::broadcast;
use tunnel_stream::Figures;

use crate::Refused;
use crate::session::{Ended, Session};

/// Whether a cluster's agent is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Since when.
    Connected {
        /// When the session began.
        since: SystemTime,
    },
    /// It was.
    Disconnected {
        /// When the last session ended.
        since: SystemTime,
    },
    /// This process has not seen it.
    Unseen,
}

/// A cluster was connected or disconnected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which one.
    pub cluster: ClusterName,
    /// What it is now.
    pub connection: Connection,
}

/// The figures of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose.
    pub cluster: ClusterName,
    /// When the session began.
    pub since: SystemTime,
    /// Open streams.
    pub streams: usize,
    /// Those among them that are the hub's own.
    pub hub_streams: usize,
    /// What moves on them, and what does not: bytes since the session began, and what is so now.
    pub figures: Figures,
    /// The latest round trip.
    pub round_trip: Duration,
}

enum Entry {
    Live(Arc<Session>),
    Gone { since: SystemTime },
}

pub(crate) struct Registry {
    entries: Mutex<HashMap<ClusterName, Entry>>,
    changes: broadcast::Sender<Change>,
}

impl Registry {
    /// `backlog`: how many changes a subscriber may be behind before it misses some.
    pub(crate) fn new(backlog: usize) -> Self {
        Self { entries: Mutex::default(), changes: broadcast::Sender::new(backlog) }
    }

    /// Enters a session. One of the same key makes way; one of another key stays.
    pub(crate) fn enter(&self, session: &Arc<Session>) -> Result<(), Refused> {
        let mut entries = self.lock();
        if let Some(Entry::Live(current)) = entries.get(&session.cluster) {
            if current.key != session.key {
                return Err(Refused::KeyInUse { cluster: session.cluster.clone() });
            }
            current.end(Ended::Replaced);
        }
        entries.insert(session.cluster.clone(), Entry::Live(session.clone()));
        self.announce(&session.cluster, Connection::Connected { since: session.since });
        Ok(())
    }

    /// Notes the end of a session, unless another one has taken its place.
    pub(crate) fn leave(&self, session: &Arc<Session>, now: SystemTime) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(&session.cluster)
            && matches!(entry, Entry::Live(current) if Arc::ptr_eq(current, session))
        {
            *entry = Entry::Gone { since: now };
            self.announce(&session.cluster, Connection::Disconnected { since: now });
        }
    }

    /// The session of a cluster, or since when there is none.
    pub(crate) fn find(&self, cluster: &ClusterName) -> Result<Arc<Session>, Option<SystemTime>> {
        match self.lock().get(cluster) {
            Some(Entry::Live(session)) => Ok(session.clone()),
            Some(Entry::Gone { since }) => Err(Some(*since)),
            None => Err(None),
        }
    }

    pub(crate) fn connection(&self, cluster: &ClusterName) -> Connection {
        match self.find(cluster) {
            Ok(session) => Connection::Connected { since: session.since },
            Err(Some(since)) => Connection::Disconnected { since },
            Err(None) => Connection::Unseen,
        }
    }

    /// Ends a cluster's session and forgets that there was one.
    pub(crate) fn forget(&self, cluster: &ClusterName, now: SystemTime) {
        if let Some(Entry::Live(session)) = self.lock().remove(cluster) {
            session.end(Ended::Closed);
            self.announce(cluster, Connection::Disconnected { since: now });
        }
    }

    /// Ends a cluster's session if it is of another key than this one.
    pub(crate) fn end_others(&self, cluster: &ClusterName, key: SpkiPin, now: SystemTime) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(cluster)
            && let Entry::Live(session) = entry
            && session.key != key
        {
            session.end(Ended::Closed);
            *entry = Entry::Gone { since: now };
            self.announce(cluster, Connection::Disconnected { since: now });
        }
    }

    pub(crate) fn live(&self) -> Vec<Arc<Session>> {
        let live = |entry: &Entry| match entry {
            Entry::Live(session) => Some(session.clone()),
            Entry::Gone { .. } => None,
        };
        self.lock().values().filter_map(live).collect()
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Called under the lock, so that subscribers see the changes of a cluster in their order.
    fn announce(&self, cluster: &ClusterName, connection: Connection) {
        // Nobody has to listen.
        let _ = self.changes.send(Change { cluster: cluster.clone(), connection });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterName, Entry>> {
        // Every change under the lock is one insertion or removal: a panic leaves nothing half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
