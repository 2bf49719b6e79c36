//! Both ends of the tunnel over real sockets.

mod hostile;
mod identity;
mod life;
mod streams;
mod support;
