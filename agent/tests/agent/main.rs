//! A whole agent between a hub and a member, over real sockets.

mod enrolling;
mod forwarding;
mod status;
mod support;
