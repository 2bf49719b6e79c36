//! HTTP/2 as its client, which we are wherever we open streams: towards agents, and towards other replicas of the hub.

use bytes::Bytes;
use h2::PingPong;
use h2::client::{Builder, Connection, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tunnel_protocol::limits::{self, Timing};
use tunnel_stream::alive::{Link, Listened};

use crate::Refused;

/// A connection on which HTTP/2 has started. It has to be driven.
pub(crate) struct Begun<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    pub(crate) send: SendRequest<Bytes>,
    pub(crate) connection: Connection<Listened<IO>, Bytes>,
    pub(crate) pings: PingPong,
    pub(crate) link: Link,
}

/// Starts HTTP/2 for so many streams at a time, each of which may fill its window. `violations`: how many frames for streams
/// that do not exist the connection survives; none if the other end is to be trusted with that.
pub(crate) async fn begin<IO>(
    io: IO,
    streams: u32,
    violations: Option<usize>,
    timing: Timing,
) -> Result<Begun<IO>, Refused>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, link) = Listened::new(io);
    let shaken = timeout(timing.handshake, builder(streams, violations).handshake::<_, Bytes>(io)).await;
    let (send, mut connection) = shaken.map_err(|_| Refused::Silent)?.map_err(Refused::Handshake)?;
    // h2 gives the handle once per connection, and nobody took it before us.
    let pings = connection.ping_pong().ok_or(Refused::Silent)?;
    Ok(Begun { send, connection, pings, link })
}

fn builder(streams: u32, violations: Option<usize>) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(streams * limits::STREAM_WINDOW)
        .initial_max_send_streams(streams as usize)
        .max_send_buffer_size(limits::SEND_BUFFER)
        .max_header_list_size(limits::HEADER_LIST)
        .max_frame_size(limits::FRAME)
        // Whoever hangs up on many streams that have much to say is no reason to end the others.
        .max_concurrent_reset_streams(streams as usize)
        .reset_stream_duration(limits::RESET_MEMORY)
        .max_local_error_reset_streams(violations)
        // Pushes are the one way in which a server opens streams. None are allowed, and none have room.
        .enable_push(false)
        .max_concurrent_streams(0);
    builder
}
