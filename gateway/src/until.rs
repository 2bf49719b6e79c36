//! A body that ends when its reader may no longer read.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fleet::{Body, BoxError};
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Watches last for hours, and sessions and rights may not.
pub(crate) struct Until {
    body: Body,
    /// Completes when nothing more may be read, not even what is there.
    revoked: BoxFuture<'static, ()>,
    /// Completes when there is no more waiting.
    closing: BoxFuture<'static, ()>,
    over: bool,
}

impl Until {
    pub(crate) fn new(body: Body, revoked: BoxFuture<'static, ()>, closing: BoxFuture<'static, ()>) -> Self {
        Self { body, revoked, closing, over: false }
    }

    fn end(&mut self, why: &'static str) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.over = true;
        Poll::Ready(Some(Err(why.into())))
    }
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        // First, or a stream that always has something would never end.
        if self.revoked.as_mut().poll(cx).is_ready() {
            return self.end("the session or the right has ended");
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending() && self.closing.as_mut().poll(cx).is_ready() {
            return self.end("the door is closing");
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use fleet::boxed;
    use futures::FutureExt;
    use futures::channel::oneshot;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// A body that never waits.
    fn chatter() -> Body {
        boxed(StreamBody::new(futures::stream::repeat_with(|| {
            Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"x")))
        })))
    }

    fn silence() -> Body {
        boxed(StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, BoxError>>()))
    }

    /// Something that happens when its sender is dropped.
    fn event() -> (oneshot::Sender<()>, BoxFuture<'static, ()>) {
        let (sender, receiver) = oneshot::channel();
        (sender, receiver.map(drop).boxed())
    }

    #[tokio::test]
    async fn case_40_a_stream_that_never_waits_ends_too() {
        let ((session, revoked), (_door, closing)) = (event(), event());
        let mut body = Until::new(chatter(), revoked, closing);
        assert!(body.frame().await.unwrap().is_ok());
        drop(session);
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_stream_that_waits_ends_with_its_session_and_with_the_door() {
        let ((session, revoked), (_door, closing)) = (event(), event());
        let mut body = Until::new(silence(), revoked, closing);
        assert!(body.frame().now_or_never().is_none());
        drop(session);
        assert!(body.frame().await.unwrap().is_err());
        let ((_session, revoked), (door, closing)) = (event(), event());
        let mut body = Until::new(silence(), revoked, closing);
        drop(door);
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn what_is_there_is_read_while_the_door_closes() {
        let ((_session, revoked), (door, closing)) = (event(), event());
        let mut body = Until::new(chatter(), revoked, closing);
        drop(door);
        assert!(body.frame().await.unwrap().is_ok());
    }
}
