//! The platform's own kinds; their CRDs are generated from these types.
