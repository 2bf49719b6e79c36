//! One shared, indexed copy of each kind a cluster's controllers read.
//!
//! There is one watch per kind and cluster, shared by all controllers. Writes go through the same value and their
//! answers are stored at once, so a controller reads its own writes and needs no bookkeeping of expected events.

mod diff;
mod informer;
mod store;

pub(crate) use informer::{Deletion, Informer, Kind};
pub(crate) use store::Key;
