//! Where the hub is for a member whose network reaches it by another address than the hub's own: `cpaas.io/platform-url`, an
//! annotation of the cluster.
//!
//! # Flow
//!
//! The annotation names a host, which the hub's door answers to from then on: in its certificate, and in the `Host` of
//! requests ([`Hosts`]). Whoever looks after the cluster tells its agent through the tunnel ([`tell`]), and says in the
//! condition `PlatformURLUsed` what came of it.
//!
//! # Guarantees
//!
//! - An address that is wrong costs nobody a cluster: an agent goes on with the one that it has until it has reached the hub,
//!   as the hub that it knows, by the other.
//! - However many clusters there are, they name [`HOSTS`] hosts at most: the door shows them to everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api_types::cluster::{Cluster, PLATFORM_URL};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use lib_names::ClusterName;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;
use tunnel_protocol::{Address, BadPlatformUrl, PlatformUrl, Reached};

use crate::error::{Cause, Error};
use crate::plan::platform::Wanted;
use crate::{Caller, Fleet, Inner, NAMESPACE, probe};

/// The most hosts that clusters name.
pub(crate) const HOSTS: usize = 64;

/// How long an agent may take to take an address. It does not try it before it answers.
const TELL: Duration = Duration::from_secs(4);

/// What a cluster's annotation says, if it says anything.
pub(crate) fn url_of(cluster: &Cluster) -> Option<Result<PlatformUrl, BadPlatformUrl>> {
    text_of(cluster).map(str::parse)
}

fn text_of(cluster: &Cluster) -> Option<&str> {
    cluster.metadata.annotations.as_ref()?.get(PLATFORM_URL).map(String::as_str)
}

/// The hosts that clusters name.
#[derive(Default)]
pub(crate) struct Hosts {
    named: Mutex<BTreeMap<String, Named>>,
    shown: watch::Sender<Arc<BTreeSet<String>>>,
}

/// By one cluster.
struct Named {
    text: String,
    host: Option<String>,
}

impl Hosts {
    /// Notes what a cluster's annotation says. Returns whether that is something else than before.
    pub(crate) fn note(&self, cluster: &Cluster) -> bool {
        let name = cluster.name_any();
        let Some(text) = text_of(cluster) else { return self.forget(&name) };
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.get(&name).is_some_and(|named| named.text == text) {
            return false;
        }
        let host = text.parse::<PlatformUrl>().ok().map(|url| url.host().to_owned());
        named.insert(name, Named { text: text.to_owned(), host });
        self.show(&named);
        true
    }

    /// The same for a cluster that says nothing any more.
    pub(crate) fn forget(&self, name: &str) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = named.remove(name).is_some();
        if is_new {
            self.show(&named);
        }
        is_new
    }

    /// Under which of them the door is known: those that come first, so that all replicas of the hub have the same.
    pub(crate) fn shown(&self) -> watch::Receiver<Arc<BTreeSet<String>>> {
        self.shown.subscribe()
    }

    /// Whether the door is known under a host, or will be when it has heard of it.
    fn has_room_for(&self, host: &str) -> bool {
        let shown = self.shown.borrow();
        shown.contains(host) || shown.len() < HOSTS
    }

    fn show(&self, named: &BTreeMap<String, Named>) {
        let hosts: BTreeSet<&String> = named.values().filter_map(|named| named.host.as_ref()).collect();
        let next: BTreeSet<String> = hosts.into_iter().take(HOSTS).cloned().collect();
        self.shown.send_if_modified(|now| {
            let is_new = **now != next;
            if is_new {
                tracing::info!(hosts = ?next, "clusters reach the hub by other hosts now");
                *now = Arc::new(next);
            }
            is_new
        });
    }
}

impl Inner {
    /// By which address the agent of a cluster is to reach the hub.
    pub(crate) fn wanted_address(&self, cluster: &Cluster) -> Wanted {
        match url_of(cluster) {
            None => Wanted::Given,
            Some(Err(bad)) => Wanted::Invalid(bad.to_string()),
            Some(Ok(url)) if self.hosts.has_room_for(url.host()) => Wanted::Url(url),
            Some(Ok(url)) => Wanted::TooMany(url),
        }
    }
}

/// Has an agent take the address, if it says that it was told another one. Returns what it says then.
pub(crate) async fn tell(inner: &Inner, cluster: &ClusterName, wanted: &Wanted, has: Reached) -> Reached {
    let platform_url = match wanted {
        Wanted::Given => None,
        Wanted::Url(url) => Some(url.clone()),
        // It keeps what it has.
        Wanted::Invalid(_) | Wanted::TooMany(_) => return has,
    };
    if has.told == platform_url.as_ref().map(PlatformUrl::to_string) {
        return has;
    }
    let address = Address { platform_url };
    match timeout(TELL, probe::tell_agent(inner, cluster, Address::PATH, &address, Address::MAX_BYTES)).await {
        Ok(Ok(answer)) => {
            let mut answer: Reached = answer;
            answer.tame();
            answer
        }
        Ok(Err(error)) => Reached { message: Some(error.to_string()), ..has },
        Err(_) => Reached { message: Some("the agent did not answer in time".to_owned()), ..has },
    }
}

