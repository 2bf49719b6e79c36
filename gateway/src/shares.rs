//! How much of the way to the clusters one person may take.
//!
//! A request counts from its head until its answer has ended: watches, followed logs and shells as long as they last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleet::Caller;
use lib_names::ClusterName;

/// Open requests of one person to one cluster. A tunnel has room for eight who need all of it, and what readers who stop
/// keep in the hub's memory stays below 64 MiB.
pub(crate) const IN_ONE: usize = 256;
/// The same to all clusters together.
pub(crate) const IN_ALL: usize = 1024;

/// Why somebody has to wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMany {
    /// In this cluster.
    #[error(
        "you have {IN_ONE} requests open to cluster {0}, as many as one person may: \
         end some watches, logs or shells, or try again when others have ended"
    )]
    InOne(ClusterName),
    /// In all of them.
    #[error(
        "you have {IN_ALL} requests open to all clusters together, as many as one person may: \
         end some watches, logs or shells, or try again when others have ended"
    )]
    InAll,
}

/// What everybody has open. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Shares(Arc<Mutex<HashMap<String, Open>>>);

#[derive(Default)]
struct Open {
    all: usize,
    clusters: HashMap<ClusterName, usize>,
}

/// One open request. It counts until this is dropped.
pub(crate) struct Share {
    shares: Shares,
    person: String,
    cluster: ClusterName,
}

impl Shares {
    /// Counts one more request of somebody, if they may have it.
    pub(crate) fn take(&self, caller: &Caller, cluster: &ClusterName) -> Result<Share, TooMany> {
        let mut people = self.lock();
        let person = people.entry(caller.name().to_owned()).or_default();
        let there = person.clusters.get(cluster).copied().unwrap_or_default();
        // Whoever has nothing open has an entry for this request only, so an error leaves none behind.
        if there >= IN_ONE {
            return Err(TooMany::InOne(cluster.clone()));
        }
        if person.all >= IN_ALL {
            return Err(TooMany::InAll);
        }
        person.all += 1;
        person.clusters.insert(cluster.clone(), there + 1);
        Ok(Share { shares: self.clone(), person: caller.name().to_owned(), cluster: cluster.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        // A panic in the middle of a change would leave one request more or less than there is.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut people = self.shares.lock();
        let Some(person) = people.get_mut(&self.person) else { return };
        person.all -= 1;
        if let Some(there) = person.clusters.get_mut(&self.cluster) {
            *there -= 1;
            if *there == 0 {
                person.clusters.remove(&self.cluster);
            }
        }
        if person.all == 0 {
            people.remove(&self.person);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(shares: &Shares, person: &str, cluster: &str) -> Result<Share, TooMany> {
        shares.take(&Caller::certificate(person, &[]).unwrap(), &cluster.parse().unwrap())
    }

    fn fill(shares: &Shares, person: &str, cluster: &str) -> Vec<Share> {
        std::iter::from_fn(|| ask(shares, person, cluster).ok()).collect()
    }

    #[test]
    fn case_76_one_person_fills_their_own_share_only() {
        let shares = Shares::default();
        let mut open = fill(&shares, "ann", "edge");
        assert_eq!(open.len(), IN_ONE);
        assert_eq!(ask(&shares, "ann", "edge").err(), Some(TooMany::InOne("edge".parse().unwrap())));
        assert!(ask(&shares, "ann", "other").is_ok() && ask(&shares, "bob", "edge").is_ok());
        open.pop();
        assert!(ask(&shares, "ann", "edge").is_ok());
    }

    #[test]
    fn case_76_many_clusters_are_bounded_too() {
        let shares = Shares::default();
        let open: Vec<_> =
            (0..).map(|n| fill(&shares, "ann", &format!("c{n}"))).take_while(|c| !c.is_empty()).collect();
        assert_eq!(open.iter().map(Vec::len).sum::<usize>(), IN_ALL);
        assert_eq!(ask(&shares, "ann", "one-more").err(), Some(TooMany::InAll));
        assert!(ask(&shares, "bob", "c0").is_ok());
    }

    #[test]
    fn nothing_is_left_of_what_has_ended() {
        let shares = Shares::default();
        drop((fill(&shares, "ann", "edge"), ask(&shares, "ann", "other"), ask(&shares, "bob", "edge")));
        assert!(shares.lock().is_empty());
    }
}
