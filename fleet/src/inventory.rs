//! Follows which objects every cluster has, and keeps them where they can be asked for.
//!
//! # Flow
//!
//! One follower for each cluster, beside its worker. A cluster with an agent tells its objects through the tunnel; the hub
//! itself and imported clusters are listed and watched from here, by the same crate. Lines go into the index as they come,
//! few under each lock.
//!
//! # Guarantees
//!
//! - What is known of a cluster that is lost stays, and [`Freshness::as_of`] says how old it is. A cluster that is removed
//!   is forgotten, and nothing that was still on its way comes after that.
//! - Followers begin one after another, and come back at different times. A cluster that will not be followed until
//!   somebody changes it - an older agent, a missing role - is asked again every minute or so, and says why.
//! - A cluster that sends nonsense, too much or nothing loses its feed, and no other does.

mod backoff;
mod told;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use api_types::cluster::{Cluster, Connection};
use bytes::Bytes;
use fleet_index::Index;
use fleet_inventory::Feed;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::{Request, StatusCode};
use http_body_util::BodyDataStream;
use jiff::Timestamp;
use kube::ResourceExt;
use lib_backoff::chance;
use lib_names::ClusterName;
use lib_telemetry::chain;
use serde::Deserialize;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};
use tunnel_hub::{OpenError, Room};
use tunnel_protocol::inventory::{BEAT, BadLine, Decoder, PATH};
use tunnel_protocol::{Refusal, Target};

use self::backoff::Backoff;
use self::told::Told;
use crate::Inner;
use crate::error::NoAccess;
use crate::plan::identity::CHANGED;
use lib_kubernetes::{BodyError, BoxError, collect, full};

/// Clusters that tell all their objects at the same time.
const LISTINGS: usize = 16;
/// How long one may keep others waiting by that.
const LISTING: Duration = Duration::from_secs(60);
/// Until a feed begins: the cluster is asked for its rights and its kinds first.
const OPEN: Duration = Duration::from_secs(65);
/// Followers begin within this time.
const SPREAD: Duration = Duration::from_millis(500);
/// Lines under one lock: a millisecond's work.
const BATCH: usize = 256;
/// The most that is read of a refusal.
const SMALL: usize = 16 * 1024;

/// The objects of all clusters, as far as they are known. Clones share them.
#[derive(Clone, Default)]
pub struct Inventory(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Taken before the other.
    index: RwLock<Index>,
    clusters: Mutex<Clusters>,
    listings: Listings,
}

struct Listings(Semaphore);

impl Default for Listings {
    fn default() -> Self {
        Self(Semaphore::new(LISTINGS))
    }
}

#[derive(Default)]
struct Clusters {
    generation: u64,
    followed: BTreeMap<String, Followed>,
}

struct Followed {
    /// Says which of the followers of a cluster of that name it is.
    generation: u64,
    freshness: Freshness,
}

/// How well a cluster is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// What is known is at least as new as this; `None`: not everything has been told even once.
    pub as_of: Option<Timestamp>,
    /// Whether more is told.
    pub state: FeedState,
}

/// Whether a cluster tells which objects it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// It tells all that is there; that may take a moment.
    Listing,
    /// It tells what changes.
    Following,
    /// The same, but for these resources, with their reasons.
    Incomplete(BTreeMap<String, String>),
    /// It tells nothing.
    Lost {
        /// As conditions have them.
        reason: &'static str,
        /// The same, for people.
        message: String,
    },
}

impl Freshness {
    /// Status, reason and message of the condition `Indexed`.
    pub(crate) fn condition(&self) -> (&'static str, &'static str, String) {
        match &self.state {
            FeedState::Listing => ("False", "Listing", "The cluster's objects are being listed.".into()),
            FeedState::Following => ("True", "Following", "The cluster's objects are known, and followed.".into()),
            FeedState::Incomplete(lost) => {
                let some: Vec<String> = lost.iter().take(3).map(|(what, why)| format!("{what} ({why})")).collect();
                let more = lost.len().saturating_sub(3);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                ("False", "Incomplete", format!("Some objects cannot be listed: {}{more}.", some.join(", ")))
            }
            FeedState::Lost { reason, message } => ("False", reason, message.clone()),
        }
    }
}

impl Inventory {
    /// The index, for a question or two; while it is held, nothing new comes in.
    pub fn read(&self) -> RwLockReadGuard<'_, Index> {
        // A panic in the middle of a change leaves a row more or less, which the next listing puts right.
        self.0.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How well a cluster is known; `None` if there is no such cluster.
    pub fn freshness(&self, cluster: &str) -> Option<Freshness> {
        self.clusters().followed.get(cluster).map(|followed| followed.freshness.clone())
    }

    /// How well each cluster is known.
    pub fn freshnesses(&self) -> BTreeMap<String, Freshness> {
        let clusters = self.clusters();
        clusters.followed.iter().map(|(name, followed)| (name.clone(), followed.freshness.clone())).collect()
    }

