//! The replicas of the hub: who is there, what each looks after, and the connections between them.
//!
//! # Flow
//!
//! Each replica keeps a Lease (coordination.k8s.io) with its address up to date and follows those of the others. It dials
//! each other one that is there, to use its tunnels. Every cluster is looked after by one of those that are there, which
//! all of them find by the same sum (rendezvous hashing, HRW), without a word about it: when a replica comes or goes, its
//! share changes hands and nothing else does.
//!
//! # Guarantees
//!
//! - A replica that is gone has no share 10 s later; one that stops in order has none at once.
//! - For a moment two replicas may look after a cluster, when they do not yet agree on who is there. What they do can be
//!   done twice: it follows from what is seen, and is written with the version of what it was decided on.
//! - Clocks of replicas may differ: how long ago a Lease was renewed, each measures by itself.

mod link;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, Preconditions};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use lib_drain::Drain;
use lib_telemetry::chain;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tunnel_protocol::replica::is_name;

use crate::{Inner, MANAGER, NAMESPACE};

/// The label of the replicas' Leases.
const LABEL: &str = "cpaas.io/hub-replica";
/// The annotation with the address of a replica's door.
const ADDRESS: &str = "cpaas.io/hub-replica-address";
/// How long a Lease holds.
const LEASE: Duration = Duration::from_secs(10);
/// Between two renewals.
const RENEW: Duration = Duration::from_secs(3);
/// How long the Lease of a replica that is gone is kept, for people who look.
const KEEP: Duration = Duration::from_secs(10 * 60);

/// One of several replicas of the hub.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replica {
    /// What it is called: in a cluster, as its Pod.
    pub name: String,
    /// Where the others reach its door: `host:port`.
    pub address: String,
}

/// Why a text names no replica.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReplica {
    /// There is no name, or no address.
    #[error("it is not NAME=HOST:PORT")]
    Form,
    /// It can be no Pod's.
    #[error("{0:?} is no name of a Pod: small letters, digits, '-' and '.'")]
    Name(String),
    /// There is nobody to be reached.
    #[error("{0:?} is not HOST:PORT")]
    Address(String),
}

impl FromStr for Replica {
    type Err = BadReplica;

    /// What follows the last colon is the port, so an IPv6 address needs no brackets: a Pod knows its own without them.
    fn from_str(text: &str) -> Result<Self, BadReplica> {
        let (name, address) = text.split_once('=').ok_or(BadReplica::Form)?;
        if !is_name(name) {
            return Err(BadReplica::Name(name.to_owned()));
        }
        let bad = || BadReplica::Address(address.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(bad)?;
        match host.parse::<Ipv6Addr>() {
            Ok(_) => Ok(Self { name: name.to_owned(), address: format!("[{host}]:{port}") }),
            Err(_) if host.is_empty() || host.contains([':', '/', '=', ' ']) => Err(bad()),
            Err(_) => Ok(Self { name: name.to_owned(), address: format!("{host}:{port}") }),
        }
    }
}

/// Who is there: names, with addresses.
type Present = BTreeMap<String, String>;

/// What is known of the replicas.
pub(crate) struct Replicas {
    /// None: there are no others.
    own: Option<Replica>,
    present: watch::Sender<Present>,
}

impl Replicas {
    pub(crate) fn new(own: Option<Replica>) -> Self {
        Self { own, present: watch::Sender::default() }
    }

    /// Whether this replica looks after a cluster.
    pub(crate) fn owns(&self, cluster: &str) -> bool {
        let Some(own) = &self.own else { return true };
        owner(self.present.borrow().keys(), cluster) == Some(&own.name)
    }

    /// Changes when clusters may have changed hands.
    pub(crate) fn changes(&self) -> watch::Receiver<Present> {
        self.present.subscribe()
    }
}

/// The one with the highest weight, by a hash that does not change with versions.
fn owner<'a>(names: impl Iterator<Item = &'a String>, cluster: &str) -> Option<&'a String> {
    let weight = |name: &String| {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        // A name has no byte of zero.
        [name.as_bytes(), &[0], cluster.as_bytes()].iter().for_each(|part| hash.update(part));
        hash.finish().as_ref().to_vec()
    };
    names.max_by_key(|name| weight(name))
}

/// Takes part, until the hub drains.
pub(crate) async fn run(inner: Arc<Inner>) {
    let Some(own) = inner.replicas.own.clone() else { return };
    let leases: Api<Lease> = Api::namespaced(inner.client.clone(), NAMESPACE);
    tokio::select! {
        () = inner.drain.finishing() => {}
        () = renew(&leases, &own) => {}
        () = follow(&inner, &leases, &own) => {}
        () = connect(&inner, &own) => {}
    }
    // The others need not wait until it runs out.
    if let Err(error) = leases.delete(&lease_name(&own.name), &DeleteParams::default()).await {
        tracing::warn!(error = %chain(&error), "could not give up the hub replica's Lease");
    }
}

fn lease_name(replica: &str) -> String {
    format!("acp-hub-{replica}")
}

