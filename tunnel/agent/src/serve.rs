//! One connection to the hub: answers its streams until it ends.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::{Request, Response, StatusCode};
use lib_drain::Drain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tunnel_protocol::limits::{self, Timing};
use tunnel_protocol::{HAND_OVER, REPLACED, Refusal, Target};
use tunnel_stream::alive::{self, Link, Listened};
use tunnel_stream::{Meter, TunnelStream, Unread, Window, connect};

use crate::ungranted::Ungranted;

/// What is at the end of streams.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Serves one stream until it is done. A stream that is dropped is reset.
    ///
    /// When the hub resets the stream, reads and writes fail; a handler that waits for something else meanwhile has to
    /// watch [`TunnelStream::reset`] too.
    async fn serve(&self, target: Target, stream: TunnelStream);
}

/// How a connection to the hub ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The hub closed it.
    #[error("the hub closed the tunnel")]
    ByHub,
    /// It broke, or the hub broke the rules.
    #[error("the tunnel broke")]
    Broken(#[source] h2::Error),
    /// The hub stopped answering.
    #[error("the hub stopped answering")]
    Silent,
    /// The hub asked us to find another replica. What is open on this connection goes on.
    #[error("the hub stops, and another replica of it is to be found")]
    HandedOver,
    /// The hub has a newer connection of our key. What is open on this one may go on.
    #[error("another process of this agent serves the cluster now")]
    Replaced,
    /// We were asked to finish.
    #[error("the agent finished")]
    Drained,
}

/// Starts HTTP/2 on a connection and waits for the hub's first answer.
pub(crate) async fn begin<IO>(io: IO, timing: Timing) -> Result<Tunnel<IO>, Ended>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, link) = Listened::new(io);
    let mut connection = timeout(timing.handshake, builder().handshake::<_, Bytes>(io))
        .await
        .map_err(|_| Ended::Silent)?
        .map_err(Ended::Broken)?;
    // h2 gives the handle once per connection, and nobody took it before us.
    let pings = connection.ping_pong().ok_or(Ended::Silent)?;
    Ok(Tunnel { connection, pings, link })
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_concurrent_streams(limits::STREAMS)
        .max_send_buffer_size(limits::SEND_BUFFER)
        .max_header_list_size(limits::HEADER_LIST)
        .max_frame_size(limits::FRAME)
        // As the hub does: streams that end early do not end the others, nor do those that were given up while the link
        // stood still and come with their ends. The hub may do here what it likes, so there is no bound on it.
        .max_pending_accept_reset_streams(limits::RESET_STREAMS)
        .max_concurrent_reset_streams(limits::RESET_STREAMS)
        .reset_stream_duration(limits::RESET_MEMORY)
        .max_local_error_reset_streams(None);
    builder
}

pub(crate) struct Tunnel<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    connection: Connection<Listened<IO>, Bytes>,
    pings: h2::PingPong,
    link: Link,
}

impl<IO> Tunnel<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Waits until the hub has answered a ping: only then has it accepted us, for with TLS 1.3 a refused certificate shows
    /// after the handshake. Streams are answered meanwhile.
    pub(crate) async fn prove<H: Handler>(
        self,
        handler: &Arc<H>,
        drain: &Drain,
        unread: &Unread,
        timing: Timing,
    ) -> Result<Proven<IO, H>, Ended> {
        let Self { connection, mut pings, link } = self;
        let meter = Arc::<Meter>::default();
        let mut streams = Streams {
            connection,
            handler: handler.clone(),
            drain: drain.clone(),
            window: Window::new(link.clone(), meter.clone(), unread.clone()),
            meter,
            ungranted: Ungranted::default(),
            finishing: false,
        };
        tokio::select! {
            is_answered = alive::round_trip(&mut pings, &link, timing.handshake) => match is_answered {
                true => Ok(Proven { streams, pings, link, timing }),
                false => Err(Ended::Silent),
            },
            ended = streams.answer_all() => Err(ended),
        }
    }
}

/// A connection to a hub that has accepted us.
pub(crate) struct Proven<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    streams: Streams<IO, H>,
    pings: h2::PingPong,
    link: Link,
    timing: Timing,
}

impl<IO, H> Proven<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    /// Answers streams until the connection ends, or the hub says that it counts no more: then it goes on as a task of the
    /// drain.
    ///
    /// When the drain finishes, the hub is told, and streams may end until their owner drops them.
    pub(crate) async fn serve(self) -> Ended {
        let Self { mut streams, pings, link, timing } = self;
        let mut silence = Box::pin(alive::watch(pings, link, timing.ping_interval, timing.ping_timeout));
        let ended = tokio::select! {
            // A round trip that has just been measured counts for the windows.
            biased;
            () = &mut silence => Ended::Silent,
            ended = streams.answer_all() => ended,
        };
        if is_farewell(&ended) {
            let drain = streams.drain.clone();
            drain.spawn(async move {
                tokio::select! {
                    () = silence => {}
                    // Of a connection that was left already: whoever is in its place is known.
                    () = async { while is_farewell(&streams.answer_all().await) {} } => {}
                }
            });
        }
        ended
    }
}

