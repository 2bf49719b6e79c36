//! Our end of a connection that another replica has made: it follows our tunnels, and opens streams through them.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::{HeaderName, Request, Response, StatusCode};
use lib_names::ClusterName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tunnel_protocol::replica::{self, Answer, Gone, Line};
use tunnel_protocol::{Target, limits};
use tunnel_stream::alive::{self, Listened};
use tunnel_stream::{Meter, TunnelStream, connect};

use crate::registry::Tunnel;
use crate::{Ended, OpenError, Refused, Room, Sessions};

/// Serves another replica until the connection ends.
pub(crate) async fn serve<IO>(sessions: &Sessions, io: IO) -> Result<Ended, Refused>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let timing = sessions.config.timing;
    let (io, link) = Listened::new(io);
    let shaken = timeout(timing.handshake, builder().handshake::<_, Bytes>(io)).await;
    let mut connection = shaken.map_err(|_| Refused::Silent)?.map_err(Refused::Handshake)?;
    // h2 gives the handle once per connection, and nobody took it before us.
    let pings = connection.ping_pong().ok_or(Refused::Silent)?;
    let silence = alive::watch(pings, link, timing.ping_interval, timing.ping_timeout);
    Ok(tokio::select! {
        ended = answer_all(sessions, connection) => ended,
        () = silence => Ended::Silent,
    })
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::REPLICA_WINDOW)
        .max_concurrent_streams(limits::REPLICA_STREAMS)
        .max_send_buffer_size(limits::SEND_BUFFER)
        .max_header_list_size(limits::HEADER_LIST)
        .max_frame_size(limits::FRAME)
        .max_pending_accept_reset_streams(limits::REPLICA_STREAMS as usize)
        .max_concurrent_reset_streams(limits::REPLICA_STREAMS as usize)
        .reset_stream_duration(limits::RESET_MEMORY)
        // The other end is this program.
        .max_local_error_reset_streams(None);
    builder
}

async fn answer_all<IO>(sessions: &Sessions, mut connection: Connection<Listened<IO>, Bytes>) -> Ended
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let meter = Arc::<Meter>::default();
    // They end with the connection, and keep nobody who stops: they have no end of their own.
    let mut feeds = JoinSet::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        while feeds.try_join_next().is_some() {}
        let (sessions, meter) = (sessions.clone(), meter.clone());
        match Asked::read(&request) {
            None => refuse(&mut respond, Answer::NotUnderstood),
            Some(Asked::Feed) => {
                if let Ok(outward) = respond.send_response(Response::new(()), false) {
                    let feed = TunnelStream::new(outward, request.into_body(), meter);
                    // However it ends, the other end asks again.
                    feeds.spawn(async move { tell_all(&sessions, feed).await.is_ok() });
                }
            }
            Some(Asked::Stream(wanted)) => {
                let tasks = sessions.tasks.clone();
                tasks.spawn(async move { relay(&sessions, wanted, request, respond, meter).await });
            }
        }
    }
    Ended::ByPeer
}

/// Opens a stream, and carries bytes both ways.
async fn relay(
    sessions: &Sessions,
    Wanted { cluster, room, target, patience }: Wanted,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    meter: Arc<Meter>,
) {
    let opened = tokio::select! {
        opened = sessions.open_here(&cluster, room, target, patience) => opened,
        // Whoever asked has given up.
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    match opened {
        Ok(mut inward) => {
            let Ok(outward) = respond.send_response(Response::new(()), false) else { return };
            let mut outward = TunnelStream::new(outward, request.into_body(), meter);
            // Either end may go away at any time. What is dropped before it has ended is reset: the other end learns of it.
            let _ = copy_bidirectional(&mut outward, &mut inward).await;
        }
        Err(error) => refuse(&mut respond, reason(&error)),
    }
}

fn refuse(respond: &mut SendResponse<Bytes>, answer: Answer) {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some((name, number)) = answer.header() {
        response.headers_mut().insert(HeaderName::from_static(name), number.into());
    }
    // The other end may have gone away meanwhile; then nobody waits for the answer.
    let _ = respond.send_response(response, true);
}

fn reason(error: &OpenError) -> Answer {
    match error {
        OpenError::NoTunnel { since, .. } => Answer::NoTunnel(*since),
        OpenError::Full { .. } => Answer::Full,
        OpenError::Deadline { .. } => Answer::Deadline,
        OpenError::Refused { refusal, .. } => Answer::Refused(*refusal),
        OpenError::Broken { .. } | OpenError::Replica { .. } | OpenError::AtReplica { .. } => Answer::Broken,
    }
}

enum Asked {
    Feed,
    Stream(Wanted),
}

struct Wanted {
    cluster: ClusterName,
    room: Room,
    target: Target,
    patience: Duration,
}

impl Asked {
    fn read(request: &Request<RecvStream>) -> Option<Self> {
        let authority = connect::authority(request)?;
        if authority == replica::FEED {
            return Some(Self::Feed);
        }
        let header = |name: &str| request.headers().get(name)?.to_str().ok();
        let room = match header(replica::ROOM)? {
            replica::PEOPLE => Room::People,
            replica::HUB => Room::Hub,
            _ => return None,
        };
        Some(Self::Stream(Wanted {
            cluster: header(replica::CLUSTER)?.parse().ok()?,
            room,
            target: authority.parse().ok()?,
            patience: Duration::from_millis(header(replica::PATIENCE)?.parse().ok()?),
        }))
    }
}

/// Says which tunnels there are here, and what changes.
async fn tell_all(sessions: &Sessions, mut feed: TunnelStream) -> io::Result<()> {
    let mut changes = sessions.changes();
    let mut told = HashMap::new();
    tell_news(sessions, &mut feed, &mut told).await?;
    feed.write_all(&Line::All {}.encode()).await?;
    loop {
        let change = tokio::select! {
            () = feed.reset() => return Ok(()),
            change = changes.recv() => change,
        };
        match change {
            Ok(change) => tell(sessions, &mut feed, &change.cluster, &mut told).await?,
            Err(RecvError::Lagged(_)) => tell_news(sessions, &mut feed, &mut told).await?,
            Err(RecvError::Closed) => return feed.shutdown().await,
        }
    }
}

async fn tell_news(
    sessions: &Sessions,
    feed: &mut TunnelStream,
    told: &mut HashMap<ClusterName, Tunnel>,
) -> io::Result<()> {
    let live = sessions.registry.live();
    let names: Vec<_> = told.keys().chain(live.iter().map(|session| &session.cluster)).cloned().collect();
    for name in names {
        tell(sessions, feed, &name, told).await?;
    }
    Ok(())
}

async fn tell(
    sessions: &Sessions,
    feed: &mut TunnelStream,
    cluster: &ClusterName,
    told: &mut HashMap<ClusterName, Tunnel>,
) -> io::Result<()> {
    let tunnel = sessions.registry.tunnel(cluster);
    if told.get(cluster) == tunnel.as_ref() {
        return Ok(());
    }
    let name = cluster.to_string();
    let line = match tunnel {
        Some(tunnel) => {
            let Tunnel { since, key } = told.entry(cluster.clone()).insert_entry(tunnel).into_mut();
            Line::Has(replica::Tunnel { cluster: name, since: replica::millis(*since), key: key.to_string() })
        }
        None => {
            told.remove(cluster);
            let silent = matches!(sessions.registry.find_here(cluster), Err(Some(gone)) if gone.is_silent);
            Line::Lost(Gone { cluster: name, since: replica::millis(SystemTime::now()), silent })
        }
    };
    feed.write_all(&line.encode()).await
}
