//! API priority and fairness: no user can take the server from the others (upstream: `pkg/util/flowcontrol`).
//!
//! # Flow
//!
//! The first `FlowSchema` that matches a request says at which priority level
//! it runs and to which flow it belongs: by user, by namespace, or one flow for
//! all. Each level has seats of its own. When they are taken a request waits in
//! its flow's queue, and a free seat goes to the flow that holds fewest. So a
//! flow that sends a thousand requests waits behind itself, and the first
//! request of another goes before all of them.
//!
//! Upstream deals each flow a hand of a fixed number of queues, so that its
//! state has one size. Here each flow has a queue of its own, which no other can
//! fill by chance; `handSize * queueLengthLimit` is how long it may get, as
//! there, and `queues * queueLengthLimit` is what a level may hold.
//!
//! # Guarantees
//!
//! Memory is bounded by the number of those that wait, whose bodies are not
//! read yet. Nobody waits longer than the caller's patience. A seat comes back
//! when its [`Permit`] is dropped, however the request ended.
//!
//! From time to time [`FlowControl::lend`] gives seats that levels do not need
//! to those that need more, within `lendablePercent` and
//! `borrowingLimitPercent`.

mod configuration;
mod fairness;
mod lending;
mod matching;
mod metrics;
mod queues;
mod retry_after;

pub use fairness::{ConfigurationSource, FlowControl, LENDING_PERIOD, Permit, Refused};
pub use matching::Digest;
