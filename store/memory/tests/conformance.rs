//! The memory store means what a store means.

use store_core::conformance::Fixture;
use store_memory::{MemoryStore, Options};

async fn fixture() -> Fixture {
    // The suite resumes watches across more bytes than a store keeps by default.
    let options = Options { retain_bytes: 256 << 20, ..Options::default() };
    Fixture::new(MemoryStore::new(options), ())
}

store_core::conformance_tests!(fixture);
