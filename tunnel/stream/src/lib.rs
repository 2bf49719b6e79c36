//! One h2 stream as a stream of bytes, for both ends of the tunnel.
//!
//! Credit goes back to the sender only for bytes that the reader took, so a reader that stops holds one window of its own
//! stream and nothing of the others. A stream that is dropped before both sides have finished is reset, so the far end
//! learns at once that nobody listens.

pub mod alive;
pub mod connect;
mod grant;
mod lent;
mod meter;
mod owed;
mod window;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream, StreamId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use tunnel_protocol::limits::FRAME;

pub use grant::Grant;
use grant::Receiving;
pub use lent::{Lent, Returned};
pub use meter::{Figures, Meter};
pub use owed::Owed;
use owed::Sending;
pub use window::{Unread, Window};

/// The most bytes that one write hands to h2: a frame.
const CHUNK: usize = FRAME as usize;

/// The most bytes that go ahead with the question for a stream.
const FIRST: usize = 16 * 1024;

/// The most bytes that are taken from a stream which is being closed. Who has more to say than the end of an answer is
/// cut off.
const LAST_WORDS: usize = 1024;

/// A stream of bytes inside a tunnel.
pub struct TunnelStream {
    id: StreamId,
    send: Sending,
    receive: Receiving,
    /// What h2 gave us and the reader has not taken.
    unread: Bytes,
    finished: bool,
    /// Whether nothing was written yet of what goes ahead.
    is_ahead: bool,
    /// Whether a write waits for credit.
    waits: bool,
    meter: Arc<Meter>,
    /// Whatever has to live as long as the stream: a permit, for one.
    _held: Option<Box<dyn Send + Sync>>,
}

