//! LDAP on the wire (RFC 4511), as much of it as signing people in takes. No IO, no clock.
//!
//! What comes from the directory is read by its schema and never by its own nesting, so no answer is deeper than this
//! code; every length is checked against what is there. What goes to the directory is made of values: a filter is a
//! tree, and what a person typed is a leaf of it that nothing parses again.

pub(crate) mod ber;
pub(crate) mod filter;
pub(crate) mod message;
