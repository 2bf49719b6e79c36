//! The hub's end of the tunnels.
