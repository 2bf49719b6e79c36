//! The door over real sockets: a hub on an API server in this process, and what friends and enemies send to it.

mod agents;
mod attacks;
mod clusters;
mod people;
mod support;
