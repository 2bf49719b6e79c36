//! One meaning of storage: what every backend must do, as tests.
//!
//! A backend calls [`conformance_tests!`](crate::conformance_tests) with the path of an async function that makes a
//! [`Fixture`] with an empty store. Each case becomes a test of its own.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "these are tests, only kept in a library")]

mod model;
mod reads;
mod watches;
mod writes;

use std::{any::Any, sync::Arc, time::Duration};

use futures::StreamExt;

pub use model::agrees_with_the_model;
pub use reads::*;
pub use watches::*;
pub use writes::*;

use crate::{Batch, Error, Event, Key, Op, Revision, Store, Txn, WatchStream};

/// An empty store, and whatever must outlive it.
pub struct Fixture {
    /// The store under test.
    pub store: Arc<dyn Store>,
    _guard: Box<dyn Any + Send + Sync>,
}

impl Fixture {
    /// A store whose files or servers live as long as `guard`.
    pub fn new(store: impl Store, guard: impl Any + Send + Sync) -> Self {
        Self { store: Arc::new(store), _guard: Box::new(guard) }
    }
}

/// Makes a test of each case of the suite.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:path) => {
        $crate::conformance_tests!($fixture, 64);
    };
    // How many random histories are tried, for a backend whose every watch takes its time.
    ($fixture:path, $histories:literal) => {
        $crate::conformance_tests! { @each $fixture;
            a_new_store_is_empty_at_revision_one
            every_change_takes_one_revision
            versions_count_from_creation
            reads_at_a_revision_are_stable
            prefixes_end_at_their_separator
            pages_continue_behind_the_last_key
            paging_is_pinned_under_concurrent_writes
            keys_and_counts_without_values
            big_values_are_whole
            compaction_forgets_the_past_only
            compaction_removes_deleted_keys
            exactly_one_create_wins
            contended_updates_lose_nothing
            a_failed_condition_shows_the_current_values
            the_else_branch_is_applied
            transactions_are_seen_whole
            an_invalid_transaction_changes_nothing
            a_read_sees_every_acknowledged_write
            a_watch_from_the_past_has_no_gap_and_no_duplicate
            a_watch_tells_kinds_and_previous_values
            a_watch_from_now_sees_only_what_follows
            a_watch_sees_only_its_prefix
            a_revision_is_never_split
            a_watch_reports_progress
            a_watch_of_a_compacted_revision_is_refused
            a_watch_of_the_future_is_refused
            every_page_can_be_watched_from_at_once
            a_lagging_watcher_is_cut_off_and_can_resume
            closing_ends_watches_and_refuses_calls
        }
        #[test]
        fn agrees_with_the_model() {
            $crate::conformance::agrees_with_the_model($histories, $fixture);
        }
    };
    (@each $fixture:path; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$case($fixture().await).await;
            }
        )*
    };
}

/// Longer than any wait of a healthy store.
const PATIENCE: Duration = Duration::from_secs(60);

async fn put(store: &Arc<dyn Store>, key: impl Into<Key>, value: impl Into<bytes::Bytes>) -> Revision {
    store.txn(Txn::default().then(Op::put(key, value))).await.unwrap().revision
}

async fn delete(store: &Arc<dyn Store>, key: impl Into<Key>) -> Revision {
    store.txn(Txn::default().then(Op::delete(key))).await.unwrap().revision
}

async fn next(stream: &mut WatchStream) -> Result<Batch, Error> {
    let item = tokio::time::timeout(PATIENCE, stream.next()).await.expect("the watch should have yielded by now");
    item.expect("a watch ends only after an error")
}

/// Reads on until the watch is complete up to `revision`.
async fn read_to(stream: &mut WatchStream, revision: Revision) -> Vec<Arc<Event>> {
    let mut events = Vec::new();
    loop {
        let batch = next(stream).await.unwrap();
        events.extend(batch.events);
        if batch.revision >= revision {
            return events;
        }
    }
}
