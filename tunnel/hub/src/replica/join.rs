//! Our end of a connection that we have made to another replica.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use h2::client::Builder;
use lib_names::ClusterName;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader};
use tokio::time::timeout;
use tunnel_protocol::limits::{self, Timing};
use tunnel_protocol::replica::{self, Line, MAX_LINE};
use tunnel_stream::TunnelStream;
use tunnel_stream::alive::{self, Listened};

use super::{Replica, connect};
use crate::registry::{Gone, Registry, Tunnel};
use crate::{Ended, Refused};

/// Uses a connection to another replica until it ends. `joined` is called when all of its tunnels are known.
pub(crate) async fn join<IO>(
    registry: &Arc<Registry>,
    name: &str,
    io: IO,
    timing: Timing,
    joined: impl FnOnce() + Send,
) -> Result<Ended, Refused>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, heard) = Listened::new(io);
    let shaken = timeout(timing.handshake, builder().handshake::<_, Bytes>(io)).await;
    let (send, mut connection) = shaken.map_err(|_| Refused::Silent)?.map_err(Refused::Handshake)?;
    // h2 gives the handle once per connection, and nobody took it before us.
    let pings = connection.ping_pong().ok_or(Refused::Silent)?;
    // Also when this future is dropped, what it has is forgotten.
    let replica = Arc::new(Replica::new(name, send));
    let mut known = Known { registry: registry.clone(), replica, is_whole: false, is_silent: false };
    let silence = alive::watch(pings, heard, timing.ping_interval, timing.ping_timeout, |_| {});
    let ended = tokio::select! {
        _ = &mut connection => Ended::ByPeer,
        () = silence => Ended::Silent,
        ended = known.follow(timing, joined) => ended,
    };
    known.is_silent = ended == Ended::Silent;
    Ok(ended)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::REPLICA_WINDOW)
        .initial_max_send_streams(limits::REPLICA_STREAMS as usize)
        .max_send_buffer_size(limits::SEND_BUFFER)
        .max_header_list_size(limits::HEADER_LIST)
        .max_frame_size(limits::FRAME)
        .max_concurrent_reset_streams(limits::REPLICA_STREAMS as usize)
        .reset_stream_duration(limits::RESET_MEMORY)
        .enable_push(false)
        .max_concurrent_streams(0);
    builder
}

/// What a replica has, as long as it is followed.
struct Known {
    registry: Arc<Registry>,
    replica: Arc<Replica>,
    /// All of its tunnels are known.
    is_whole: bool,
    /// It does not answer any more.
    is_silent: bool,
}

impl Known {
    async fn follow(&mut self, timing: Timing, joined: impl FnOnce() + Send) -> Ended {
        let feed = match timeout(timing.handshake, self.replica.connect(connect(replica::FEED))).await {
            Ok(Ok(Ok(feed))) => feed,
            Ok(Ok(Err(_))) => return Ended::Violation,
            Ok(Err(_)) => return Ended::ByPeer,
            Err(_) => return Ended::Silent,
        };
        let (mut feed, mut line) = (BufReader::new(feed), Vec::new());
        let mut joined = Some(joined);
        while read_line(&mut feed, &mut line).await {
            match Line::decode(&line) {
                Some(line) => self.note(line, &mut joined),
                None => return Ended::Violation,
            }
        }
        Ended::ByPeer
    }

    fn note(&mut self, line: Line, joined: &mut Option<impl FnOnce()>) {
        match line {
            Line::Has(tunnel) => {
                // Nobody asks for one that is called as no cluster is.
                if let (Ok(cluster), Ok(key)) = (tunnel.cluster.parse::<ClusterName>(), tunnel.key.parse()) {
                    self.registry.note(&self.replica, &cluster, Tunnel { since: replica::time(tunnel.since), key });
                }
            }
            Line::Lost(gone) => {
                if let Ok(cluster) = gone.cluster.parse::<ClusterName>() {
                    let gone = Gone { since: replica::time(gone.since), is_silent: gone.silent };
                    self.registry.lost(&self.replica, &cluster, gone);
                }
            }
            Line::All {} => {
                if let Some(joined) = joined.take() {
                    self.is_whole = true;
                    self.registry.join();
                    joined();
                }
            }
        }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        if self.is_whole {
            self.registry.leave_others();
        }
        self.registry.part(&self.replica, Gone { since: SystemTime::now(), is_silent: self.is_silent });
    }
}

/// Whether there is another whole line, within bounds.
async fn read_line(feed: &mut BufReader<TunnelStream>, line: &mut Vec<u8>) -> bool {
    line.clear();
    let read = feed.take(MAX_LINE as u64).read_until(b'\n', line).await;
    read.is_ok() && line.ends_with(b"\n")
}
