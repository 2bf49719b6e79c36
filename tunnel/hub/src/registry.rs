//! Which clusters are connected, here or at another replica, and since when. Pure bookkeeping under one short lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use lib_names::ClusterName;
use lib_tls::SpkiPin;
use tokio::sync::broadcast;
use tunnel_stream::Figures;

use crate::Refused;
use crate::replica::Replica;
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
    /// No replica that this process reaches has seen it.
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
    Gone(Gone),
}

/// A tunnel that there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) since: SystemTime,
    /// Nobody has said goodbye: there is no reason to think that the agent is about to come back.
    pub(crate) is_silent: bool,
}

impl Gone {
    pub(crate) fn on_its_way(since: SystemTime) -> Self {
        Self { since, is_silent: false }
    }
}

/// A tunnel that another replica has.
struct Elsewhere {
    replica: Arc<Replica>,
    since: SystemTime,
    key: SpkiPin,
}

/// The way into a cluster's tunnel.
pub(crate) enum Way {
    Here(Arc<Session>),
    There(Arc<Replica>),
}

/// A tunnel as another replica is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tunnel {
    pub(crate) since: SystemTime,
    pub(crate) key: SpkiPin,
}

#[derive(Default)]
struct Entries {
    here: HashMap<ClusterName, Entry>,
    there: HashMap<ClusterName, Elsewhere>,
}

pub(crate) struct Registry {
    entries: Mutex<Entries>,
    changes: broadcast::Sender<Change>,
    /// How many other replicas there are whose tunnels are known.
    others: AtomicUsize,
}

impl Entries {
    fn session(&self, cluster: &ClusterName) -> Option<&Arc<Session>> {
        match self.here.get(cluster) {
            Some(Entry::Live(session)) => Some(session),
            _ => None,
        }
    }

    fn connection(&self, cluster: &ClusterName) -> Connection {
        match (self.here.get(cluster), self.there.get(cluster)) {
            (Some(Entry::Live(session)), _) => Connection::Connected { since: session.since },
            (_, Some(elsewhere)) => Connection::Connected { since: elsewhere.since },
            (Some(Entry::Gone(gone)), None) => Connection::Disconnected { since: gone.since },
            (None, None) => Connection::Unseen,
        }
    }
}

impl Registry {
    /// `backlog`: how many changes a subscriber may be behind before it misses some.
    pub(crate) fn new(backlog: usize) -> Self {
        Self { entries: Mutex::default(), changes: broadcast::Sender::new(backlog), others: AtomicUsize::new(0) }
    }

    /// Enters a session. One of the same key makes way; one of another key stays.
    pub(crate) fn enter(&self, session: &Arc<Session>) -> Result<(), Refused> {
        let mut entries = self.lock();
        let in_use = || Refused::KeyInUse { cluster: session.cluster.clone() };
        if entries.there.get(&session.cluster).is_some_and(|elsewhere| elsewhere.key != session.key) {
            return Err(in_use());
        }
        if let Some(current) = entries.session(&session.cluster) {
            if current.key != session.key {
                return Err(in_use());
            }
            current.displace(Ended::Replaced);
        }
        entries.here.insert(session.cluster.clone(), Entry::Live(session.clone()));
        self.announce(&entries, &session.cluster);
        Ok(())
    }

    /// Notes the end of a session, unless another one has taken its place.
    pub(crate) fn leave(&self, session: &Arc<Session>, gone: Gone) {
        let mut entries = self.lock();
        if entries.session(&session.cluster).is_some_and(|current| Arc::ptr_eq(current, session)) {
            entries.here.insert(session.cluster.clone(), Entry::Gone(gone));
            self.announce(&entries, &session.cluster);
        }
    }

    /// The way into a cluster's tunnel, or what became of it.
    pub(crate) fn find(&self, cluster: &ClusterName) -> Result<Way, Option<Gone>> {
        let entries = self.lock();
        match (entries.here.get(cluster), entries.there.get(cluster)) {
            (Some(Entry::Live(session)), _) => Ok(Way::Here(session.clone())),
            (_, Some(elsewhere)) => Ok(Way::There(elsewhere.replica.clone())),
            (Some(Entry::Gone(gone)), None) => Err(Some(*gone)),
            (None, None) => Err(None),
        }
    }

    /// The session of a cluster, or what became of the one that this process had.
    pub(crate) fn find_here(&self, cluster: &ClusterName) -> Result<Arc<Session>, Option<Gone>> {
        match self.lock().here.get(cluster) {
            Some(Entry::Live(session)) => Ok(session.clone()),
            Some(Entry::Gone(gone)) => Err(Some(*gone)),
            None => Err(None),
        }
    }

