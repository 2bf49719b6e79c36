//! Hands committed changes to watchers: the part of a backend that all in-process backends share.
//!
//! A backend publishes each commit, in order. The fan-out keeps a window of recent changes, so that a watch may begin a
//! little in the past, and a bounded queue per watcher. Publishing never waits: a watcher whose queue is full is cut off
//! and learns so by [`Error::WatchLagged`]. Changes older than the window come from the backend's [`History`].

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use futures::stream;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{Batch, Error, Event, Revision, WatchRequest, WatchStream};

/// How much a fan-out may remember. Each pair is a number and a size: whichever is reached first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commits waiting for one watcher.
    pub queue_batches: usize,
    /// Bytes waiting for one watcher. One commit may always wait, whatever its size.
    pub queue_bytes: usize,
    /// Recent changes kept for watches that begin in the past.
    pub window_events: usize,
    /// Bytes of recent changes kept.
    pub window_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue_batches: 4096, queue_bytes: 16 << 20, window_events: 2048, window_bytes: 4 << 20 }
    }
}

impl Limits {
    /// A window that only [`Fanout::forget`] shortens, for a backend without other history.
    #[must_use]
    pub fn unbounded_window(self) -> Self {
        Self { window_events: usize::MAX, window_bytes: usize::MAX, ..self }
    }
}

/// The future of [`History::changes`].
pub type Changes<'a> = Pin<Box<dyn Future<Output = Result<Batch, Error>> + Send + 'a>>;

/// Changes that are older than the window.
pub trait History: Send + Sync + 'static {
    /// Some changes under the prefix after a revision, oldest first, complete up to the batch's revision, which must be
    /// greater than `after`.
    fn changes<'a>(&'a self, prefix: &'a str, after: Revision) -> Changes<'a>;
}

/// A history that is all in the window: what is not there was compacted.
#[derive(Debug, Default)]
pub struct NoHistory;

impl History for NoHistory {
    fn changes<'a>(&'a self, _prefix: &'a str, after: Revision) -> Changes<'a> {
        // `join` checks compaction before it asks for history, so this is reached only after a race with `forget`,
        // and then the next revision is all that is certainly gone.
        Box::pin(async move { Err(Error::Compacted { requested: after, compacted: after.next() }) })
    }
}

/// Hands committed changes to watchers. See the module's header.
#[derive(Debug)]
pub struct Fanout {
    limits: Limits,
    state: Mutex<State>,
    /// The latest published revision. Sent after the events, so whoever sees a revision here and then finds its queue
    /// empty has had everything up to it.
    revision: watch::Sender<Revision>,
}

#[derive(Debug)]
struct State {
    revision: Revision,
    compacted: Revision,
    /// All changes after this revision are in `window`.
    floor: Revision,
    window: VecDeque<Arc<Event>>,
    window_bytes: usize,
    watchers: Vec<Watcher>,
    closed: bool,
}

#[derive(Debug)]
struct Watcher {
    prefix: String,
    queue: mpsc::Sender<Batch>,
    shared: Arc<Shared>,
}

/// What the two ends of a watcher's queue both see.
#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    lagged: AtomicBool,
}

impl Fanout {
    /// A fan-out for a store that stands at `revision`.
    #[must_use]
    pub fn new(limits: Limits, revision: Revision, compacted: Revision) -> Self {
        let state = State {
            revision,
            compacted,
            // Nothing led to the first revision, so nothing is missing before it.
            floor: if revision == Revision::FIRST { Revision::ZERO } else { revision },
            window: VecDeque::new(),
            window_bytes: 0,
            watchers: Vec::new(),
            closed: false,
        };
        Self { limits, state: Mutex::new(state), revision: watch::Sender::new(revision) }
    }

