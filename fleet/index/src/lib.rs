//! Which objects there are in all clusters: their metadata and images, a million of them in memory, asked by anybody.
//!
//! There is no index for each question. Rows are small and lie side by side, by cluster and kind, and whatever repeats
//! (label pairs, label sets, images, namespaces) is kept once; so a question is first answered for what is there once, and
//! then a walk over the rows. That costs a few milliseconds for a million rows, whatever is asked, and a change costs
//! nothing but itself.
//!
//! # Guarantees
//!
//! - A query sees rows through a [`Sight`] and no other way: lists, counts and cursors alike.
//! - Pages follow each other by the order's own key, so that what comes and goes between them moves no other row.
//! - What is put and not removed is found; what [`Index::finish`] did not meet again is gone.
//! - No cluster takes more than its room, and all together no more than there is.
//!
//! Not here: whole objects, annotations, and values of Secrets or ConfigMaps. Nothing of them can be found, or leak.

mod index;
mod intern;
mod query;
mod segment;
mod word;

pub use index::{Entry, Index, Kind, Limits, Refused};
pub use query::{Answer, Count, Cursor, Found, Order, Query, Reach, Sight};

#[cfg(test)]
mod tests;
