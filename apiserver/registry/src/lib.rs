//! The generic store of resources over the key-value store.
//!
//! # Flow
//!
//! A write goes to the key-value store as a compare-and-swap and returns once
//! the [`Mirror`] has seen it, so whoever wrote reads what they wrote. Reads,
//! lists and watches come from the mirror; only a read of the past asks the
//! store.
//!
//! # Guarantees
//!
//! - Nobody reads then writes: every change names the state it was made from.
//! - A list and a watch from its `resourceVersion` miss nothing and repeat nothing.
//! - Bytes are kept as stored and copied out; objects are decoded only to
//!   select by field, to convert or to print.

mod allocate;
mod catalog;
mod collection;
mod delete;
mod entry;
mod error;
mod expiry;
mod foreign;
mod keys;
mod list;
mod mirror;
mod watch;
mod write;

pub use allocate::{ServiceNetwork, Subnet};
pub use catalog::{Catalog, Served, prefixes};
pub use collection::{Change, Changes, Collection, Subscription};
pub use delete::{DeleteOptions, Deleted, Preconditions, Propagation};
pub use entry::Entry;
pub use error::from_store;
pub use expiry::Expiry;
pub use list::{ListOptions, Listed, VersionMatch};
pub use mirror::Mirror;
pub use watch::{ObjectEvent, Watch, WatchEvent, WatchEventType, WatchOptions, WatchStart};
pub use write::{Current, Registry, Swapped};
