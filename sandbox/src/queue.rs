//! A work queue that holds each key at most once.
//!
//! # Guarantees
//!
//! A key is never handed out twice at the same time. A key added while it is being worked on is handed out again
//! afterwards. The queue is bounded by the number of distinct keys, so by the number of objects in the cluster.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::clock::Clock;

/// The first wait after a failure; each further one doubles it.
const BACKOFF_START: Duration = Duration::from_millis(20);
/// No failure waits longer.
const BACKOFF_LIMIT: Duration = Duration::from_secs(30);
/// Long, and within what every machine can count.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Notify,
    clock: Clock,
}

struct State<T> {
    ready: VecDeque<T>,
    queued: HashSet<T>,
    working: HashSet<T>,
    again: HashSet<T>,
    waiting: BTreeMap<(Instant, u64), T>,
    due: HashMap<T, (Instant, u64)>,
    failures: HashMap<T, u32>,
    tickets: u64,
}

impl<T: Clone + Eq + Hash> Queue<T> {
    /// A queue whose delays are in the time of `clock`.
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                queued: HashSet::new(),
                working: HashSet::new(),
                again: HashSet::new(),
                waiting: BTreeMap::new(),
                due: HashMap::new(),
                failures: HashMap::new(),
                tickets: 0,
            }),
            changed: Notify::new(),
            clock: clock.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the delay is over. One that is longer than the machine can count is looked at in between.
    fn after(&self, delay: Duration) -> Instant {
        let now = Instant::now();
        now.checked_add(self.clock.real(delay)).unwrap_or(now + FAR)
    }

    /// Asks for `key` to be worked on as soon as possible.
    pub(crate) fn add(&self, key: T) {
        let mut state = self.lock();
        if state.enqueue(key) {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Asks for `key` to be worked on after `delay`; an earlier wish for the same key stands.
    pub(crate) fn add_after(&self, key: T, delay: Duration) {
        let mut state = self.lock();
        state.postpone(key, self.after(delay));
        drop(state);
        self.changed.notify_one();
    }

    /// The next key; wait for it. Answer with [`Queue::done`].
    pub(crate) async fn next(&self) -> T {
        loop {
            let wake = {
                let mut state = self.lock();
                state.mature(Instant::now());
                if let Some(key) = state.take() {
                    return key;
                }
                state.waiting.first_key_value().map(|((at, _), _)| *at)
            };
            match wake {
                Some(at) => tokio::select! {
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Ends the work on `key`. A failure comes back later, each time after a longer wait.
    pub(crate) fn done(&self, key: &T, outcome: Outcome) {
        let mut state = self.lock();
        state.working.remove(key);
        match outcome {
            Outcome::Settled => {
                state.failures.remove(key);
            }
            Outcome::After(delay) => {
                state.failures.remove(key);
                state.postpone(key.clone(), self.after(delay));
            }
            Outcome::Failed => {
                let failures = state.failures.entry(key.clone()).or_insert(0);
                let wait = BACKOFF_START.saturating_mul(1 << (*failures).min(12)).min(BACKOFF_LIMIT);
                *failures = failures.saturating_add(1);
                state.postpone(key.clone(), Instant::now() + wait);
            }
        }
        if state.again.remove(key) {
            state.enqueue(key.clone());
        }
        drop(state);
        self.changed.notify_one();
    }
}

/// How the work on a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to do until something changes.
    Settled,
    /// Look again after this time.
    After(Duration),
    /// Try again, more slowly each time.
    Failed,
}

impl<T: Clone + Eq + Hash> State<T> {
    fn enqueue(&mut self, key: T) -> bool {
        if self.working.contains(&key) {
            self.again.insert(key);
            return false;
        }
        if !self.queued.insert(key.clone()) {
            return false;
        }
        self.ready.push_back(key);
        true
    }

    fn postpone(&mut self, key: T, at: Instant) {
        if let Some(slot) = self.due.get(&key).copied() {
            if slot.0 <= at {
                return;
            }
            self.waiting.remove(&slot);
        }
        self.tickets += 1;
        let slot = (at, self.tickets);
        self.due.insert(key.clone(), slot);
        self.waiting.insert(slot, key);
    }

    fn mature(&mut self, now: Instant) {
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.remove();
            self.due.remove(&key);
            self.enqueue(key);
        }
    }

    fn take(&mut self) -> Option<T> {
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_queued_once() {
        let queue = Queue::new(&Clock::default());
        queue.add("a");
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.next().await, "a");
        assert_eq!(queue.next().await, "b");
        assert!(tokio::time::timeout(Duration::from_secs(1), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_worked_on_comes_back_after_it() {
        let queue = Queue::new(&Clock::default());
        queue.add("a");
        let key = queue.next().await;
        queue.add("a");
        assert!(tokio::time::timeout(Duration::from_secs(1), queue.next()).await.is_err());
        queue.done(&key, Outcome::Settled);
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_each_time() {
        let queue = Queue::new(&Clock::default());
        queue.add("a");
        let start = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..4 {
            let key = queue.next().await;
            waits.push(start.elapsed().as_millis());
            queue.done(&key, Outcome::Failed);
        }
        assert_eq!(waits, [0, 20, 60, 140]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_beyond_all_time_holds_nobody_else_up() {
        let queue = Queue::new(&Clock::default());
        queue.add_after("a", Duration::MAX);
        queue.add("b");
        assert_eq!(queue.next().await, "b");
        queue.done(&"b", Outcome::After(Duration::MAX));
        assert!(tokio::time::timeout(Duration::from_secs(9), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_wishes_stands() {
        let queue = Queue::new(&Clock::default());
        queue.add_after("a", Duration::from_secs(9));
        queue.add_after("a", Duration::from_secs(2));
        queue.add_after("a", Duration::from_secs(5));
        let start = Instant::now();
        assert_eq!(queue.next().await, "a");
        assert_eq!(start.elapsed().as_secs(), 2);
    }
}
