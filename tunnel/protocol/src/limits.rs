//! The bounds that both ends set.

use std::time::Duration;

/// How many streams one tunnel carries at a time. One more is refused, not queued.
///
/// A team of a hundred has room for twenty open requests each: consoles, watching tools and shells.
pub const STREAMS: u32 = 2048;

/// How many of them only the hub itself opens: to see how the member is, to follow its objects and its rights, and to
/// write what it is to have. Some forty are in use at most; nothing that people do takes them.
pub const HUB_STREAMS: u32 = 64;

/// How many bytes may be under way on one stream and not yet taken by its reader, whatever the others do.
pub const STREAM_WINDOW: u32 = 256 * 1024;

/// The same on a link that is short, while readers keep up: busy ends are late with credit, however short the link is.
pub const NEAR_STREAM_WINDOW: u32 = 1024 * 1024;

/// The same on one that is as long as any.
pub const FAR_STREAM_WINDOW: u32 = 8 * 1024 * 1024;

/// What one stream can carry in a second, wherever both ends are: as much as a fast connection of a site to the internet.
const STREAM_RATE: f64 = 100e6;

/// How many bytes in memory that nobody has read a process takes for the sake of larger windows. With more, all streams have
/// [`STREAM_WINDOW`] again until it is half of that; what was under way still comes.
pub const UNREAD: u64 = 32 * 1024 * 1024;

/// How many bytes may be under way on one stream of a link while readers keep up: what it carries before credit for the first
/// of them can have come back.
pub fn stream_window(round_trip: Duration) -> u32 {
    let under_way = round_trip.as_secs_f64() * STREAM_RATE;
    // Between the two bounds it has no fraction that counts, and fits.
    under_way.clamp(f64::from(NEAR_STREAM_WINDOW), f64::from(FAR_STREAM_WINDOW)) as u32
}

/// How many bytes may be under way on all streams together.
///
/// The product, and not less: HTTP/2 takes unread bytes of any stream from the connection's window, so with less some
/// readers who stop would stop everybody. It is credit and not memory: an end holds what readers have not taken yet, so a
/// buffer grows only with readers who stop, by one [`STREAM_WINDOW`] each, and by [`UNREAD`] for all larger ones together.
/// How many readers one person may have, the door says.
pub const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;

// What HTTP/2 has numbers for (RFC 9113 section 6.9.1).
const _: () = assert!(CONNECTION_WINDOW < 1 << 31 && HUB_STREAMS < STREAMS);

/// How many streams that it has reset an end remembers, and how long: what was under way on them is dropped quietly.
///
/// On those that it has forgotten each frame is an error in the eyes of h2, which ends a connection after so many.
pub const RESET_STREAMS: usize = STREAMS as usize;
/// As long as a link may stand still.
pub const RESET_MEMORY: Duration = Duration::from_secs(15);

/// How many streams one replica of a hub may have through the tunnels of another: as many as a connection's window, which
/// HTTP/2 bounds, lets stop without stopping others.
pub const REPLICA_STREAMS: u32 = 8 * 1024 - 1;

/// How many bytes may be under way between two replicas. As for an agent, the product.
pub const REPLICA_WINDOW: u32 = REPLICA_STREAMS * STREAM_WINDOW;

const _: () = assert!(REPLICA_WINDOW < 1 << 31);

/// How many bytes one stream may have waiting to be sent.
pub const SEND_BUFFER: usize = 256 * 1024;

/// The largest header list of a request that opens a stream, and of its answer. They carry next to nothing.
pub const HEADER_LIST: u32 = 4 * 1024;

/// The largest frame. Small enough that a keystroke does not wait long behind a bulk transfer: 5 ms at 100 Mbit/s. With the
/// nine bytes of its head it fills four records of TLS (RFC 8446 section 5.1), with nothing left for a fifth.
pub const FRAME: u32 = 4 * 16 * 1024 - 9;

/// How many frames of an agent for streams that do not exist a connection survives. One by one they do happen; this is a
/// bound on what an agent that reads nothing can have the hub keep to answer it (RUSTSEC-2024-0003), over the life of
/// the connection, as h2 counts.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_as_large_as_the_link_is_long() {
        let of = |millis| stream_window(Duration::from_millis(millis));
        assert_eq!([0, 1, 10].map(of), [NEAR_STREAM_WINDOW; 3]);
        assert_eq!([20, 50].map(of), [2_000_000, 5_000_000]);
        assert_eq!([200, 1_000_000].map(of), [FAR_STREAM_WINDOW; 2]);
    }
}
