//! A link that carries so much and no more, shared by all connections over it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What may leave at once: as much as a network card takes.
const BURST: Duration = Duration::from_millis(2);
const PIECE: usize = 64 * 1024;

/// The link.
pub(super) struct Rate {
    bytes_per_second: f64,
    /// When all that was sent has left.
    free: Mutex<Instant>,
}

impl Rate {
    pub(super) fn new(bytes_per_second: f64) -> Arc<Self> {
        Arc::new(Self { bytes_per_second, free: Mutex::new(Instant::now()) })
    }

    /// When more may be sent.
    fn ready_at(&self) -> Instant {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) - BURST
    }

    fn sent(&self, bytes: usize) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = (*free).max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
    }
}

/// A connection whose writes go over the link.
pub(super) struct Paced<IO> {
    io: IO,
    rate: Option<Arc<Rate>>,
    waits: Pin<Box<Sleep>>,
}

impl<IO> Paced<IO> {
    pub(super) fn new(io: IO, rate: Option<Arc<Rate>>) -> Self {
        Self { io, rate, waits: Box::pin(sleep_until(Instant::now())) }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Paced<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Paced<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(rate) = &this.rate else { return Pin::new(&mut this.io).poll_write(cx, data) };
        while rate.ready_at() > Instant::now() {
            this.waits.as_mut().reset(rate.ready_at());
            ready!(this.waits.as_mut().poll(cx));
        }
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, &data[..data.len().min(PIECE)]))?;
        rate.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
