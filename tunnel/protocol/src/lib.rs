//! The words of the tunnel between hub and agents; no IO.
