//! The store that forgets: everything in memory.
//!
//! Every key holds its versions, oldest first, until they are compacted. Readers share a lock for the time of one page;
//! a writer holds it alone for the time of one transaction. Values are shared, never copied.
//!
//! History is bounded by [`Options::retain`]: behind that many revisions the store compacts itself.

mod state;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use store_core::{
    Error, KeyValue, Page, Range, Revision, Store, Txn, TxnOutcome, WatchRequest, WatchStream,
    fanout::{Fanout, Limits, NoHistory},
};

use crate::state::State;

/// How much a memory store may hold on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many revisions stay readable.
    pub retain: u64,
    /// Bounds for watchers.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { retain: 10_000, limits: Limits::default() }
    }
}

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    retain: u64,
    state: RwLock<State>,
    fanout: Arc<Fanout>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(options: Options) -> Self {
        // The window of the fan-out is this store's whole history; compaction shortens both.
        let limits = options.limits.unbounded_window();
        Self {
            retain: options.retain.max(1),
            state: RwLock::new(State::default()),
            fanout: Arc::new(Fanout::new(limits, Revision::FIRST, Revision::ZERO)),
        }
    }

    fn read(&self) -> Result<RwLockReadGuard<'_, State>, Error> {
        // A transaction is validated before it changes anything, so a panic leaves no half of one behind.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(Error::Closed) } else { Ok(state) }
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, State>, Error> {
        let state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(Error::Closed) } else { Ok(state) }
    }

    /// Compacts when a quarter more than needed has piled up, so that the work is done in strides.
    fn trim(&self, state: &mut State) {
        let keep = self.retain + self.retain / 4;
        if state.revision.0 - state.compacted.0 > keep {
            let target = Revision(state.revision.0 - self.retain);
            state.compact(target);
            self.fanout.forget(target);
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.fanout.close();
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str, at: Option<Revision>) -> Result<Option<KeyValue>, Error> {
        let state = self.read()?;
        let at = state.resolve(at)?;
        Ok(state.get(key, at))
    }

    async fn range(&self, range: Range) -> Result<Page, Error> {
        let state = self.read()?;
        let at = state.resolve(range.at)?;
        Ok(state.range(&range, at))
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, Error> {
        txn.check()?;
        let mut state = self.write()?;
        let (outcome, events) = state.apply(txn);
        if !events.is_empty() {
            // Under the lock, so that watchers hear of revisions in their order.
            self.fanout.publish(events, outcome.revision);
            self.trim(&mut state);
        }
        Ok(outcome)
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, Error> {
        self.fanout.watch(Arc::new(NoHistory), request)
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        let mut state = self.write()?;
        state.may_compact(revision)?;
        state.compact(revision);
        self.fanout.forget(revision);
        Ok(())
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        Ok(self.read()?.revision)
    }

    async fn compacted_revision(&self) -> Result<Revision, Error> {
        Ok(self.read()?.compacted)
    }

    async fn close(&self) -> Result<(), Error> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        self.fanout.close();
        Ok(())
    }
}
