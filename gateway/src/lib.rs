//! The front door: filter chain, routes, console assets.
