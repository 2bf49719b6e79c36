//! What a resource is: its names, its schema, its policy.
