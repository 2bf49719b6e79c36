//! One connection to the hub: answers its streams until it ends.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::{Method, Request, Response, StatusCode};
use lib_drain::Drain;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tunnel_protocol::limits::{self, Timing};
use tunnel_protocol::{Refusal, Target};
use tunnel_stream::alive::{self, LastHeard, Listened};
use tunnel_stream::{Meter, TunnelStream};

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
    /// We were asked to finish.
    #[error("the agent finished")]
    Drained,
}

/// Starts HTTP/2 on a connection and waits for the hub's first answer.
pub(crate) async fn begin<IO>(io: IO, timing: Timing) -> Result<Tunnel<IO>, Ended>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, heard) = Listened::new(io);
    let mut connection = timeout(timing.handshake, builder().handshake::<_, Bytes>(io))
        .await
        .map_err(|_| Ended::Silent)?
        .map_err(Ended::Broken)?;
    // h2 gives the handle once per connection, and nobody took it before us.
    let pings = connection.ping_pong().ok_or(Ended::Silent)?;
    Ok(Tunnel { connection, pings, heard })
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
    heard: LastHeard,
}

impl<IO> Tunnel<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Answers streams until the connection ends. `proven` is called once the hub has answered a ping: only then has it
    /// accepted us, for with TLS 1.3 a refused certificate shows after the handshake.
    ///
    /// When `drain` finishes, the hub is told, and streams may end until their owner drops them.
    pub(crate) async fn run<H: Handler>(
        self,
        handler: &Arc<H>,
        drain: &Drain,
        timing: Timing,
        proven: impl FnOnce(),
    ) -> Ended {
        let Self { mut connection, mut pings, heard } = self;
        let meter = Arc::<Meter>::default();
        let silence = async {
            let first = alive::round_trip(&mut pings, &heard, timing.handshake).await;
            if first.is_some() {
                proven();
                alive::watch(pings, heard, timing.ping_interval, timing.ping_timeout, |_| {}).await;
            }
        };
        tokio::pin!(silence);
        let mut finishing = false;
        loop {
            tokio::select! {
                () = &mut silence => return Ended::Silent,
                () = drain.finishing(), if !finishing => {
                    finishing = true;
                    connection.graceful_shutdown();
                }
                next = connection.accept() => match next {
                    None if finishing => return Ended::Drained,
                    None => return Ended::ByHub,
                    Some(Err(error)) => return Ended::Broken(error),
                    Some(Ok((request, respond))) => answer(request, respond, handler, drain, &meter, finishing),
                },
            }
        }
    }
}

/// Answers one request for a stream. Whoever is not led to a target gets a status and nothing else.
fn answer<H: Handler>(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    handler: &Arc<H>,
    drain: &Drain,
    meter: &Arc<Meter>,
    finishing: bool,
) {
    let target = match judge(&request) {
        Ok(_) if finishing => Err(Refusal::Draining),
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
    let Ok(outward) = respond.send_response(status(200), false) else {
        return;
    };
    let stream = TunnelStream::new(outward, request.into_body(), meter.clone());
    let handler = handler.clone();
    drain.spawn(async move { handler.serve(target, stream).await });
}

fn judge(request: &Request<RecvStream>) -> Result<Target, Refusal> {
    if request.method() != Method::CONNECT || request.uri().scheme().is_some() || !request.uri().path().is_empty() {
        return Err(Refusal::NotUnderstood);
    }
    let authority = request.uri().authority().ok_or(Refusal::NotUnderstood)?;
    authority.as_str().parse().map_err(|_| Refusal::Forbidden)
}

fn status(code: u16) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
