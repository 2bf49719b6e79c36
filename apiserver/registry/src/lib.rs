//! The generic store of resources over the key-value store, with its watch cache.
