//! Whether a cluster is the one that it was, and no other's twin.
//!
//! The uid is a claim and no proof: it tells mistakes apart, such as an address that leads to another cluster now, or one
//! cluster under two names. So what one cluster claims never takes another one out of use. A cluster that is not itself
//! any more gets no requests until an administrator says which one is meant; one that shows what another had before is
//! used on, and says so: it may be meant, and nobody can take over the other by it, as requests follow names, and names
//! are bound to keys and credentials.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use api_types::cluster::{ACCEPTED_UID, Cluster, ClusterIdentity, ClusterStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::{KIND, Setter};

pub(crate) const CHANGED: &str = "ClusterChanged";

/// What is known of the uid that a cluster shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The uid; `None` if the cluster did not tell.
    pub(crate) uid: Option<String>,
    /// The cluster that had it before.
    pub(crate) first: Option<String>,
    /// Whether an administrator has said that this is the one.
    pub(crate) accepted: bool,
}

/// Which clusters have shown which uid, and since when.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    of: HashMap<String, (String, Timestamp)>,
    by_uid: HashMap<String, BTreeSet<(Timestamp, String)>>,
}

impl Noted {
    /// Puts down what stands in a cluster's status.
    pub(crate) fn note(&mut self, cluster: &Cluster) {
        let name = cluster.name_any();
        let identity = cluster.status.as_ref().and_then(|status| status.identity.as_ref());
        let noted = identity.map(|identity| (identity.uid.clone(), identity.since.0));
        if self.of.get(&name) == noted.as_ref() {
            return;
        }
        self.forget(&name);
        if let Some((uid, since)) = noted {
            self.by_uid.entry(uid.clone()).or_default().insert((since, name.clone()));
            self.of.insert(name, (uid, since));
        }
    }

    pub(crate) fn forget(&mut self, name: &str) {
        let Some((uid, since)) = self.of.remove(name) else { return };
        if let Entry::Occupied(mut entry) = self.by_uid.entry(uid) {
            entry.get_mut().remove(&(since, name.to_owned()));
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    /// What a cluster shows, beside what others have shown before.
    pub(crate) fn claim(&self, uid: String, cluster: &Cluster) -> Claim {
        let name = cluster.name_any();
        // Whoever comes first is not the cluster itself, or it is first.
        let first = self.by_uid.get(&uid).and_then(BTreeSet::first).filter(|(_, first)| *first != name);
        let accepted = cluster.annotations().get(ACCEPTED_UID) == Some(&uid);
        Claim { first: first.map(|(_, name)| name.clone()), accepted, uid: Some(uid) }
    }
}

/// Whether requests to a cluster would reach another than people think, by its status.
pub(crate) fn is_another(status: &ClusterStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|condition| condition.type_ == KIND && condition.status == "False" && condition.reason == CHANGED)
}

/// The same, after it was looked at.
pub(crate) fn is_another_now(old: &ClusterStatus, claim: Option<&Claim>) -> bool {
    match claim.and_then(|claim| Some((claim.uid.as_ref()?, claim.accepted))) {
        Some((uid, accepted)) => !accepted && old.identity.as_ref().is_some_and(|noted| noted.uid != *uid),
        None => is_another(old),
    }
}

/// Says who the cluster is, and returns what is noted of that; the message if it is another one.
pub(super) fn judge(
    set: &mut Setter<'_>,
    noted: Option<&ClusterIdentity>,
    claim: &Claim,
    now: Timestamp,
) -> (Option<ClusterIdentity>, Option<String>) {
    let Claim { uid: Some(uid), first, accepted } = claim else {
        set.keep(KIND);
        let said = set.old.iter().find(|condition| condition.type_ == KIND && condition.reason == CHANGED);
        return (noted.cloned(), said.map(|condition| condition.message.clone()));
    };
    let known = match noted {
        Some(noted) if noted.uid != *uid && !accepted => {
            let twin = first.as_ref().map_or_else(String::new, |name| format!(", which is that of cluster {name}"));
            let message = format!(
                "Another cluster answers under this name: the uid of kube-system was {} and is {uid}{twin}. Nothing is \
                 sent there. Mend the address or the credential, or remove the cluster and add it again; if it was rebuilt, \
                 annotate this object with {}={uid}.",
                noted.uid, ACCEPTED_UID,
            );
            set.put(KIND, "False", CHANGED, &message);
            return (Some(noted.clone()), Some(message));
        }
        Some(noted) if noted.uid == *uid => noted.clone(),
        _ => ClusterIdentity { uid: uid.clone(), since: Time(now) },
    };
    match first {
        None => set.put(KIND, "True", "SameAsBefore", "The cluster is the one that was noted under this name first."),
        Some(first) => {
            let message = format!(
                "The cluster says that it is the one that is known as {first} already. Under two names its objects and \
                 resources count twice: remove one, unless that is meant."
            );
            set.put(KIND, "False", "SameClusterAs", &message);
        }
    }
    (Some(known), None)
}

#[cfg(test)]
mod tests;
