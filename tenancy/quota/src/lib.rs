//! Whether the quotas of a project's namespaces fit into the project's, whatever is under way.
//!
//! A project may be bounded in a cluster: for each key of its ProjectQuota, the sum over the ResourceQuotas of its
//! namespaces stays within it. A key that the ProjectQuota does not name has no bound, and is not counted.
//!
//! # How it stays true
//!
//! A write is judged before it is stored, and several are judged at once, in several places. So whoever lets one pass
//! first notes what it will have, in the status of the ProjectQuota, by compare-and-swap: a [`Reservation`]. What is
//! used is what is stored and what is noted, for each ResourceQuota the larger of the two; never the sum, for one follows
//! from the other. A [`Book`] is a ProjectQuota with what was stored **after** that was read. It drops the notes of
//! writes that are seen in what is stored, or that can no longer come:
//!
//! - a creation, when the object with its UID is there;
//! - a change, when the object has another version than the one that the write was judged with. An API server
//!   stores a change only over that very version, and otherwise asks again;
//! - any of them after a while, longer than an API server works on one request.
//!
//! So whoever reads, counts and swaps, in this order, cannot be wrong towards too much, whether a write was stored, failed,
//! or whoever let it pass was killed in between. There is no other recount than this one.
//!
//! # What tightening does
//!
//! Nothing is taken away. While more is given than is allowed, what would grow is refused, and all else passes. A
//! ResourceQuota that lacks a key in which the project is now bounded may go on lacking it until somebody changes what it
//! bounds.

mod amounts;
mod book;
mod refused;
mod reservation;
mod status;

pub use api_quota::Amounts;

pub use amounts::{BadAmount, read_amounts, write_amounts};
pub use book::{Book, Change, Holding, MAX_RESERVATIONS, Namespace};
pub use refused::{Over, Refused};
pub use reservation::{Awaited, Reservation};
pub use status::status;

#[cfg(test)]
mod tests;
