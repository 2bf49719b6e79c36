//! One question to a TLS server that given authorities vouch for: a document, or the answer to a form.
//!
//! # Guarantees
//!
//! Everything is bounded: the time from the name to the last byte, the size of the answer, and where it may come from.
//! There are no redirects: a document is where it is said to be, or nowhere, and a secret goes to the server it is for,
//! or to none. Only `https` is spoken, to servers that the caller's authorities vouch for; the machine's own roots are
//! not trusted. Addresses are judged after the name was resolved and are the ones connected to, so a name that changes
//! its meaning in between gains nothing.
//!
//! A [`Cached`] document is asked for seldom, whatever strangers want.
//!
//! # Caveats
//!
//! Each question is a connection of its own. Who asks often wants a pool, and this is not for them.
//!
//! # Errors
//!
//! They name the address without its query, and nothing of what was sent or answered.

mod addresses;
mod answer;
mod authorization;
mod cached;
mod client;
mod error;

pub use addresses::{Addresses, Unreachable};
pub use answer::Answer;
pub use authorization::Authorization;
pub use cached::{Cached, OLDEST, PAUSE};
pub use client::{Client, Question};
pub use error::Error;
