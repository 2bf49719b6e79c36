//! The bounds that both ends set.

use std::time::Duration;

/// How many streams one tunnel carries at a time. One more is refused, not queued.
pub const STREAMS: u32 = 256;

/// How many bytes may be under way on one stream and not yet taken by its reader.
pub const STREAM_WINDOW: u32 = 256 * 1024;

/// How many bytes may be under way on all streams together.
///
/// The product, and not less: HTTP/2 takes unread bytes of any stream from the connection's window, so with less some
/// readers who stop would stop everybody. It is credit and not memory; it is also the most that one tunnel can make an
/// end buffer.
pub const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;

/// How many bytes one stream may have waiting to be sent.
pub const SEND_BUFFER: usize = 256 * 1024;

/// The largest header list of a request that opens a stream, and of its answer. They carry next to nothing.
pub const HEADER_LIST: u32 = 4 * 1024;

/// The largest frame. Small enough that a keystroke does not wait long behind a bulk transfer: 5 ms at 100 Mbit/s. With the
/// nine bytes of its head it fills four records of TLS (RFC 8446 section 5.1), and leaves no stub for a fifth.
pub const FRAME: u32 = 4 * 16 * 1024 - 9;

/// How many streams that were cut off are remembered, and how long: what was under way on them is not held against the far
/// end until then.
pub const CUT_OFF: (usize, Duration) = (1024, Duration::from_secs(10));

/// How many frames for streams that do not exist a connection survives. One by one they do happen: this is a bound on
/// what somebody can have us answer, over the life of a connection.
pub const VIOLATIONS: usize = 16 * 1024;

/// How long either end waits, and when it takes the link for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For a TCP connection, for a TLS handshake, and for the first answer over the tunnel.
    pub handshake: Duration,
    /// Between two pings.
    pub ping_interval: Duration,
    /// For the answer to a ping.
    pub ping_timeout: Duration,
}

impl Default for Timing {
    /// A dead link is noticed within 13 seconds.
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            ping_interval: Duration::from_secs(5),
            ping_timeout: Duration::from_secs(8),
        }
    }
}
