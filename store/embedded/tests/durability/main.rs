//! What a store holds on to when it is killed, when its disk fails it, and when it comes back from a snapshot.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod backup;
mod crashes;
mod disk;
mod ledger;
mod log;
mod writers;