/// The streams of one connection.
struct Streams<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    connection: Connection<Listened<IO>, Bytes>,
    handler: Arc<H>,
    drain: Drain,
    meter: Arc<Meter>,
    window: Window,
    ungranted: Ungranted,
    finishing: bool,
}

impl<IO, H> Streams<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    /// Until the connection ends, or the hub says that it counts no more.
    async fn answer_all(&mut self) -> Ended {
        loop {
            tokio::select! {
                () = self.drain.finishing(), if !self.finishing => {
                    self.finishing = true;
                    self.connection.graceful_shutdown();
                }
                () = self.ungranted.overdue() => self.ungranted.grant(),
                size = self.window.changed() => if self.connection.set_initial_window_size(size).is_ok() {
                    self.window.told(size);
                },
                next = self.connection.accept() => match next {
                    None if self.finishing => return Ended::Drained,
                    None => return Ended::ByHub,
                    Some(Err(error)) => return Ended::Broken(error),
                    Some(Ok((request, mut respond))) => {
                        if let Some(ended) = connect::authority(&request).and_then(farewell) {
                            // There is nothing more to say. If the hub is gone already, it is to be left all the same.
                            let _ = respond.send_response(status(200), true);
                            return ended;
                        }
                        self.answer(request, respond);
                    }
                },
            }
        }
    }

    /// Answers one request for a stream. Whoever is not led to a target gets a status and nothing else.
    fn answer(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let target = match judge(&request) {
            Ok(_) if self.finishing => Err(Refusal::Draining),
            judged => judged,
        };
        let target = match target {
            Ok(target) => target,
            Err(refusal) => {
                tracing::warn!(refusal = %refusal, "refused a stream");
                // The hub may have gone away meanwhile; then nobody waits for the answer.
                let _ = respond.send_response(status(refusal.status()), true);
                return;
            }
        };
        let Ok((stream, owed)) = TunnelStream::asked(respond, request.into_body(), self.meter.clone()) else {
            return;
        };
        let handler = self.handler.clone();
        if !owed.is_granted() {
            self.ungranted.push(owed.clone());
        }
        self.drain.spawn(async move { owed.serve(handler.serve(target, stream)).await });
    }
}

/// What the hub says by a name that leads nowhere.
fn farewell(authority: &str) -> Option<Ended> {
    match authority {
        HAND_OVER => Some(Ended::HandedOver),
        REPLACED => Some(Ended::Replaced),
        _ => None,
    }
}

/// Whether the connection goes on, and another one is to be what counts.
fn is_farewell(ended: &Ended) -> bool {
    matches!(ended, Ended::HandedOver | Ended::Replaced)
}

fn judge(request: &Request<RecvStream>) -> Result<Target, Refusal> {
    connect::authority(request).ok_or(Refusal::NotUnderstood)?.parse().map_err(|_| Refusal::Forbidden)
}

fn status(code: u16) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncWriteExt as _, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    const LONG: Duration = Duration::from_secs(1);

    /// Answers after so long.
    struct After(Duration);

    #[async_trait]
    impl Handler for After {
        async fn serve(&self, _: Target, mut stream: TunnelStream) {
            sleep(self.0).await;
            stream.write_all(b"an answer").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    }

    /// When a hub that sends a request ahead hears that its stream is granted.
    async fn granted(answer: Duration) -> Duration {
        let (near, far) = duplex(64 * 1024);
        tokio::spawn(async move {
            let (drain, timing) = (Drain::new(), Timing::default());
            let tunnel = begin(near, timing).await.unwrap();
            let proven = tunnel.prove(&Arc::new(After(answer)), &drain, &Unread::default(), timing).await;
            proven.ok().unwrap().serve().await
        });
        let (client, connection) = h2::client::handshake(far).await.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let asked = Instant::now();
        let (response, mut outward) = client.send_request(connect::request("kubernetes-api"), false).unwrap();
        outward.send_data(Bytes::from_static(b"GET"), false).unwrap();
        response.await.unwrap();
        asked.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_granted_with_its_answer_or_long_before_a_slow_one() {
        let soon = Duration::from_millis(5);
        let taken = granted(soon).await;
        assert!((soon..2 * soon).contains(&taken), "{taken:?}");
        assert!(granted(LONG).await < LONG / 10);
    }
}
