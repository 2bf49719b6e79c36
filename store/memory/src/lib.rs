//! The store that forgets: everything in memory.
//!
//! Every key holds its versions, oldest first, until they are compacted. Readers share a lock for the time of one page;
//! a writer holds it alone for the time of one transaction. Values are shared, never copied.
//!
//! History is bounded by [`Options::retain`] and [`Options::retain_bytes`]: beyond that the store compacts itself.

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
    /// How many revisions stay readable, ...
    pub retain: u64,
    /// ... unless their values take more than this.
    pub retain_bytes: usize,
    /// Bounds for watchers.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { retain: 10_000, retain_bytes: 16 << 20, limits: Limits::default() }
    }
}

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    retain: u64,
    retain_bytes: usize,
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
            retain_bytes: options.retain_bytes,
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
        let revisions = self.retain.saturating_add(self.retain / 4);
        let bytes = self.retain_bytes.saturating_add(self.retain_bytes / 4);
        if state.revision.0 - state.compacted.0 > revisions || state.history_bytes() > bytes {
            let surplus = Revision(state.revision.0.saturating_sub(self.retain));
            let target = surplus.max(state.fitting(self.retain_bytes));
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

#[cfg(test)]
mod tests {
    use store_core::Op;

    use super::*;

    async fn compacted_after(options: Options, writes: usize, bytes: usize) -> (u64, u64) {
        let store = MemoryStore::new(options);
        for _ in 0..writes {
            let txn = Txn::default().then(Op::put("/a", vec![0; bytes]));
            store.txn(txn).await.unwrap();
        }
        let compacted = store.compacted_revision().await.unwrap();
        assert!(store.get("/a", Some(compacted.max(Revision(2)))).await.unwrap().is_some());
        (compacted.0, store.current_revision().await.unwrap().0)
    }

    #[tokio::test]
    async fn old_revisions_are_compacted_in_strides() {
        let options = Options { retain: 100, ..Options::default() };
        assert_eq!(compacted_after(options, 124, 1).await, (0, 125));
        assert_eq!(compacted_after(options, 125, 1).await, (26, 126));
    }

    #[tokio::test]
    async fn big_revisions_are_compacted_sooner() {
        let options = Options { retain_bytes: 100_000, ..Options::default() };
        let (compacted, current) = compacted_after(options, 1000, 10_000).await;
        assert!((7..=13).contains(&(current - compacted)), "{compacted} of {current}");
    }

    #[tokio::test]
    async fn nothing_is_compacted_without_need() {
        let options = Options { retain: u64::MAX, retain_bytes: usize::MAX, ..Options::default() };
        assert_eq!(compacted_after(options, 1000, 1000).await, (0, 1001));
    }
}
