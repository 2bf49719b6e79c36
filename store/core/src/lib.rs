//! Revisioned key-value storage: the trait and the conformance suite every backend must pass.
