//! Revisioned key-value storage: the trait and the conformance suite every backend must pass.
//!
//! # Flow
//!
//! A store maps keys to values and counts its changes. Every transaction that changes something takes the next
//! [`Revision`]; nothing that was written is changed in place, so a reader may ask for the state at an older revision
//! until that revision is compacted away. The usual dance is: [`Store::range`] at the current revision, then
//! [`Store::watch`] after the revision that the page reports. Together they miss nothing and repeat nothing.
//!
//! # Guarantees
//!
//! - Transactions are atomic and totally ordered; all changes of one transaction carry the same revision.
//! - Reads are linearizable: a read without `at` sees every write that was acknowledged before the read began.
//! - Reads at a revision are stable: the same question at the same revision has the same answer, until
//!   [`Error::Compacted`].
//! - What a durable backend acknowledged survives the loss of the process and of power.
//! - A watch delivers every matching change after its start exactly once and in revision order, and never splits a
//!   revision between two batches. It ends with an error rather than with a gap.
//! - Writers never wait for watchers.
//!
//! # Caveats
//!
//! A new store is at revision 1, as in etcd, so 0 never names a state.
//!
//! # Errors
//!
//! See [`Error`]. A lost compare-and-swap race is an answer, not an error.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod fanout;
mod model;
mod request;
mod watch;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::{BoxError, Error};
pub use model::{Event, EventKind, Key, KeyValue, Revision};
pub use request::{
    Compare, Content, Expect, MAX_KEY_BYTES, MAX_TXN_OPS, MAX_VALUE_BYTES, Op, Page, Range, Span, Swap, Txn, TxnOutcome,
};
pub use watch::{Batch, WatchRequest, WatchStream};

/// A revisioned key-value store. Used as `Arc<dyn Store>`.
///
/// All methods may be called from any task and at the same time. Dropping the future of a write does not take the
/// write back: it may still happen.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads one key, now or at a revision.
    ///
    /// # Errors
    ///
    /// [`Error::Compacted`] and [`Error::FutureRevision`] when `at` names a state that is gone or yet to come.
    async fn get(&self, key: &str, at: Option<Revision>) -> Result<Option<KeyValue>, Error>;

    /// Reads keys in bytewise order, a page at a time.
    ///
    /// To read on, repeat the question with `at` set to [`Page::revision`] and `after` to the last key of the page.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    async fn range(&self, range: Range) -> Result<Page, Error>;

    /// Compares, then applies one of two lists of changes, all at one revision.
    ///
    /// A branch that changes nothing (it is empty, or deletes what is not there) takes no revision.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] before anything is done when the transaction breaks a limit or changes a key twice. After
    /// any other error the caller does not know whether the transaction was applied, and must read.
    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, Error>;

    /// Follows the changes of the keys under a prefix.
    ///
    /// # Guarantees
    ///
    /// The stream first yields what happened after [`WatchRequest::after`], then one batch (empty when nothing
    /// happened) that says the watch is live, then changes as they are committed. [`Batch::revision`] always says up
    /// to where the watch is complete; batches without events report progress made by changes elsewhere.
    ///
    /// # Errors
    ///
    /// At once [`Error::Compacted`] or [`Error::FutureRevision`] as for reads. The stream ends after its first error:
    /// [`Error::WatchLagged`] when the reader was too slow for the bounded queue, [`Error::Compacted`] when it was
    /// slower than compaction while catching up, [`Error::Closed`] when the store closes.
    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, Error>;

    /// Forgets states before `revision`; the state at `revision` itself stays readable.
    ///
    /// # Errors
    ///
    /// [`Error::Compacted`] when that was already done, [`Error::FutureRevision`] when it is not reached.
    async fn compact(&self, revision: Revision) -> Result<(), Error>;

    /// The revision of the latest change.
    async fn current_revision(&self) -> Result<Revision, Error>;

    /// The oldest revision that can still be read, or zero when nothing was ever compacted.
    async fn compacted_revision(&self) -> Result<Revision, Error>;

    /// Ends watches, refuses further calls and returns when every resource (files, locks, threads) is released.
    async fn close(&self) -> Result<(), Error>;

    /// Writes a key that must not exist.
    async fn create(&self, key: Key, value: Bytes) -> Result<Swap, Error> {
        let txn = Txn::when(Compare::absent(key.clone())).then(Op::put(key, value));
        self.txn(txn).await.map(Swap::from)
    }

    /// Replaces a key that must still be at `mod_revision`.
    async fn update_if(&self, key: Key, mod_revision: Revision, value: Bytes) -> Result<Swap, Error> {
        let txn = Txn::when(Compare::unchanged(key.clone(), mod_revision)).then(Op::put(key, value));
        self.txn(txn).await.map(Swap::from)
    }

    /// Deletes a key that must still be at `mod_revision`.
    async fn delete_if(&self, key: Key, mod_revision: Revision) -> Result<Swap, Error> {
        let txn = Txn::when(Compare::unchanged(key.clone(), mod_revision)).then(Op::delete(key));
        self.txn(txn).await.map(Swap::from)
    }
}
