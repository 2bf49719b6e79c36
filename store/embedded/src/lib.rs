//! The store that remembers: a data directory on one machine.
