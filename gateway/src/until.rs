//! A body that ends when its reader may no longer read.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fleet::{Body, BoxError};
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Watches last for hours, and sessions may not.
pub(crate) struct Until {
    body: Body,
    end: BoxFuture<'static, ()>,
}

impl Until {
    pub(crate) fn new(body: Body, end: BoxFuture<'static, ()>) -> Self {
        Self { body, end }
    }
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // What is there already is passed on; only waiting for more depends on the session.
        if frame.is_pending() && self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err("the session has ended".into())));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