impl std::fmt::Debug for TunnelStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TunnelStream").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TunnelStream {
    /// Joins the two directions of an h2 stream.
    pub fn new(send: SendStream<Bytes>, mut receive: RecvStream, meter: Arc<Meter>) -> Self {
        meter.enter(receive.stream_id(), receive.flow_control().clone());
        Self::of(send.stream_id(), Sending::Ours(send), Receiving::Granted(receive), meter)
    }

    /// One that the far end has asked for. If it has said something already, it waits for an answer and for no grant, and
    /// gets both together; otherwise it is granted the stream at once. Whoever serves the stream is driven by what comes
    /// with it.
    ///
    /// # Errors
    /// When the far end has gone.
    pub fn asked(
        respond: SendResponse<Bytes>,
        mut receive: RecvStream,
        meter: Arc<Meter>,
    ) -> Result<(Self, Owed), h2::Error> {
        let id = respond.stream_id();
        meter.enter(id, receive.flow_control().clone());
        let first = receive.poll_data(&mut Context::from_waker(Waker::noop()));
        let owed = Owed::new(respond);
        let mut stream = Self::of(id, Sending::Theirs(owed.clone()), Receiving::Granted(receive), meter);
        match first {
            Poll::Ready(Some(Ok(first))) => stream.unread = first,
            _ => owed.grant()?,
        }
        Ok((stream, owed))
    }

    /// One that the far end has not granted yet. What is written goes ahead, and reads wait for the grant.
    pub fn ahead(send: SendStream<Bytes>, meter: Arc<Meter>) -> (Self, Grant) {
        let (grant, receiving) = Grant::new(meter.clone());
        let mut stream = Self::of(send.stream_id(), Sending::Ours(send), receiving, meter);
        stream.is_ahead = true;
        (stream, grant)
    }

    fn of(id: StreamId, send: Sending, receive: Receiving, meter: Arc<Meter>) -> Self {
        Self {
            id,
            send,
            receive,
            unread: Bytes::new(),
            finished: false,
            is_ahead: false,
            waits: false,
            meter,
            _held: None,
        }
    }

    /// Keeps `held` until the stream is dropped.
    pub fn holding(mut self, held: impl Send + Sync + 'static) -> Self {
        self._held = Some(Box::new(held));
        self
    }

    /// Completes when the far end resets the stream or the tunnel closes.
    pub async fn reset(&mut self) {
        // The reason makes no difference to a caller who only wants to stop.
        let _ = poll_fn(|cx| self.send.poll_reset(cx)).await;
    }

    /// Whether both ends have said all they had to say.
    pub fn is_over(&mut self) -> bool {
        let mut rest = [0; 1];
        let mut rest = ReadBuf::new(&mut rest);
        let read = Pin::new(&mut *self).poll_read(&mut Context::from_waker(Waker::noop()), &mut rest);
        self.finished && matches!(read, Poll::Ready(Ok(()))) && rest.filled().is_empty()
    }

    /// Drops the stream, but not before the far end has ended it too, if it does so within `patience` and has next to
    /// nothing more to say. Ends that cross on their way are no violation of HTTP/2 then: libraries count those over the
    /// life of a connection, and close it after some.
    pub async fn close(mut self, patience: Duration) {
        if !self.finished {
            return;
        }
        let mut rest = [0; LAST_WORDS];
        let to_the_end = async {
            let mut seen = 0;
            while let Ok(count @ 1..) = self.read(&mut rest[seen..]).await {
                seen += count;
            }
        };
        let _ = timeout(patience, to_the_end).await;
    }

    fn wait(&mut self, waits: bool) {
        match (self.waits, waits) {
            (false, true) => self.meter.waits(),
            (true, false) => self.meter.goes_on(),
            _ => {}
        }
        self.waits = waits;
    }

    fn broken(&mut self, cx: &mut Context<'_>) -> io::Error {
        match self.send.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => io::Error::new(io::ErrorKind::BrokenPipe, h2::Error::from(reason)),
            Poll::Ready(Err(error)) => into_io(error),
            Poll::Pending => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let Self { receive, unread, meter, .. } = &mut *self;
        let Some(receive) = ready!(receive.poll_granted(cx)) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
        };
        // As many frames as there is room for: each turn of the reader costs more than a frame does.
        while out.remaining() > 0 {
            if unread.is_empty() {
                match receive.poll_data(cx) {
                    Poll::Ready(Some(Ok(data))) => *unread = data,
                    // How it ends is said again at the next read.
                    _ if out.filled().len() > before => break,
                    Poll::Ready(None) => break,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(into_io(error))),
                    Poll::Pending => return Poll::Pending,
                }
            }
            let take = unread.len().min(out.remaining());
            out.put_slice(&unread.split_to(take));
        }
        let taken = out.filled().len() - before;
        meter.received(taken);
        // After a reset there is nobody to give credit to, and the bytes are still good.
        let _ = receive.flow_control().release_capacity(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = data.iter().map(|slice| slice.len()).sum();
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        if self.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let granted = if std::mem::take(&mut self.is_ahead) {
            // There is no credit before the question for the stream has gone out, and this is to go with it.
            FIRST
        } else {
            let room = self.send.poll_room(cx, length.min(CHUNK));
            self.wait(room.is_pending());
            match ready!(room) {
                Some(Ok(granted)) => granted,
                Some(Err(error)) => return Poll::Ready(Err(into_io(error))),
                None => return Poll::Ready(Err(self.broken(cx))),
            }
        };
        let take = granted.min(length).min(CHUNK);
        let mut piece = BytesMut::with_capacity(take);
        for slice in data {
            let rest = take - piece.len();
            piece.extend_from_slice(&slice[..rest.min(slice.len())]);
        }
        self.send.send(piece.freeze()).map_err(into_io)?;
        self.meter.sent(take);
        Poll::Ready(Ok(take))
    }

    /// Libraries would copy the pieces together, and we copy once more.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The connection's own task writes.
    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.flush().map_err(into_io))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            self.finished = true;
            self.send.end().map_err(into_io)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for TunnelStream {
    fn drop(&mut self) {
        self.wait(false);
        self.receive.close();
        self.meter.leave(self.id);
        // A reset overtakes what waits to be sent. Where we have said all, h2 sends it by itself, behind the last byte, if
        // the far end has more to say.
        if !self.finished {
            self.send.reset(Reason::CANCEL);
        }
    }
}

fn into_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into());
    }
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