    /// The latest published revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        *self.revision.borrow()
    }

    /// The revision below which nothing can be read.
    #[must_use]
    pub fn compacted(&self) -> Revision {
        self.lock().compacted
    }

    /// Whether all watches were ended for good.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How many watchers are live.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.lock().watchers.len()
    }

    /// Tells watchers what was committed, up to and including `revision`. Call in revision order.
    pub fn publish(&self, events: Vec<Arc<Event>>, revision: Revision) {
        let mut state = self.lock();
        let state = &mut *state;
        state.watchers.retain(|watcher| watcher.offer(&events, revision, &self.limits));
        state.revision = revision;
        state.remember(events, &self.limits);
        self.revision.send_replace(revision);
    }

    /// Notes that states before `revision` are compacted, and forgets the changes that led to them.
    pub fn forget(&self, revision: Revision) {
        let mut state = self.lock();
        state.compacted = state.compacted.max(revision);
        state.forget(revision);
    }

    /// Goes on at a revision, over changes that this process will never learn.
    ///
    /// For a backend that follows another process: watchers are cut off, and learn by [`Error::WatchLagged`] up to where
    /// they know everything.
    pub fn skip_to(&self, revision: Revision) {
        let mut state = self.lock();
        if revision <= state.revision {
            return;
        }
        for watcher in state.watchers.drain(..) {
            watcher.shared.lagged.store(true, Ordering::Release);
        }
        state.revision = revision;
        state.forget(revision);
        self.revision.send_replace(revision);
    }

    /// Ends all watches with [`Error::Closed`] and refuses further ones.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.watchers.clear();
        state.window.clear();
        state.window_bytes = 0;
        // Wakes those who wait in `reached`.
        self.revision.send_modify(|_| {});
    }

    /// Waits until a revision is published.
    ///
    /// For a backend whose readers may see a commit a moment before it is published: a caller that is told of a
    /// revision must be able to watch from there.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when that will not happen any more.
    pub async fn reached(&self, revision: Revision) -> Result<(), Error> {
        let mut published = self.revision.subscribe();
        while *published.borrow_and_update() < revision {
            if self.lock().closed {
                return Err(Error::Closed);
            }
            // Cannot fail: the sender is in `self`.
            published.changed().await.map_err(|_| Error::Closed)?;
        }
        Ok(())
    }

    /// Begins a watch.
    ///
    /// # Errors
    ///
    /// As [`crate::Store::watch`].
    pub fn watch(self: &Arc<Self>, history: Arc<dyn History>, request: WatchRequest) -> Result<WatchStream, Error> {
        let position = request.after.unwrap_or_else(|| self.revision());
        let mut follower = Follower {
            fanout: Arc::clone(self),
            history,
            revision: self.revision.subscribe(),
            live: None,
            first: None,
            next_progress: Instant::now(),
            position,
            request,
        };
        follower.join()?;
        Ok(Box::pin(stream::unfold(Some(follower), |follower| async move {
            let mut follower = follower?;
            match follower.next().await {
                Ok(batch) => Some((Ok(batch), Some(follower))),
                Err(error) => Some((Err(error), None)),
            }
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is complete before anything that may panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, events: Vec<Arc<Event>>, limits: &Limits) {
        for event in events {
            self.window_bytes += event.weight();
            self.window.push_back(event);
        }
        while self.window.len() > limits.window_events || self.window_bytes > limits.window_bytes {
            let Some(oldest) = self.window.front().map(|event| event.kv.mod_revision) else { break };
            self.forget(oldest);
        }
    }

    /// Drops whole revisions, so that the window never begins inside one.
    fn forget(&mut self, upto: Revision) {
        while let Some(event) = self.window.front().filter(|event| event.kv.mod_revision <= upto) {
            self.window_bytes -= event.weight();
            self.window.pop_front();
        }
        self.floor = self.floor.max(upto);
    }
}

impl Watcher {
    /// Queues what concerns this watcher; false when it is gone or cut off.
    fn offer(&self, events: &[Arc<Event>], revision: Revision, limits: &Limits) -> bool {
        let events = matching(events.iter(), &self.prefix);
        if events.is_empty() {
            return !self.queue.is_closed();
        }
        let weight = weigh(&events);
        let waiting = self.shared.bytes.load(Ordering::Acquire);
        if waiting > 0 && waiting + weight > limits.queue_bytes {
            self.shared.lagged.store(true, Ordering::Release);
            return false;
        }
        self.shared.bytes.fetch_add(weight, Ordering::AcqRel);
        match self.queue.try_send(Batch { revision, events }) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.shared.lagged.store(true, Ordering::Release);
                false
            }
        }
    }
}

/// The reading end of one watch: first catches up, then lives from its queue.
struct Follower {
    fanout: Arc<Fanout>,
    history: Arc<dyn History>,
    request: WatchRequest,
    revision: watch::Receiver<Revision>,
    /// Everything up to here was delivered.
    position: Revision,
    live: Option<Live>,
    /// The batch that marks the watch as live, until it is delivered.
    first: Option<Batch>,
    next_progress: Instant,
}

struct Live {
    queue: mpsc::Receiver<Batch>,
    shared: Arc<Shared>,
}

impl Follower {
    /// Enters the list of live watchers if the window reaches back to our position.
    fn join(&mut self) -> Result<(), Error> {
        let mut state = self.fanout.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        if self.position > state.revision {
            return Err(Error::FutureRevision { requested: self.position, current: state.revision });
        }
        if self.position < state.compacted {
            return Err(Error::Compacted { requested: self.position, compacted: state.compacted });
        }
        if self.position < state.floor {
            return Ok(());
        }
        let unseen = state.window.partition_point(|event| event.kv.mod_revision <= self.position);
        let events = matching(state.window.range(unseen..), &self.request.prefix);
        let (sender, queue) = mpsc::channel(self.fanout.limits.queue_batches);
        let shared = Arc::new(Shared::default());
        // While nothing is written, nobody else would notice those who left.
        state.watchers.retain(|watcher| !watcher.queue.is_closed());
        state.watchers.push(Watcher {
            prefix: self.request.prefix.clone(),
            queue: sender,
            shared: Arc::clone(&shared),
        });
        self.first = Some(Batch { revision: state.revision, events });
        self.live = Some(Live { queue, shared });
        Ok(())
    }

    async fn next(&mut self) -> Result<Batch, Error> {
        let batch = match self.live {
            Some(_) => self.next_live().await?,
            None => self.catch_up().await?,
        };
        self.position = batch.revision;
        self.next_progress = Instant::now() + self.request.progress;
        Ok(batch)
    }

    async fn catch_up(&mut self) -> Result<Batch, Error> {
        loop {
            self.join()?;
            if self.live.is_some() {
                return self.next_live().await;
            }
            let batch = self.history.changes(&self.request.prefix, self.position).await?;
            self.position = batch.revision;
            if !batch.events.is_empty() {
                return Ok(batch);
            }
        }
    }

    async fn next_live(&mut self) -> Result<Batch, Error> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        let Self { fanout, revision, position, live, next_progress, .. } = self;
        let Some(Live { queue, shared }) = live else { return Err(Error::Closed) };
        let progress = async {
            tokio::time::sleep_until(*next_progress).await;
            revision.wait_for(|revision| *revision > *position).await.map(|revision| *revision)
        };
        let batch = tokio::select! {
            biased;
            batch = queue.recv() => batch,
            // The sender lives in `fanout`, which we hold, so waiting cannot fail.
            Ok(revision) = progress => match queue.try_recv() {
                Ok(batch) => Some(batch),
                Err(mpsc::error::TryRecvError::Empty) => return Ok(Batch { revision, events: Vec::new() }),
                Err(mpsc::error::TryRecvError::Disconnected) => None,
            },
        };
        match batch {
            Some(batch) => {
                shared.bytes.fetch_sub(weigh(&batch.events), Ordering::AcqRel);
                Ok(batch)
            }
            None if shared.lagged.load(Ordering::Acquire) => Err(Error::WatchLagged { after: *position }),
            None => {
                debug_assert!(fanout.lock().closed, "a queue ends only by lag or close");
                Err(Error::Closed)
            }
        }
    }
}

