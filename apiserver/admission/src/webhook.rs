//! Rules that others enforce, asked over HTTPS.
//!
//! # Guarantees
//!
//! - Whom the server asks is verified against the `caBundle` of the configuration and nothing else; there is no way
//!   around that.
//! - A webhook that cannot be asked refuses the write, unless its configuration says `Ignore`.
//! - Redirects are not followed, answers are bounded, and so is the number of calls at once.

mod call;
mod client;
mod hook;
mod resolve;

pub(crate) use call::{Failure, call};
pub(crate) use client::Client;
pub(crate) use hook::{Hook, conditions, hooks};
