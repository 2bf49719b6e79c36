//! One agent's connection, from handshake to end.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Connection, ResponseFuture, SendRequest};
use http::StatusCode;
use lib_names::ClusterName;
use lib_tls::SpkiPin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tunnel_protocol::{HAND_OVER, REPLACED, Target, limits};
use tunnel_stream::alive::{self, Link, Listened};
use tunnel_stream::{Meter, TunnelStream, Unread, Window, connect};

use crate::client::{self, Begun};
use crate::opening::{Answer, Awaited, Opening};
use crate::registry::Snapshot;
use crate::room::Rooms;
use crate::{OpenError, Peer, Refused, Room};

/// How long an agent may take to hear that another session has taken its place.
const LAST_WORD: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The agent closed it, or the connection broke.
    ByPeer,
    /// The agent broke the rules of HTTP/2, as by opening a stream of its own.
    Violation,
    /// The agent stopped answering.
    Silent,
    /// The same agent connected again.
    Replaced,
    /// The hub closed it.
    Closed,
}

/// What others hold of a session: enough to open streams and to end it.
pub(crate) struct Session {
    pub(crate) cluster: ClusterName,
    pub(crate) key: SpkiPin,
    pub(crate) since: SystemTime,
    /// Absent once the session takes no new streams.
    send: Mutex<Option<SendRequest<Bytes>>>,
    rooms: Rooms,
    meter: Arc<Meter>,
    link: Link,
    /// Another one has taken its place.
    displaced: CancellationToken,
    /// Takes no new streams.
    retired: CancellationToken,
    end: CancellationToken,
    ended: OnceLock<Ended>,
}

/// The part of a session that has to be driven.
pub(crate) struct Driver<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    connection: Connection<Listened<IO>, Bytes>,
    pings: h2::PingPong,
    link: Link,
    window: Window,
}

/// Starts HTTP/2 and waits until the agent has answered once.
pub(crate) async fn begin<IO>(
    peer: &Peer,
    io: IO,
    timing: limits::Timing,
    unread: Unread,
) -> Result<(Arc<Session>, Driver<IO>), Refused>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Begun { send, mut connection, mut pings, link } =
        client::begin(io, limits::STREAMS, Some(limits::VIOLATIONS), timing).await?;
    tokio::select! {
        is_answered = alive::round_trip(&mut pings, &link, timing.handshake) => if !is_answered {
            return Err(Refused::Silent);
        },
        closed = &mut connection => return Err(closed.map_or_else(Refused::Handshake, |()| Refused::Silent)),
    }
    // The agent's settings came before its answer.
    let rooms = Rooms::within(send.current_max_send_streams());
    let meter = Arc::<Meter>::default();
    let window = Window::new(link.clone(), meter.clone(), unread);
    let session = Session {
        cluster: peer.cluster().clone(),
        key: peer.key(),
        since: SystemTime::now(),
        send: Mutex::new(Some(send)),
        rooms,
        meter,
        link: link.clone(),
        displaced: CancellationToken::new(),
        retired: CancellationToken::new(),
        end: CancellationToken::new(),
        ended: OnceLock::new(),
    };
    Ok((Arc::new(session), Driver { connection, pings, link, window }))
}

impl<IO> Driver<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Moves bytes until the session ends.
    pub(crate) async fn run(self, session: Arc<Session>, timing: limits::Timing) -> Ended {
        let Self { mut connection, pings, link, mut window } = self;
        let silence = alive::watch(pings, link, timing.ping_interval, timing.ping_timeout);
        tokio::pin!(silence);
        loop {
            tokio::select! {
                // What has arrived is known to those below.
                biased;
                closed = &mut connection => return match closed {
                    Err(error) if !error.is_io() && !error.is_remote() => Ended::Violation,
                    _ => session.ended.get().copied().unwrap_or(Ended::ByPeer),
                },
                () = session.end.cancelled() => return session.ended.get().copied().unwrap_or(Ended::Closed),
                () = &mut silence => return Ended::Silent,
                size = window.changed() => if connection.set_initial_window_size(size).is_ok() {
                    window.told(size);
                },
            }
        }
    }
}