fn matching<'a>(events: impl Iterator<Item = &'a Arc<Event>>, prefix: &str) -> Vec<Arc<Event>> {
    events.filter(|event| event.kv.key.starts_with(prefix)).cloned().collect()
}

fn weigh(events: &[Arc<Event>]) -> usize {
    events.iter().map(|event| event.weight()).sum()
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::{EventKind, KeyValue};

    fn change(revision: u64, bytes: usize) -> Vec<Arc<Event>> {
        let kv = KeyValue {
            key: "/a".into(),
            value: vec![0; bytes].into(),
            create_revision: Revision(revision),
            mod_revision: Revision(revision),
            version: 1,
        };
        vec![Arc::new(Event { kind: EventKind::Put, kv, prev: None })]
    }

    fn fanout(limits: Limits) -> Arc<Fanout> {
        Arc::new(Fanout::new(limits, Revision::FIRST, Revision::ZERO))
    }

    fn watch(fanout: &Arc<Fanout>, after: u64) -> Result<WatchStream, Error> {
        fanout.watch(Arc::new(NoHistory), WatchRequest::prefix("/").after(Revision(after)))
    }

    /// How many changes a watcher gets that reads only after all of them were published.
    async fn delivered_to_a_sleeper(limits: Limits, changes: u64, bytes: usize) -> usize {
        let fanout = fanout(limits);
        let mut stream = watch(&fanout, 1).unwrap();
        for revision in 2..2 + changes {
            fanout.publish(change(revision, bytes), Revision(revision));
        }
        let mut delivered = 0;
        loop {
            match stream.next().await.unwrap() {
                Ok(batch) => delivered += batch.events.len(),
                Err(Error::WatchLagged { after }) => {
                    assert_eq!(after, Revision(1 + delivered as u64));
                    assert!(stream.next().await.is_none());
                    return delivered;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[tokio::test]
    async fn a_queue_is_bounded_by_number() {
        let limits = Limits { queue_batches: 3, ..Limits::default() };
        assert_eq!(delivered_to_a_sleeper(limits, 10, 1).await, 3);
    }

    #[tokio::test]
    async fn a_queue_is_bounded_by_size_but_holds_one_batch_of_any() {
        let limits = Limits { queue_bytes: 25_000, ..Limits::default() };
        assert_eq!(delivered_to_a_sleeper(limits, 10, 10_000).await, 2);
        assert_eq!(delivered_to_a_sleeper(limits, 10, 100_000).await, 1);
    }

    #[tokio::test]
    async fn a_window_is_bounded_and_says_what_it_lost() {
        for limits in
            [Limits { window_events: 3, ..Limits::default() }, Limits { window_bytes: 35_000, ..Limits::default() }]
        {
            let fanout = fanout(limits);
            for revision in 2..=10 {
                fanout.publish(change(revision, 10_000), Revision(revision));
            }
            let replayed = watch(&fanout, 7).unwrap().next().await.unwrap().unwrap();
            assert_eq!((replayed.revision, replayed.events.len()), (Revision(10), 3));
            let lost = watch(&fanout, 6).unwrap().next().await.unwrap();
            assert!(matches!(lost, Err(Error::Compacted { requested: Revision(6), .. })));
        }
    }

    #[tokio::test]
    async fn a_gap_cuts_watchers_off_behind_what_they_were_told() {
        let fanout = fanout(Limits::default());
        let mut stream = watch(&fanout, 1).unwrap();
        fanout.publish(change(2, 1), Revision(2));
        fanout.skip_to(Revision(9));
        assert_eq!(fanout.revision(), Revision(9));
        let mut told = Revision(1);
        let lost = loop {
            match stream.next().await.unwrap() {
                Ok(batch) => told = batch.revision,
                Err(error) => break error,
            }
        };
        assert!(matches!(lost, Error::WatchLagged { after } if after == told && told < Revision(9)), "{lost}, {told}");
        assert!(matches!(watch(&fanout, 2).unwrap().next().await.unwrap(), Err(Error::Compacted { .. })));
        fanout.publish(change(10, 1), Revision(10));
        let resumed = watch(&fanout, 9).unwrap().next().await.unwrap().unwrap();
        assert_eq!((resumed.revision, resumed.events.len()), (Revision(10), 1));
    }

    #[tokio::test]
    async fn watchers_that_left_are_forgotten_without_any_write() {
        let fanout = fanout(Limits::default());
        for _ in 0..100 {
            drop(watch(&fanout, 1).unwrap());
        }
        let _stays = watch(&fanout, 1).unwrap();
        assert_eq!(fanout.watchers(), 1);
    }

    #[tokio::test]
    async fn waiting_for_a_revision_ends_when_it_is_published_or_never_will_be() {
        let fanout = fanout(Limits::default());
        let (reached, ()) = tokio::join!(fanout.reached(Revision(3)), async {
            fanout.publish(change(2, 1), Revision(2));
            tokio::task::yield_now().await;
            fanout.publish(change(3, 1), Revision(3));
        });
        reached.unwrap();
        let (reached, ()) = tokio::join!(fanout.reached(Revision(4)), async { fanout.close() });
        assert!(matches!(reached, Err(Error::Closed)));
    }
}
