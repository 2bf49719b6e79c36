//! A whole agent between a hub and a member, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

mod enrolling;
mod forwarding;
mod inventory;
mod member;
mod proxies;
mod ready;
mod status;
mod support;
