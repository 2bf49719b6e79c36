//! Quotas of projects and overcommit ratios, on a real API server that asks over real TLS, under the rights that a member gives to its agent.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

mod away;
mod moving;
mod racing;
mod ratio;
mod rights;
mod support;
mod verdicts;
