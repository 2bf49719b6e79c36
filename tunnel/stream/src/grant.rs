//! A stream that was asked for, and that the far end has not granted yet.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use h2::RecvStream;
use tokio::sync::oneshot;

use crate::Meter;

/// What the far end sends.
pub(crate) enum Receiving {
    Awaited(oneshot::Receiver<RecvStream>),
    Granted(RecvStream),
    Refused,
}

/// Where what the far end sends is given to its stream. Dropped, the stream is refused: its reads fail.
pub struct Grant {
    stream: oneshot::Sender<RecvStream>,
    meter: Arc<Meter>,
}

impl Grant {
    pub(crate) fn new(meter: Arc<Meter>) -> (Self, Receiving) {
        let (stream, awaited) = oneshot::channel();
        (Self { stream, meter }, Receiving::Awaited(awaited))
    }

    /// The far end has granted the stream.
    pub fn give(self, mut receive: RecvStream) {
        // What a stream has not read counts from here on, whether it reads or not.
        let id = receive.stream_id();
        self.meter.enter(id, receive.flow_control().clone());
        if let Err(unwanted) = self.stream.send(receive) {
            // The stream was dropped before.
            self.meter.leave(id);
            drop(unwanted);
        }
    }
}

impl Receiving {
    /// None if the stream is refused.
    pub(crate) fn poll_granted(&mut self, cx: &mut Context<'_>) -> Poll<Option<&mut RecvStream>> {
        if let Self::Awaited(awaited) = self {
            *self = ready!(Pin::new(awaited).poll(cx)).map_or(Self::Refused, Self::Granted);
        }
        Poll::Ready(match self {
            Self::Granted(receive) => Some(receive),
            Self::Awaited(_) | Self::Refused => None,
        })
    }

    /// From here on a grant comes too late, and knows it.
    pub(crate) fn close(&mut self) {
        if let Self::Awaited(awaited) = self {
            awaited.close();
        }
    }
}