    /// A cluster is removed.
    pub(crate) fn forget(&self, cluster: &str) {
        let mut index = self.0.index.write().unwrap_or_else(PoisonError::into_inner);
        self.clusters().followed.remove(cluster);
        index.forget(cluster);
    }

    fn clusters(&self) -> MutexGuard<'_, Clusters> {
        self.0.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A follower begins; the one before it, if there is one, is heard no more.
    fn enter(&self, cluster: &str) -> Place {
        let mut clusters = self.clusters();
        clusters.generation += 1;
        let generation = clusters.generation;
        let freshness = Freshness { as_of: None, state: FeedState::Listing };
        clusters.followed.insert(cluster.to_owned(), Followed { generation, freshness });
        Place { inventory: self.clone(), cluster: cluster.to_owned(), generation }
    }
}

/// A follower's right to say something of a cluster.
struct Place {
    inventory: Inventory,
    cluster: String,
    generation: u64,
}

impl Place {
    /// Changes the index, if the cluster is still ours.
    fn change<T>(&self, change: impl FnOnce(&mut Index) -> Result<T, Failed>) -> Result<T, Failed> {
        let mut index = self.inventory.0.index.write().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |followed: &Followed| followed.generation == self.generation;
        if !self.inventory.clusters().followed.get(&self.cluster).is_some_and(is_ours) {
            return Err(Failed::Removed);
        }
        change(&mut index)
    }

    fn update(&self, update: impl FnOnce(&mut Freshness)) {
        let mut clusters = self.inventory.clusters();
        let followed = clusters.followed.get_mut(&self.cluster);
        if let Some(followed) = followed.filter(|followed| followed.generation == self.generation) {
            update(&mut followed.freshness);
        }
    }

    fn lost(&self, failed: &Failed) {
        let (reason, message) = (failed.reason(), format!("{}.", chain(failed)));
        self.update(|freshness| freshness.state = FeedState::Lost { reason, message });
    }
}

