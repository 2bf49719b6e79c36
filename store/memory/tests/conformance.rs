//! The memory store means what a store means.

use store_core::conformance::Fixture;
use store_memory::MemoryStore;

async fn fixture() -> Fixture {
    Fixture::new(MemoryStore::default(), ())
}

store_core::conformance_tests!(fixture);
