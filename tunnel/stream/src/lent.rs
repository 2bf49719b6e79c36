//! A stream that comes back from whoever drops it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::TunnelStream;

/// A stream for an HTTP library, which drops what it was given as soon as the exchange is over.
pub struct Lent {
    /// There until it is dropped.
    stream: Option<TunnelStream>,
    back: Option<oneshot::Sender<TunnelStream>>,
}

/// Where it comes back to.
pub struct Returned(oneshot::Receiver<TunnelStream>);

impl TunnelStream {
    /// Gives the stream away until the other half of the pair is asked for it.
    pub fn lend(self) -> (Lent, Returned) {
        let (back, returned) = oneshot::channel();
        (Lent { stream: Some(self), back: Some(back) }, Returned(returned))
    }
}

impl Returned {
    /// The stream, if it was dropped already.
    pub fn try_taken(&mut self) -> Option<TunnelStream> {
        self.0.try_recv().ok()
    }

    /// Waits until the stream is dropped, and takes it.
    pub async fn taken(self) -> Option<TunnelStream> {
        self.0.await.ok()
    }
}

impl Lent {
    fn stream(self: Pin<&mut Self>) -> io::Result<Pin<&mut TunnelStream>> {
        self.get_mut().stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Where nobody waits for it, it ends here.
            let _ = back.send(stream);
        }
    }
}

impl AsyncRead for Lent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, out)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}