/// Why a cluster is not followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("the cluster was removed")]
    Removed,
    #[error("the agent is not connected")]
    Disconnected,
    #[error("the agent is of an earlier version, which does not tell which objects there are; upgrade it")]
    OldAgent,
    #[error("the agent refused: {message}")]
    Refused { code: StatusCode, message: String },
    #[error("could not reach the agent")]
    Tunnel(#[source] tunnel_hub::SendError),
    #[error("there is no way to the cluster")]
    NoAccess(#[source] NoAccess),
    #[error("it does not say how it is reached")]
    NoConnection,
    #[error("another cluster answers under this name")]
    Another,
    #[error("the cluster did not answer in time")]
    Deadline,
    #[error(transparent)]
    Feed(#[from] fleet_inventory::Error),
    #[error("the feed broke off")]
    Broken(#[source] BoxError),
    #[error("the feed ended")]
    Ended,
    #[error("nothing was heard for {} s", SILENCE.as_secs())]
    Silent,
    #[error("the feed was no feed")]
    Line(#[from] BadLine),
    #[error("the feed spoke of a kind that it had not named")]
    UnknownKind,
    #[error("the cluster has too many objects")]
    Room(#[from] fleet_index::Refused),
}

/// A feed that says nothing for so long is dead.
const SILENCE: Duration = BEAT.saturating_mul(3);

impl Failed {
    fn reason(&self) -> &'static str {
        match self {
            Self::Removed => "Removed",
            Self::Disconnected => "TunnelClosed",
            Self::OldAgent => "AgentTooOld",
            Self::Feed(fleet_inventory::Error::NotAllowed) => "NotAllowed",
            Self::Refused { code: StatusCode::FORBIDDEN, .. } => "NotAllowed",
            Self::Refused { .. } => "AgentRefused",
            Self::NoAccess(_) | Self::NoConnection => "NoCredential",
            Self::Another => CHANGED,
            Self::Tunnel(_) | Self::Deadline | Self::Feed(_) => "Unreachable",
            Self::Broken(_) | Self::Ended | Self::Silent => "FeedLost",
            Self::Line(_) | Self::UnknownKind => "BadFeed",
            Self::Room(_) => "TooManyObjects",
        }
    }

    /// Whether only somebody's change repairs it, or the tunnel that is waited for anyway.
    fn is_patient(&self) -> bool {
        let refused = matches!(self, Self::Refused { code: StatusCode::FORBIDDEN, .. });
        let not_allowed = matches!(self, Self::Feed(fleet_inventory::Error::NotAllowed));
        let of_us = matches!(
            self,
            Self::OldAgent | Self::Disconnected | Self::NoAccess(_) | Self::NoConnection | Self::Another
        );
        refused || not_allowed || of_us || matches!(self, Self::Room(_) | Self::Line(_) | Self::UnknownKind)
    }
}

/// Follows a cluster until it is dropped. `linked` says that its tunnel is another one.
pub(crate) async fn follow(inner: &Inner, name: &str, uid: &str, linked: &Notify) {
    let place = inner.inventory.enter(name);
    let mut backoff = Backoff::default();
    // Until then no cluster is known by its name.
    let _ = inner.listed.subscribe().wait_for(|listed| *listed).await;
    loop {
        sleep(SPREAD.mul_f64(chance())).await;
        let began = Instant::now();
        let failed = match follow_once(inner, &place, uid).await {
            Ok(never) => match never {},
            Err(Failed::Removed) => return,
            Err(failed) => failed,
        };
        tracing::debug!(cluster = %name, error = %chain(&failed), "a cluster's objects are not followed");
        place.lost(&failed);
        let pause = backoff.after(began.elapsed(), failed.is_patient(), chance());
        tokio::select! {
            () = sleep(pause) => {}
            () = linked.notified() => {}
        }
    }
}

async fn follow_once(inner: &Inner, place: &Place, uid: &str) -> Result<std::convert::Infallible, Failed> {
    let cluster = inner.cluster(&place.cluster).filter(|cluster| cluster.uid().as_deref() == Some(uid));
    let cluster = cluster.ok_or(Failed::Removed)?;
    let by_tunnel = Connection::of(&cluster) == Some(Connection::Tunnel) && place.cluster != ClusterName::GLOBAL;
    if by_tunnel && !is_connected(inner, &place.cluster) {
        return Err(Failed::Disconnected);
    }
    if inner.strangers.has(&cluster) {
        return Err(Failed::Another);
    }
    // Never closed.
    let mut turn = inner.inventory.0.listings.0.acquire().await.ok();
    let began = Instant::now();
    let mut pieces = timeout(OPEN, open(inner, &cluster)).await.map_err(|_| Failed::Deadline)??;
    place.update(|freshness| freshness.state = FeedState::Listing);
    let (mut decoder, mut told) = (Decoder::default(), Told::default());
    loop {
        let piece = timeout(SILENCE, pieces.next()).await.map_err(|_| Failed::Silent)?;
        let piece = piece.ok_or(Failed::Ended)?.map_err(Failed::Broken)?;
        if inner.strangers.has(&cluster) {
            return Err(Failed::Another);
        }
        for batch in decoder.push(&piece)?.chunks(BATCH) {
            place.change(|index| batch.iter().try_for_each(|line| told.take(index, &place.cluster, line)))?;
            // Others may have waited for the lock, or for us.
            tokio::task::yield_now().await;
        }
        let (state, now) = (told.state(), Timestamp::now());
        release(&mut turn, &state, began);
        place.update(|freshness| {
            if state != FeedState::Listing {
                freshness.as_of = Some(now);
            }
            freshness.state = state;
        });
    }
}

/// Lets the next cluster list its objects.
fn release(turn: &mut Option<SemaphorePermit<'_>>, state: &FeedState, began: Instant) {
    if *state != FeedState::Listing || began.elapsed() > LISTING {
        turn.take();
    }
}

fn is_connected(inner: &Inner, cluster: &str) -> bool {
    let name = cluster.parse::<ClusterName>();
    name.is_ok_and(|name| matches!(inner.sessions.connection(&name), tunnel_hub::Connection::Connected { .. }))
}

type Pieces = BoxStream<'static, Result<Bytes, BoxError>>;

/// A cluster's feed, wherever it is made.
async fn open(inner: &Inner, cluster: &Cluster) -> Result<Pieces, Failed> {
    let name = cluster.name_any();
    if name == ClusterName::GLOBAL {
        return Ok(Feed::open(inner.hub.clone()).await?.into_lines().map(Ok).boxed());
    }
    match Connection::of(cluster) {
        Some(Connection::Tunnel) => through_tunnel(inner, &name).await,
        Some(Connection::Direct) => {
            let api = inner.direct(cluster).await.map_err(Failed::NoAccess)?;
            Ok(Feed::open(api).await?.into_lines().map(Ok).boxed())
        }
        Some(Connection::InProcess) | None => Err(Failed::NoConnection),
    }
}

async fn through_tunnel(inner: &Inner, cluster: &str) -> Result<Pieces, Failed> {
    let name: ClusterName = cluster.parse().map_err(|_| Failed::NoConnection)?;
    let request = Request::get(PATH).body(full(Bytes::new())).map_err(|error| Failed::Broken(error.into()))?;
    let answer = inner.through_tunnel(&name, Room::Hub, Target::Inventory, request).await;
    let response = answer.map_err(|error| match error {
        tunnel_hub::SendError::Open(OpenError::NoTunnel { .. }) => Failed::Disconnected,
        tunnel_hub::SendError::Open(OpenError::Refused { refusal: Refusal::Forbidden, .. }) => Failed::OldAgent,
        error => Failed::Tunnel(error),
    })?;
    if response.status() != StatusCode::OK {
        let code = response.status();
        let text =
            collect(response.into_body(), SMALL).await.map_err(|error: BodyError| Failed::Broken(error.into()))?;
        let said: Said = serde_json::from_slice(&text).unwrap_or_default();
        return Err(Failed::Refused { code, message: plain(&said.message) });
    }
    Ok(BodyDataStream::new(response.into_body()).map_err(BoxError::from).boxed())
}

/// What an agent says when it refuses.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
}

/// One short line that a terminal shows as it is.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(512).collect()
}