impl Session {
    /// Takes no new streams. The connection says goodbye and closes when the last stream has ended.
    pub(crate) fn retire(&self) {
        let _ = self.ended.set(Ended::Closed);
        self.handle().take();
        self.retired.cancel();
    }

    pub(crate) async fn retired(&self) {
        self.retired.cancelled().await;
    }

    /// Asks the agent to find another replica of the hub. One that does not know of such a thing refuses, and is cut off
    /// later.
    pub(crate) async fn hand_over(&self) {
        if !self.say(HAND_OVER).await {
            tracing::debug!(cluster = %self.cluster, "an agent was not handed over");
        }
    }

    /// Tells the agent something by a name that leads nowhere. Returns whether it has understood.
    async fn say(&self, word: &'static str) -> bool {
        match self.request(word).await {
            Ok((response, _outward)) => response.await.is_ok_and(|answer| answer.status() == StatusCode::OK),
            Err(_) => false,
        }
    }

    /// Another session has taken this one's place, which ends like that.
    pub(crate) fn displace(&self, reason: Ended) {
        let _ = self.ended.set(reason);
        self.displaced.cancel();
    }

    /// Completes when this session was displaced and its agent has heard of it, if it still hears anything.
    pub(crate) async fn make_way(&self) {
        self.displaced.cancelled().await;
        if timeout(LAST_WORD, self.say(REPLACED)).await != Ok(true) {
            tracing::debug!(cluster = %self.cluster, "an agent does not know that another one has taken its place");
        }
        match self.ended.get() {
            Some(Ended::Replaced) => self.end.cancel(),
            // What is open on it may go on: it was handed over, or is dead and will be found to be.
            _ => self.retire(),
        }
    }

    fn handle(&self) -> MutexGuard<'_, Option<SendRequest<Bytes>>> {
        self.send.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session now. The first reason stays.
    pub(crate) fn end(&self, reason: Ended) {
        let _ = self.ended.set(reason);
        self.end.cancel();
    }

    /// Asks for a stream. The agent answers by and by.
    pub(crate) async fn ask(&self, room: Room, target: Target, deadline: Duration) -> Result<Opening, OpenError> {
        let cluster = self.cluster.clone();
        let Some(place) = self.rooms.take(room) else {
            return Err(OpenError::Full { cluster, room });
        };
        let deadline = Instant::now() + deadline;
        let asked = timeout_at(deadline, self.request(target.as_str())).await;
        let (response, outward) = asked.map_err(|_| OpenError::Deadline { cluster: cluster.clone() })??;
        let (stream, grant) = TunnelStream::ahead(outward, self.meter.clone());
        let answer = Answer::Awaited(Awaited { cluster, target, response, grant, deadline });
        Ok(Opening { stream: stream.holding(place), answer })
    }

    /// Dropped, what comes of it resets the stream: an abandoned attempt leaves nothing at the agent.
    async fn request(&self, authority: &'static str) -> Result<(ResponseFuture, SendStream<Bytes>), OpenError> {
        let broken = |source| OpenError::Broken { cluster: self.cluster.clone(), source };
        let handle = self.handle().clone();
        let Some(send) = handle else {
            return Err(OpenError::NoTunnel { cluster: self.cluster.clone(), since: Some(SystemTime::now()) });
        };
        let mut send = send.ready().await.map_err(broken)?;
        send.send_request(connect::request(authority), false).map_err(broken)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            cluster: self.cluster.clone(),
            since: self.since,
            streams: self.rooms.taken(Room::People) + self.rooms.taken(Room::Hub),
            hub_streams: self.rooms.taken(Room::Hub),
            figures: self.meter.figures(),
            round_trip: self.link.last_trip().unwrap_or_default(),
        }
    }
}
