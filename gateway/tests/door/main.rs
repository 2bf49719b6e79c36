//! The door over real sockets: a hub on an API server in this process, and what friends and enemies send to it.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

mod agents;
mod attacks;
mod authority;
mod bodies;
#[path = "../../../identity/oidc/tests/relying_party/browser.rs"]
mod browser;
mod client;
mod clusters;
mod credentials;
mod crowds;
mod directory;
mod draining;
mod federation;
mod identity;
mod issuer;
mod kinds;
mod lost;
#[path = "../../../identity/oidc/tests/relying_party/peer.rs"]
#[expect(dead_code, reason = "what only the relying party's own tests need is there too")]
mod peer;
mod people;
mod platform;
mod providers;
mod published;
mod refusals;
mod removal;
mod replicas;
mod rights;
mod routes;
#[path = "../../../identity/ldap/tests/directory/slapd.rs"]
#[expect(dead_code, reason = "what only the directory's own tests need is there too")]
mod slapd;
mod stampede;
mod streams;
mod support;
mod tenants;
mod trust;

/// Of everybody in a directory of ours.
const PASSWORD: &str = "correct horse, battery: staple";
