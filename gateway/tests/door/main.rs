//! The door over real sockets: a hub on an API server in this process, and what friends and enemies send to it.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

mod agents;
mod attacks;
mod bodies;
#[path = "../../../identity/oidc/tests/relying_party/browser.rs"]
mod browser;
mod clusters;
#[path = "../../../identity/oidc/tests/relying_party/peer.rs"]
#[expect(dead_code, reason = "what only the relying party's own tests need is there too")]
mod peer;
mod people;
mod providers;
mod refusals;
mod streams;
mod support;
