//! Feeds of real API servers in this process, and of clusters that mean harm.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

mod hostile;
mod real;
mod support;
