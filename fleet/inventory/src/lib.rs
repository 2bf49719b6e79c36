//! Which objects a cluster has: every kind listed, and then watched; told as a feed of lines.
//!
//! # Flow
//!
//! [`Feed::open`] asks whether everything may be read and which kinds there are. [`Feed::into_lines`] lists them, a few at
//! a time and page by page, and holds a watch of each from the list's version on. A watch that ends goes on where it was;
//! one that breaks, or whose version is no longer known, leads to a new listing. Kinds are looked for again every 25 s, and
//! at once when a definition changes.
//!
//! # Guarantees
//!
//! - What is read is read in the name of [`USER`](tunnel_protocol::inventory::USER), and decided by the cluster's RBAC.
//! - Nothing happens unless somebody reads: there is no task, and no more in memory than a page of each listing that has
//!   its turn, the events that are just arriving, and a few pieces of lines.
//! - Whatever the cluster answers has a bound, in bytes, in number and in time. Failures of one kind do not hold up
//!   another, and are told as [`Line::Lost`].
//!
//! Not told: annotations, and anything of an object but its metadata and the images that it runs. Events, leases and
//! endpoints are left out.

mod ask;
mod discovery;
mod kind;
mod object;
mod out;
mod pause;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{AbortHandle, BoxFuture, abortable};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt, stream};
use lib_kubernetes::ClusterApi;
use lib_telemetry::chain;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tunnel_protocol::inventory::{BEAT, Kinds, Line, MAX_KINDS};

use crate::ask::Reader;
use crate::discovery::{Discovered, Served};
use crate::kind::Follower;
use crate::out::Out;

pub use crate::ask::Error;

/// Kinds that are listed at the same time.
const LISTINGS: usize = 4;
/// Between two looks for kinds. With the answer that is well below 30 s.
const LOOK: Duration = Duration::from_secs(25);
/// A definition changes a few times before its kind is served.
const SETTLE: Duration = Duration::from_millis(300);
/// Pieces of lines that wait for the reader.
const QUEUE: usize = 8;

/// A feed that can begin.
pub struct Feed {
    reader: Reader,
    found: Discovered,
}

impl Feed {
    /// Asks a cluster whether it lets itself be followed. The API may speak for anybody.
    ///
    /// # Errors
    /// When it does not, or does not answer.
    pub async fn open(api: ClusterApi) -> Result<Self, Error> {
        let reader = Reader::new(api);
        reader.check_rights().await?;
        let found = reader.discover().await?;
        Ok(Self { reader, found })
    }

    /// The lines, in pieces. There is no end to them; who has enough drops the stream.
    pub fn into_lines(self) -> impl Stream<Item = Bytes> + Send + 'static {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let written = Writer::new(self.reader, Out(sender)).run(self.found).map(|()| None).into_stream();
        let read = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await, receiver)) });
        stream::select(read, written).filter_map(std::future::ready)
    }
}

/// Follows the kinds that there are.
struct Writer {
    reader: Reader,
    out: Out,
    turns: Arc<Semaphore>,
    woken: Arc<Notify>,
    begun: Arc<AtomicUsize>,
    /// Those that are followed.
    kinds: BTreeMap<Served, (u16, AbortHandle)>,
    followers: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Writer {
    fn new(reader: Reader, out: Out) -> Self {
        let (turns, woken) = (Arc::new(Semaphore::new(LISTINGS)), Arc::new(Notify::new()));
        let (kinds, followers) = (BTreeMap::new(), FuturesUnordered::new());
        Self { reader, out, turns, woken, begun: Arc::default(), kinds, followers }
    }

    async fn run(mut self, found: Discovered) {
        self.update(found).await;
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = look(self.reader.clone(), self.woken.clone()).boxed();
        loop {
            tokio::select! {
                _ = beat.tick() => self.out.line(Line::Beat {}).await,
                found = &mut look => {
                    self.update(found).await;
                    look = crate::look(self.reader.clone(), self.woken.clone()).boxed();
                }
                Some(()) = self.followers.next() => {}
            }
        }
    }

    /// Begins with kinds that are new, and leaves those that are gone.
    async fn update(&mut self, found: Discovered) {
        let Discovered { kinds: served, silent } = found;
        // A group that does not answer still has what it had.
        let is_gone = |kind: &Served| !served.contains(kind) && !silent.contains(&kind.group);
        let gone: Vec<_> = self.kinds.extract_if(.., |kind, _| is_gone(kind)).collect();
        gone.iter().for_each(|(_, (_, follower))| follower.abort());
        let added: Vec<Served> = served.into_iter().filter(|kind| !self.kinds.contains_key(kind)).collect();
        if added.is_empty() && gone.is_empty() {
            return;
        }
        let taken: BTreeSet<u16> = self.kinds.values().map(|(number, _)| *number).collect();
        let free = (0..).take(MAX_KINDS).filter(|number| !taken.contains(number));
        let mut begun = Vec::new();
        for (served, number) in added.into_iter().zip(free) {
            begun.push(Line::Begin(served.numbered(number)));
            let follower = Follower {
                reader: self.reader.clone(),
                served: served.clone(),
                number,
                turns: self.turns.clone(),
                kinds: self.woken.clone(),
                begun: self.begun.clone(),
                out: self.out.clone(),
            };
            let (follower, handle) = abortable(follower.run());
            self.followers.push(follower.map(drop).boxed());
            self.kinds.insert(served, (number, handle));
        }
        let kinds = self.kinds.values().map(|(number, _)| *number).collect();
        self.out.lines(begun.into_iter().chain([Line::Kinds(Kinds { kinds })])).await;
    }
}

/// Waits until it is time, or there is a reason, and looks for kinds.
async fn look(reader: Reader, woken: Arc<Notify>) -> Discovered {
    loop {
        if timeout(LOOK, woken.notified()).await.is_ok() {
            sleep(SETTLE).await;
        }
        match reader.discover().await {
            Ok(found) => return found,
            Err(error) => {
                tracing::debug!(error = %chain(&error), "could not look for kinds");
                // Reasons may come faster than answers.
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
