//! Identity on a real API server.

mod issuer;
mod people;
mod published;
mod revocation;
mod support;
