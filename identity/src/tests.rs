//! Identity on a real API server.

mod issuer;
mod people;
mod revocation;
mod support;