async fn renew(leases: &Api<Lease>, own: &Replica) {
    let mut ticks = interval(RENEW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let acquired = MicroTime(Timestamp::now());
    loop {
        ticks.tick().await;
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(lease_name(&own.name)),
                namespace: Some(NAMESPACE.to_owned()),
                labels: Some([(LABEL.to_owned(), "true".to_owned())].into()),
                annotations: Some([(ADDRESS.to_owned(), own.address.clone())].into()),
                ..Default::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(own.name.clone()),
                lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
                acquire_time: Some(acquired.clone()),
                renew_time: Some(MicroTime(Timestamp::now())),
                ..Default::default()
            }),
        };
        let params = PatchParams::apply(MANAGER).force();
        if let Err(error) = leases.patch(&lease_name(&own.name), &params, &Patch::Apply(&lease)).await {
            tracing::warn!(error = %chain(&error), "could not renew the hub replica's Lease");
        }
    }
}

/// A Lease, and when it was last seen to change.
struct Seen {
    address: String,
    renewed: Option<Timestamp>,
    uid: Option<String>,
    at: Instant,
}

/// Keeps who is there up to date.
async fn follow(inner: &Inner, leases: &Api<Lease>, own: &Replica) {
    let events = watcher(leases.clone(), watcher::Config::default().labels(LABEL)).default_backoff();
    let mut events = events.boxed();
    let mut seen: HashMap<String, Seen> = HashMap::new();
    let (mut listed, mut is_known) = (Vec::new(), false);
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => forget_old(leases, &mut seen).await,
            event = events.next() => match event {
                Some(Ok(Event::Init)) => listed.clear(),
                Some(Ok(Event::InitApply(lease))) => {
                    listed.push(lease.name_any());
                    note(&mut seen, &lease);
                }
                Some(Ok(Event::InitDone)) => {
                    seen.retain(|name, _| listed.contains(name));
                    is_known = true;
                }
                Some(Ok(Event::Apply(lease))) => note(&mut seen, &lease),
                Some(Ok(Event::Delete(lease))) => drop(seen.remove(&lease.name_any())),
                Some(Err(error)) => tracing::warn!(error = %chain(&error), "could not follow the hub's replicas"),
                None => return,
            },
        }
        if is_known {
            let present = present(&seen, own, Instant::now());
            inner.replicas.present.send_if_modified(|known| {
                let changed = *known != present;
                if changed {
                    tracing::info!(replicas = ?present.keys().collect::<Vec<_>>(), "the hub's replicas are others now");
                    *known = present;
                }
                changed
            });
        }
    }
}

fn note(seen: &mut HashMap<String, Seen>, lease: &Lease) {
    let name = lease.name_any();
    let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0);
    if seen.get(&name).is_some_and(|known| known.renewed == renewed) {
        return;
    }
    let address = lease.annotations().get(ADDRESS).cloned().unwrap_or_default();
    // One that was not seen to be renewed yet, and by its own time has run out, is that of a replica that is gone.
    let is_over = |time: Timestamp| time.duration_until(Timestamp::now()).unsigned_abs() > LEASE;
    let is_old = !seen.contains_key(&name) && renewed.is_none_or(is_over);
    let at = if is_old { Instant::now().checked_sub(LEASE).unwrap_or_else(Instant::now) } else { Instant::now() };
    seen.insert(name, Seen { address, renewed, uid: lease.uid(), at });
}

fn present(seen: &HashMap<String, Seen>, own: &Replica, now: Instant) -> Present {
    let holds = |seen: &Seen| now.duration_since(seen.at) < LEASE;
    let others = seen.iter().filter(|(_, seen)| holds(seen)).filter_map(|(lease, seen)| {
        let name = lease.strip_prefix(&lease_name(""))?;
        is_name(name).then(|| (name.to_owned(), seen.address.clone()))
    });
    let mut present: Present = others.collect();
    // Also as long as it cannot say so.
    present.insert(own.name.clone(), own.address.clone());
    present
}

/// Removes what replicas have left behind that are long gone.
async fn forget_old(leases: &Api<Lease>, seen: &mut HashMap<String, Seen>) {
    let old = |(_, seen): &(&String, &Seen)| seen.at.elapsed() > KEEP;
    let Some((name, uid)) = seen.iter().find(old).map(|(name, seen)| (name.clone(), seen.uid.clone())) else { return };
    let preconditions = Some(Preconditions { uid, resource_version: None });
    match leases.delete(&name, &DeleteParams { preconditions, ..Default::default() }).await {
        Ok(_) => tracing::info!(lease = %name, "removed the Lease of a hub replica that is long gone"),
        Err(error) => tracing::warn!(lease = %name, error = %chain(&error), "could not remove an old Lease"),
    }
    // It is seen again, if it is there.
    seen.remove(&name);
}

