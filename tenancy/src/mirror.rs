//! What each cluster has: its roles and bindings, its namespaces, and what the platform has written there.
//!
//! # Guarantees
//!
//! - A reader gets all of a cluster as of one moment, and never waits for a cluster.
//! - What is known of a cluster that is lost stays, and says since when it may be wrong.
//! - Of objects that are nobody's concern here nothing is kept but their names; what many clusters have alike is kept once.

mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use api_rbac::{Interner, Policy};
use jiff::Timestamp;
use lib_backoff::{Backoff, chance};
use lib_names::ClusterName;
use tokio::sync::{Notify, Semaphore, watch};

pub use state::Standing;
pub(crate) use state::{DEFINITION, Dirty, Followed, Shared, State};

use crate::follow::{Change, follow};
use crate::view::Known;
use crate::wire::{Failure, Wire};

/// Lists that are being read at a time, over all clusters.
const LISTS: usize = 16;
/// How often a cluster is asked for its version.
const AGAIN: Duration = Duration::from_secs(300);
/// The wait after a first failure.
const FIRST: Duration = Duration::from_millis(100);
/// Between attempts to, at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of all clusters. Clones share it.
#[derive(Clone)]
pub struct Mirror(Arc<Inner>);

struct Inner {
    shared: Shared,
    clusters: RwLock<BTreeMap<String, Arc<Cluster>>>,
    lists: Arc<Semaphore>,
    changed: watch::Sender<u64>,
}

/// What is known of one cluster.
pub(crate) struct Cluster {
    pub(crate) state: RwLock<State>,
    /// Something changed that may have to be put right.
    pub(crate) changed: Notify,
    /// The cluster may be back.
    pub(crate) back: Notify,
}

/// A cluster's roles and bindings, as of one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The roles and bindings.
    pub policy: Arc<Policy>,
    /// Whether they are all there, and since when they may be wrong.
    pub standing: Standing,
}

impl Mirror {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            shared: Shared::default(),
            clusters: RwLock::default(),
            lists: Arc::new(Semaphore::new(LISTS)),
            changed: watch::Sender::new(0),
        }))
    }

    /// A cluster's roles and bindings; none while the cluster is not known.
    pub fn policy(&self, cluster: &ClusterName) -> Option<Snapshot> {
        let cluster = self.find(cluster)?;
        let state = cluster.state.read().unwrap_or_else(PoisonError::into_inner);
        Some(Snapshot { policy: state.policy.clone(), standing: state.standing() })
    }

    /// The clusters that are followed.
    pub fn clusters(&self) -> Vec<ClusterName> {
        let clusters = self.0.clusters.read().unwrap_or_else(PoisonError::into_inner);
        clusters.keys().filter_map(|name| name.parse().ok()).collect()
    }

    /// What there is of a cluster for questions; none until it was known once. While nothing changes it is the same.
    pub(crate) fn known(&self, name: &ClusterName) -> Option<Arc<Known>> {
        let cluster = self.find(name)?;
        let known = cluster.state.read().unwrap_or_else(PoisonError::into_inner).known();
        known.or_else(|| {
            let mut state = cluster.state.write().unwrap_or_else(PoisonError::into_inner);
            state.make_known(name, self.shared())
        })
    }

    /// Changes whenever anything here does. Many changes may look like one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// A cluster may be back.
    pub(crate) fn wake(&self, cluster: &ClusterName) {
        if let Some(cluster) = self.find(cluster) {
            cluster.back.notify_waiters();
        }
    }

    fn find(&self, cluster: &ClusterName) -> Option<Arc<Cluster>> {
        self.0.clusters.read().unwrap_or_else(PoisonError::into_inner).get(cluster.as_str()).cloned()
    }

    /// Begins to know a cluster.
    pub(crate) fn add(&self, cluster: &ClusterName, now: Timestamp) -> Arc<Cluster> {
        let state = RwLock::new(State::new(now));
        let added = Arc::new(Cluster { state, changed: Notify::new(), back: Notify::new() });
        let mut clusters = self.0.clusters.write().unwrap_or_else(PoisonError::into_inner);
        clusters.insert(cluster.to_string(), added.clone());
        added
    }

    /// Forgets a cluster, unless it is another one of that name by now.
    pub(crate) fn forget(&self, name: &ClusterName, cluster: &Arc<Cluster>) {
        let mut clusters = self.0.clusters.write().unwrap_or_else(PoisonError::into_inner);
        if clusters.get(name.as_str()).is_some_and(|known| Arc::ptr_eq(known, cluster)) {
            clusters.remove(name.as_str());
        }
        drop(clusters);
        self.0.changed.send_modify(|n| *n += 1);
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    pub(crate) fn lists(&self) -> &Semaphore {
        &self.0.lists
    }

    /// The interner that the policies share.
    pub fn interner(&self) -> &Interner {
        &self.0.shared.interner
    }

    /// Follows all of one cluster, for ever.
    pub(crate) async fn run(&self, cluster: &Cluster, wire: &Wire) {
        futures::future::join(
            self.follow_version(cluster, wire),
            futures::future::join_all(Followed::ALL.map(|kind| self.follow(cluster, wire, kind))),
        )
        .await;
    }

    async fn follow(&self, cluster: &Cluster, wire: &Wire, kind: Followed) {
        let place = kind.place();
        let tell = |change| self.tell(cluster, kind, change);
        match follow(wire, &place, &self.0.lists, &cluster.back, tell).await {}
    }

    /// Asks for the version whenever the cluster is back, and is to be asked.
    async fn follow_version(&self, cluster: &Cluster, wire: &Wire) {
        let mut backoff = Backoff::new(FIRST);
        loop {
            match wire.version().await {
                Ok(version) => {
                    self.learn(cluster, |state| state.set_version(&version));
                    backoff.reset();
                    let _ = tokio::time::timeout(AGAIN, cluster.back.notified()).await;
                }
                Err(failure) => {
                    tracing::debug!(error = %lib_telemetry::chain(&failure), "could not ask a cluster for its version");
                    tokio::select! {
                        () = tokio::time::sleep(backoff.after(PATIENCE, chance())) => {}
                        () = cluster.back.notified() => {}
                    }
                }
            }
        }
    }

    fn tell(&self, cluster: &Cluster, kind: Followed, change: Change) {
        let mut is_defined = false;
        self.learn(cluster, |state| match change {
            Change::Put(object) => {
                let (changed, defined) = state.put(kind, object, &self.0.shared);
                is_defined = defined;
                changed
            }
            Change::Drop(name) => state.remove(kind, &name),
            Change::Whole(names) => state.whole(kind, &names),
            Change::Lost(failure) => state.lost(kind, &failure, Timestamp::now()),
        });
        if is_defined {
            // What was not served before may be now.
            cluster.back.notify_waiters();
        }
    }

    /// Takes in something about a cluster, and tells whoever waits if it is news.
    fn learn(&self, cluster: &Cluster, take: impl FnOnce(&mut State) -> bool) {
        let is_news = take(&mut cluster.state.write().unwrap_or_else(PoisonError::into_inner));
        if is_news {
            cluster.changed.notify_one();
            self.0.changed.send_modify(|n| *n += 1);
        }
    }
}

/// Why a cluster is not known, for people.
pub(crate) fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Refused { code, message } if matches!(code.as_u16(), 401 | 403) => {
            format!("the cluster does not let the hub in ({message}): apply its registration manifest again")
        }
        failure => lib_telemetry::chain(failure).to_string(),
    }
}