/// What somebody says that a cluster's annotation is to be.
pub(crate) fn read(text: Option<&str>) -> Result<Option<PlatformUrl>, Cause> {
    text.map(|text| text.parse().map_err(|bad: BadPlatformUrl| Cause::new("platformUrl", bad.to_string()))).transpose()
}

impl Fleet {
    /// The hosts by which clusters reach the hub, besides its own.
    pub fn platform_hosts(&self) -> watch::Receiver<Arc<BTreeSet<String>>> {
        self.inner.hosts.shown()
    }

    /// Whether the door may be known under the host of a URL too.
    pub(crate) fn check_room(&self, url: &PlatformUrl) -> Result<(), Cause> {
        match self.inner.hosts.has_room_for(url.host()) {
            true => Ok(()),
            false => Err(Cause::new(
                "platformUrl",
                format!(
                    "\"{url}\" names one host more than the {HOSTS} that clusters may name together: use a host that another \
                     cluster has in its annotation {PLATFORM_URL}, or take that away from one"
                ),
            )),
        }
    }

    /// Writes the annotation of a cluster, in the caller's name.
    pub(crate) async fn set_platform_url(
        &self,
        caller: &Caller,
        cluster: &Cluster,
        url: &PlatformUrl,
    ) -> Result<(), Error> {
        let clusters: Api<Cluster> = Api::namespaced(caller.clone().client_of(&self.inner.hub), NAMESPACE);
        let metadata = json!({"uid": cluster.uid(), "annotations": {PLATFORM_URL: url.to_string()}});
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        let patched = clusters.patch(&cluster.name_any(), &PatchParams::default(), &patch).await;
        patched.map(drop).map_err(Error::hub("note by which address the cluster reaches the hub"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, url: Option<&str>) -> Cluster {
        let mut cluster = Cluster::new(name, api_types::ClusterSpec::default());
        cluster.metadata.annotations = url.map(|url| BTreeMap::from([(PLATFORM_URL.to_owned(), url.to_owned())]));
        cluster
    }

    #[track_caller]
    fn shows(hosts: &Hosts, expect: &[&str]) {
        assert_eq!(hosts.shown().borrow().iter().collect::<Vec<_>>(), expect);
    }

    #[test]
    fn the_door_has_the_hosts_that_clusters_name() {
        let hosts = Hosts::default();
        let mut shown = hosts.shown();
        assert!(!hosts.note(&cluster("a", None)));
        assert!(hosts.note(&cluster("a", Some("https://two.example.com"))));
        assert!(!hosts.note(&cluster("a", Some("https://two.example.com"))));
        assert!(hosts.note(&cluster("b", Some("https://ONE.example.com:8443"))));
        shows(&hosts, &["one.example.com", "two.example.com"]);
        // It is woken, for the port is another one; the door is as it was.
        shown.mark_unchanged();
        assert!(hosts.note(&cluster("a", Some("https://two.example.com:8443"))));
        assert!(!shown.has_changed().unwrap());
        assert!(hosts.note(&cluster("a", Some("two.example.com"))));
        shows(&hosts, &["one.example.com"]);
        assert!(hosts.forget("b") && !hosts.forget("b"));
        assert!(hosts.note(&cluster("a", None)));
        shows(&hosts, &[]);
    }

    #[test]
    fn there_is_a_bound_and_all_replicas_have_the_same() {
        let (one, other) = (Hosts::default(), Hosts::default());
        let all: Vec<Cluster> = (0..HOSTS + 10)
            .map(|number| cluster(&format!("c{number}"), Some(&format!("https://h{number:03}.example.com"))))
            .collect();
        assert!(all.iter().all(|cluster| one.note(cluster)));
        assert!(all.iter().rev().all(|cluster| other.note(cluster)));
        assert_eq!(*one.shown().borrow(), *other.shown().borrow());
        assert_eq!(one.shown().borrow().len(), HOSTS);
        assert!(one.has_room_for("h063.example.com") && !one.has_room_for("h064.example.com"));
        one.forget("c0");
        assert!(one.has_room_for("h064.example.com") && !one.has_room_for("h065.example.com"));
    }

    #[test]
    fn what_somebody_says_is_read() {
        assert_eq!(read(None).unwrap(), None);
        assert_eq!(read(Some("https://hub:443/")).unwrap().unwrap().to_string(), "https://hub");
        let cause = read(Some("http://hub")).unwrap_err();
        assert!(cause.field == "platformUrl" && cause.message.contains("\"http://hub\" does not begin"), "{cause:?}");
    }
}