    /// The tunnel of a cluster, if this process has it.
    pub(crate) fn tunnel(&self, cluster: &ClusterName) -> Option<Tunnel> {
        let session = self.find_here(cluster).ok()?;
        Some(Tunnel { since: session.since, key: session.key })
    }

    pub(crate) fn connection(&self, cluster: &ClusterName) -> Connection {
        self.lock().connection(cluster)
    }

    /// Ends a cluster's session and forgets that there was one.
    pub(crate) fn forget(&self, cluster: &ClusterName, now: SystemTime) {
        let mut entries = self.lock();
        let was_there = entries.there.remove(cluster).is_some();
        let session = match entries.here.remove(cluster) {
            Some(Entry::Live(session)) => Some(session),
            _ => None,
        };
        if let Some(session) = &session {
            session.end(Ended::Closed);
        }
        if was_there || session.is_some() {
            self.tell(cluster, Connection::Disconnected { since: now });
        }
    }

    /// Ends a cluster's session if it is of another key than this one.
    pub(crate) fn end_others(&self, cluster: &ClusterName, key: SpkiPin, now: SystemTime) {
        let mut entries = self.lock();
        if let Some(session) = entries.session(cluster)
            && session.key != key
        {
            session.end(Ended::Closed);
            entries.here.insert(cluster.clone(), Entry::Gone(Gone::on_its_way(now)));
            self.announce(&entries, cluster);
        }
    }

    /// Notes that another replica has a tunnel. One of the same agent that is here and older takes no new streams: an agent
    /// has one tunnel, and another for as long as it is handed over.
    pub(crate) fn note(&self, replica: &Arc<Replica>, cluster: &ClusterName, Tunnel { since, key }: Tunnel) {
        let mut entries = self.lock();
        if entries.there.get(cluster).is_some_and(|known| known.since > since) {
            return;
        }
        if let Some(session) = entries.session(cluster)
            && session.key == key
            && session.since < since
        {
            session.displace(Ended::Closed);
            entries.here.insert(cluster.clone(), Entry::Gone(Gone::on_its_way(since)));
        }
        entries.there.insert(cluster.clone(), Elsewhere { replica: replica.clone(), since, key });
        self.announce(&entries, cluster);
    }

    /// Notes that a replica has a tunnel no more.
    pub(crate) fn lost(&self, replica: &Arc<Replica>, cluster: &ClusterName, gone: Gone) {
        let mut entries = self.lock();
        if entries.there.get(cluster).is_some_and(|known| Arc::ptr_eq(&known.replica, replica)) {
            entries.there.remove(cluster);
            if entries.session(cluster).is_none() {
                entries.here.insert(cluster.clone(), Entry::Gone(gone));
                self.announce(&entries, cluster);
            }
        }
    }

    /// Whether there are other replicas whose tunnels are known.
    pub(crate) fn has_others(&self) -> bool {
        self.others.load(Ordering::Relaxed) > 0
    }

    /// Notes that all tunnels of a replica are known.
    pub(crate) fn add_other(&self) {
        self.others.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a replica which had joined is not reached any more.
    pub(crate) fn remove_other(&self) {
        self.others.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes that a replica is not reached any more, and with it all that it has.
    pub(crate) fn part(&self, replica: &Arc<Replica>, gone: Gone) {
        let is_of = |elsewhere: &Elsewhere| Arc::ptr_eq(&elsewhere.replica, replica);
        let all: Vec<ClusterName> = {
            let entries = self.lock();
            entries.there.iter().filter(|(_, elsewhere)| is_of(elsewhere)).map(|(cluster, _)| cluster.clone()).collect()
        };
        for cluster in all {
            self.lost(replica, &cluster, gone);
        }
    }

    pub(crate) fn live(&self) -> Vec<Arc<Session>> {
        let live = |entry: &Entry| match entry {
            Entry::Live(session) => Some(session.clone()),
            Entry::Gone(_) => None,
        };
        self.lock().here.values().filter_map(live).collect()
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn announce(&self, entries: &Entries, cluster: &ClusterName) {
        self.tell(cluster, entries.connection(cluster));
    }

    /// Called under the lock, so that subscribers see the changes of a cluster in their order.
    fn tell(&self, cluster: &ClusterName, connection: Connection) {
        // Nobody has to listen.
        let _ = self.changes.send(Change { cluster: cluster.clone(), connection });
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // What a panic leaves undone, the next change of the cluster puts right.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
