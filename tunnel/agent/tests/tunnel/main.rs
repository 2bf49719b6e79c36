//! Both ends of the tunnel over real sockets.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

mod addresses;
mod ahead;
mod far;
mod hostile;
mod identity;
mod life;
mod proxies;
mod replicas;
mod streams;
mod support;
