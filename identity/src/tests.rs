//! Identity on a real API server.

mod issuer;
mod keeping;
mod people;
mod published;
mod revocation;
mod support;
