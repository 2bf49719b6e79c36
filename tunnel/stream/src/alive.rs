//! Whether the far end is there.
//!
//! A ping waits behind everything that is already in the socket, so on a slow link under load its answer may take longer
//! than any sensible limit. The link is dead when a ping is open and *nothing at all* has arrived for that long. A far
//! end that says much and never answers does not live either: for that there is a limit which no link is too slow for.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep, sleep_until};

/// How many round trips a link is judged by: those of a minute. The shortest is the way itself; others have waited behind
/// what was being sent.
const TRIPS: usize = 12;

/// What is known of the link under a connection.
#[derive(Clone, Debug)]
pub struct Link(Arc<Known>);

#[derive(Debug)]
struct Known {
    base: Instant,
    /// When something last arrived.
    heard_micros: AtomicU64,
    /// How many bytes have.
    arrived: AtomicU64,
    /// The last round trips, and how many there were.
    trips: Mutex<(VecDeque<Duration>, u64)>,
}

impl Link {
    fn new() -> Self {
        Self(Arc::new(Known {
            base: Instant::now(),
            heard_micros: AtomicU64::default(),
            arrived: AtomicU64::default(),
            trips: Mutex::default(),
        }))
    }

    fn note(&self, bytes: usize) {
        let micros = u64::try_from(self.0.base.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.heard_micros.store(micros, Ordering::Relaxed);
        self.0.arrived.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn heard_at(&self) -> Instant {
        self.0.base + Duration::from_micros(self.0.heard_micros.load(Ordering::Relaxed))
    }

    pub(crate) fn arrived(&self) -> u64 {
        self.0.arrived.load(Ordering::Relaxed)
    }

    pub(crate) fn note_trip(&self, took: Duration) {
        let (recent, count) = &mut *self.trips();
        recent.push_back(took);
        if recent.len() > TRIPS {
            recent.pop_front();
        }
        *count += 1;
    }

    /// How many round trips there were.
    pub(crate) fn trips_made(&self) -> u64 {
        self.trips().1
    }

    /// How long a round trip takes that nothing holds up; nothing before the first.
    pub(crate) fn shortest_trip(&self) -> Option<Duration> {
        self.trips().0.iter().min().copied()
    }

    /// How long the last round trip took; nothing before the first.
    pub fn last_trip(&self) -> Option<Duration> {
        self.trips().0.back().copied()
    }

    fn trips(&self) -> MutexGuard<'_, (VecDeque<Duration>, u64)> {
        // A panic in between leaves one round trip too many, or a number too small by one.
        self.0.trips.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that notes what arrives.
#[derive(Debug)]
pub struct Listened<IO> {
    io: IO,
    link: Link,
}

impl<IO> Listened<IO> {
    /// Begins to listen.
    pub fn new(io: IO) -> (Self, Link) {
        let link = Link::new();
        (Self { io, link: link.clone() }, link)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Listened<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, out);
        let arrived = out.filled().len() - before;
        if arrived > 0 {
            self.link.note(arrived);
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

/// Makes one round trip, which the link keeps. Whether it was answered: otherwise the link is dead.
pub async fn round_trip(pings: &mut PingPong, link: &Link, limit: Duration) -> bool {
    let sent = Instant::now();
    let silence = async {
        loop {
            // Silence counts from the ping on: before it there was nothing to answer.
            let deadline = (link.heard_at().max(sent) + limit).min(sent + limit * BUSY);
            if Instant::now() >= deadline {
                return;
            }
            sleep_until(deadline).await;
        }
    };
    tokio::select! {
        answered = pings.ping(Ping::opaque()) => {
            if answered.is_ok() {
                link.note_trip(sent.elapsed());
            }
            answered.is_ok()
        }
        () = silence => false,
    }
}

/// Pings every `interval`. Returns when the link is dead.
pub async fn watch(mut pings: PingPong, link: Link, interval: Duration, limit: Duration) {
    loop {
        sleep(interval).await;
        if !round_trip(&mut pings, &link, limit).await {
            return;
        }
    }
}
