//! What follows from the platform's objects, on real API servers.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

mod applied;
mod clusters;
mod definitions;
mod escalation;
mod guard;
mod rights;
mod support;
mod sync;
mod tenants;
mod world;
