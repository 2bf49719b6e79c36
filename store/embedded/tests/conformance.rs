//! The embedded store means what a store means.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use store_core::{conformance::Fixture, fanout::Limits};
use store_embedded::{EmbeddedStore, Options};

async fn open(options: Options) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path().join("store"), options).await.unwrap();
    Fixture::new(store, directory)
}

mod with_a_window {
    async fn fixture() -> super::Fixture {
        super::open(super::Options::default()).await
    }

    store_core::conformance_tests!(fixture);
}

/// Every watch that begins in the past reads the file.
mod without_a_window {
    async fn fixture() -> super::Fixture {
        let limits = super::Limits { window_events: 0, ..super::Limits::default() };
        super::open(super::Options { limits, readers: 1, ..super::Options::default() }).await
    }

    store_core::conformance_tests!(fixture);
}
