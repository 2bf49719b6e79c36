//! Sign-ins at a certified provider, and at one that means harm.

#![expect(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod browser;
mod flows;
mod hostile;
mod peer;
