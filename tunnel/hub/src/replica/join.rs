//! Our end of a connection that we have made to another replica.

use std::sync::Arc;
use std::time::SystemTime;

use lib_names::ClusterName;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader};
use tokio::time::timeout;
use tunnel_protocol::limits::{self, Timing};
use tunnel_protocol::replica::{self, Line, MAX_LINE};
use tunnel_stream::{TunnelStream, alive, connect};

use super::Replica;
use crate::client::{self, Begun};
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
    let Begun { send, mut connection, pings, link } = client::begin(io, limits::REPLICA_STREAMS, None, timing).await?;
    // Also when this future is dropped, what it has is forgotten.
    let replica = Arc::new(Replica::new(name, send));
    let mut known = Known { registry: registry.clone(), replica, is_whole: false, is_silent: false };
    let silence = alive::watch(pings, link, timing.ping_interval, timing.ping_timeout);
    let ended = tokio::select! {
        _ = &mut connection => Ended::ByPeer,
        () = silence => Ended::Silent,
        ended = known.follow(timing, joined) => ended,
    };
    known.is_silent = ended == Ended::Silent;
    Ok(ended)
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
        let feed = match timeout(timing.handshake, self.replica.connect(connect::request(replica::FEED))).await {
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
                    self.registry.add_other();
                    joined();
                }
            }
        }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        if self.is_whole {
            self.registry.remove_other();
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
