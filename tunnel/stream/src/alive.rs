//! Whether the far end is there.
//!
//! A ping waits behind everything that is already in the socket, so on a slow link under load its answer may take longer
//! than any sensible limit. The link is dead when a ping is open and *nothing at all* has arrived for that long. A far
//! end that says much and never answers does not live either: for that there is a limit which no link is too slow for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep, sleep_until};

/// When something last arrived on a connection.
#[derive(Clone, Debug)]
pub struct LastHeard {
    base: Instant,
    micros: Arc<AtomicU64>,
}

impl LastHeard {
    fn now() -> Self {
        Self { base: Instant::now(), micros: Arc::default() }
    }

    fn note(&self) {
        let micros = u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.store(micros, Ordering::Relaxed);
    }

    fn at(&self) -> Instant {
        self.base + Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

/// A connection that remembers when something last arrived.
#[derive(Debug)]
pub struct Listened<IO> {
    io: IO,
    heard: LastHeard,
}

impl<IO> Listened<IO> {
    /// Begins to listen.
    pub fn new(io: IO) -> (Self, LastHeard) {
        let heard = LastHeard::now();
        (Self { io, heard: heard.clone() }, heard)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Listened<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, out);
        if out.filled().len() > before {
            self.heard.note();
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Listened<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// As many times its limit a ping may take while something else arrives.
const BUSY: u32 = 8;

/// One round trip, or `None` when the link is dead.
pub async fn round_trip(pings: &mut PingPong, heard: &LastHeard, limit: Duration) -> Option<Duration> {
    let sent = Instant::now();
    let silence = async {
        loop {
            // Silence counts from the ping on: before it there was nothing to answer.
            let deadline = (heard.at().max(sent) + limit).min(sent + limit * BUSY);
            if Instant::now() >= deadline {
                return;
            }
            sleep_until(deadline).await;
        }
    };
    tokio::select! {
        answer = pings.ping(Ping::opaque()) => answer.ok().map(|_| sent.elapsed()),
        () = silence => None,
    }
}

/// Pings every `interval` and reports every round trip. Returns when the link is dead.
pub async fn watch(
    mut pings: PingPong,
    heard: LastHeard,
    interval: Duration,
    limit: Duration,
    mut report: impl FnMut(Duration),
) {
    loop {
        sleep(interval).await;
        match round_trip(&mut pings, &heard, limit).await {
            Some(took) => report(took),
            None => return,
        }
    }
}