/// Holds a connection to each other replica that is there.
async fn connect(inner: &Arc<Inner>, own: &Replica) {
    let mut changes = inner.replicas.changes();
    let mut links: BTreeMap<Replica, Drain> = BTreeMap::new();
    loop {
        let wanted: Vec<Replica> = {
            let present = changes.borrow_and_update();
            let others = present.iter().filter(|(name, address)| **name != own.name && !address.is_empty());
            others.map(|(name, address)| Replica { name: name.clone(), address: address.clone() }).collect()
        };
        links.retain(|link, drain| {
            let stays = wanted.contains(link);
            if !stays {
                drain.finish();
            }
            stays
        });
        for link in wanted {
            links.entry(link).or_insert_with_key(|other| {
                let drain = inner.drain.child();
                let (inner, own, other, gone) = (inner.clone(), own.name.clone(), other.clone(), drain.clone());
                drain.spawn(async move { link::hold(&inner, &own, &other, &gone).await });
                drain
            });
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn own() -> Replica {
        Replica { name: "a".into(), address: "10.0.0.1:8443".into() }
    }

    fn lease(name: &str, address: &str, renewed: Option<Timestamp>) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(lease_name(name)),
                annotations: Some([(ADDRESS.to_owned(), address.to_owned())].into()),
                ..Default::default()
            },
            spec: Some(LeaseSpec { renew_time: renewed.map(MicroTime), ..Default::default() }),
        }
    }

    #[test]
    fn a_replica_is_named_with_its_address() {
        let read = |text: &str| text.parse::<Replica>().map(|replica| format!("{} {}", replica.name, replica.address));
        assert_eq!(read("acp-hub-7x=10.0.0.7:8443"), Ok("acp-hub-7x 10.0.0.7:8443".into()));
        assert_eq!(read("a=fd00::7:8443"), Ok("a [fd00::7]:8443".into()));
        assert_eq!(read("a=[fd00::7]:8443"), Ok("a [fd00::7]:8443".into()));
        assert_eq!(read("a=hub-0.hub.svc:8443"), Ok("a hub-0.hub.svc:8443".into()));
        assert_eq!(read("10.0.0.7:8443"), Err(BadReplica::Form));
        for name in ["", "A", "a_b", "-a"] {
            assert_eq!(read(&format!("{name}=10.0.0.7:8443")), Err(BadReplica::Name(name.into())));
        }
        for address in
            ["", "10.0.0.7", ":8443", "10.0.0.7:0", "10.0.0.7:70000", "https://hub:8443", "a b:1", "$(POD_IP):x"]
        {
            assert_eq!(read(&format!("a={address}")), Err(BadReplica::Address(address.into())));
        }
    }

    #[test]
    fn who_leaves_gives_its_share_away_and_nothing_else_moves() {
        let (all, left) = (names(&["a", "b", "c"]), names(&["a", "c"]));
        let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
        for number in 0..3_000 {
            let cluster = format!("member-{number}");
            let before = owner(all.iter(), &cluster).unwrap();
            let after = owner(left.iter(), &cluster).unwrap();
            assert!(before == "b" || before == after, "{cluster} moved from {before} to {after}");
            *shares.entry(before).or_default() += 1;
        }
        assert!(shares.values().all(|share| (900..1_100).contains(share)), "{shares:?}");
        assert_eq!(owner([].iter(), "member"), None);
    }

    #[test]
    fn the_same_hash_in_every_version() {
        let all = names(&["a", "b", "c"]);
        let owners: String = (0..12).map(|number| owner(all.iter(), &format!("m{number}")).unwrap().as_str()).collect();
        assert_eq!(owners, "cbbaababcbaa", "as sha256(name, 0, cluster) says");
    }

    #[test]
    fn alone_it_owns_everything_and_among_others_nothing_before_they_are_known() {
        assert!(Replicas::new(None).owns("m"));
        let among = Replicas::new(Some(own()));
        assert!(!among.owns("m"));
        among.present.send_replace([("a".to_owned(), String::new())].into());
        assert!(among.owns("m"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_holds_as_long_as_it_is_seen_to_be_renewed() {
        let mut seen = HashMap::new();
        let now = Timestamp::now();
        // Its clock is an hour behind; that it is renewed is seen all the same.
        let behind = now - jiff::SignedDuration::from_hours(1);
        note(&mut seen, &lease("b", "10.0.0.2:8443", Some(behind)));
        let names =
            |seen: &HashMap<String, Seen>| present(seen, &own(), Instant::now()).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&seen), ["a"], "it may be long gone");
        note(&mut seen, &lease("b", "10.0.0.2:8443", Some(behind + jiff::SignedDuration::from_secs(3))));
        assert_eq!(names(&seen), ["a", "b"]);
        tokio::time::advance(LEASE).await;
        assert_eq!(names(&seen), ["a"]);
        // The same again is no renewal.
        note(&mut seen, &lease("b", "10.0.0.2:8443", Some(behind + jiff::SignedDuration::from_secs(3))));
        assert_eq!(names(&seen), ["a"]);
        note(&mut seen, &lease("c", "10.0.0.3:8443", Some(now)));
        note(&mut seen, &lease("C!", "10.0.0.3:8443", Some(now)));
        assert_eq!(names(&seen), ["a", "c"]);
    }
}
