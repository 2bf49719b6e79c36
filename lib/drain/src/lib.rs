//! Orderly shutdown: every spawned task has an owner that can drain it.
