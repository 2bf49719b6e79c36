//! What runs in a member: dials the hub, serves the tunnel, reports.
