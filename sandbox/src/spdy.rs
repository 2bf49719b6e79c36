//! SPDY/3.1, the server's side: what kubectl and client-go still use to multiplex exec, attach and port-forward.
//!
//! Framing follows the SPDY/3.1 draft; behaviour follows moby/spdystream, the only peer that matters. That peer takes
//! no part in flow control (it neither sends nor honours window updates), so neither do we: a stream whose reader is
//! slow holds up its connection, as it does upstream, and the socket's own window does the rest.

mod dictionary;
mod frame;
mod headers;
mod session;

#[cfg(test)]
mod tests;

pub(crate) use session::{Session, Stream};

/// What ends a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpdyError {
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
    #[error("the header block could not be decompressed")]
    Headers,
}
