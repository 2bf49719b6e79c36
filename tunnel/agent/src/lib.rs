//! The agent's end of the tunnel.
