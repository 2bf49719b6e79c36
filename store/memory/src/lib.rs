//! The store that forgets: everything in memory.
