//! The door over real sockets: a hub on an API server in this process, and what friends and enemies send to it.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

mod agents;
mod attacks;
mod bodies;
mod clusters;
mod people;
mod refusals;
mod streams;
mod support;
