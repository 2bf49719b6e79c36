//! What objects use of a namespace's quotas (upstream: `quota/v1` and its evaluators).
//!
//! The API server charges new objects and a controller counts those that are there. Both must measure alike, or a quota
//! would drift, so how to measure is said here, once, as pure functions of the objects.

mod amounts;
mod evaluator;
mod pod;
mod resources;
mod scope;

pub use amounts::Amounts;
pub use evaluator::{Evaluator, Write};
pub use resources::{pod_limits, pod_requests};
pub use scope::scopes_of;
