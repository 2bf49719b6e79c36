//! A stream that the far end has asked for, and that may not be granted yet.
//!
//! What belongs together goes out together: the grant with the first bytes, and the end with the last ones. Alone, each
//! would be a record of its own, for which the far end wakes up and has next to nothing to do.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::Response;

/// What is sent to the far end.
pub(crate) enum Sending {
    /// Of a stream that we have asked for.
    Ours(SendStream<Bytes>),
    /// Of one that the far end has asked for.
    Theirs(Owed),
}

/// What a stream still owes to the far end, which has asked for it.
#[derive(Clone)]
pub struct Owed(Arc<Mutex<Outward>>);

struct Outward {
    asked: Asked,
    /// Bytes for which there is room, and which may be the last.
    held: Option<Bytes>,
    /// Whether whoever serves the stream is at it. What is held goes out when they pause.
    is_served: bool,
}

/// Whoever has asked for the stream.
enum Asked {
    Waiting(SendResponse<Bytes>),
    Granted(SendStream<Bytes>),
}

impl Owed {
    pub(crate) fn new(respond: SendResponse<Bytes>) -> Self {
        let outward = Outward { asked: Asked::Waiting(respond), held: None, is_served: false };
        Self(Arc::new(Mutex::new(outward)))
    }

    /// Drives whoever serves the stream.
    pub async fn serve(&self, served: impl Future<Output = ()>) {
        let mut served = pin!(served);
        poll_fn(|cx| {
            self.lock().is_served = true;
            let polled = served.as_mut().poll(cx);
            let mut outward = self.lock();
            outward.is_served = false;
            // Where the far end has gone, whoever serves the stream sees it.
            let _ = outward.let_go(false);
            polled
        })
        .await;
    }

    /// Whether the far end has its grant.
    pub fn is_granted(&self) -> bool {
        matches!(self.lock().asked, Asked::Granted(_))
    }

    /// Grants the stream alone, if that has not happened yet.
    ///
    /// # Errors
    /// When the far end has gone.
    pub fn grant(&self) -> Result<(), h2::Error> {
        self.lock().granted().map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Outward> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outward {
    fn granted(&mut self) -> Result<&mut SendStream<Bytes>, h2::Error> {
        if let Asked::Waiting(respond) = &mut self.asked {
            self.asked = Asked::Granted(respond.send_response(Response::new(()), false)?);
        }
        match &mut self.asked {
            Asked::Granted(stream) => Ok(stream),
            Asked::Waiting(_) => Err(Reason::INTERNAL_ERROR.into()),
        }
    }

    /// With nothing held: what is held has room of its own.
    fn settled(&mut self) -> Result<&mut SendStream<Bytes>, h2::Error> {
        self.let_go(false)?;
        self.granted()
    }

    /// Sends what is held, and the end if this is it.
    fn let_go(&mut self, is_end: bool) -> Result<(), h2::Error> {
        match self.held.take() {
            None if !is_end => Ok(()),
            held => self.granted()?.send_data(held.unwrap_or_default(), is_end),
        }
    }
}

impl Sending {
    /// How many bytes may be sent now.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<Option<Result<usize, h2::Error>>> {
        let poll = |stream: &mut SendStream<Bytes>, cx: &mut Context<'_>| {
            stream.reserve_capacity(wanted);
            loop {
                match stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(0))) => {}
                    polled => return polled,
                }
            }
        };
        match self {
            Self::Ours(stream) => poll(stream, cx),
            Self::Theirs(owed) => match owed.lock().settled() {
                Ok(stream) => poll(stream, cx),
                Err(error) => Poll::Ready(Some(Err(error))),
            },
        }
    }

    /// Sends bytes for which there is room, as was just asked.
    pub(crate) fn send(&mut self, bytes: Bytes) -> Result<(), h2::Error> {
        match self {
            Self::Ours(stream) => stream.send_data(bytes, false),
            Self::Theirs(owed) => {
                owed.lock().held = Some(bytes);
                Ok(())
            }
        }
    }

    /// Nothing stays here for longer than whoever serves the stream is at it.
    pub(crate) fn flush(&mut self) -> Result<(), h2::Error> {
        match self {
            Self::Ours(_) => Ok(()),
            Self::Theirs(owed) => {
                let mut outward = owed.lock();
                if outward.is_served { Ok(()) } else { outward.let_go(false) }
            }
        }
    }

    pub(crate) fn end(&mut self) -> Result<(), h2::Error> {
        match self {
            Self::Ours(stream) => stream.send_data(Bytes::new(), true),
            Self::Theirs(owed) => owed.lock().let_go(true),
        }
    }

    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        match self {
            Self::Ours(stream) => stream.poll_reset(cx),
            Self::Theirs(owed) => match &mut owed.lock().asked {
                Asked::Waiting(respond) => respond.poll_reset(cx),
                Asked::Granted(stream) => stream.poll_reset(cx),
            },
        }
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        match self {
            Self::Ours(stream) => stream.send_reset(reason),
            Self::Theirs(owed) => {
                let mut outward = owed.lock();
                outward.held = None;
                match &mut outward.asked {
                    Asked::Waiting(respond) => respond.send_reset(reason),
                    Asked::Granted(stream) => stream.send_reset(reason),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use h2::RecvStream;
    use h2::client::ResponseFuture;
    use tokio::io::{AsyncWriteExt as _, duplex};
    use tokio::time::timeout;

    use crate::{Meter, TunnelStream, connect};

    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    /// The end of whoever asked for a stream.
    struct Asker {
        response: ResponseFuture,
        outward: SendStream<Bytes>,
    }

    impl Asker {
        async fn granted(self) -> RecvStream {
            timeout(SOON, self.response).await.unwrap().unwrap().into_body()
        }

        async fn is_waiting(&mut self) -> bool {
            timeout(SOON, &mut self.response).await.is_err()
        }
    }

    /// A stream that somebody has asked for, with the first bytes behind the question if there are any.
    async fn asked(first: &'static [u8]) -> (Asker, TunnelStream, Owed) {
        let (near, far) = duplex(64 * 1024);
        let (server, client) = tokio::join!(h2::server::handshake(near), h2::client::handshake(far));
        let (mut server, (client, connection)) = (server.unwrap(), client.unwrap());
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let (response, mut outward) = client.send_request(connect::request("kubernetes-api"), false).unwrap();
        if !first.is_empty() {
            outward.send_data(first.into(), false).unwrap();
        }
        let (request, respond) = server.accept().await.unwrap().unwrap();
        let (stream, owed) = TunnelStream::asked(respond, request.into_body(), Arc::<Meter>::default()).unwrap();
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        (Asker { response, outward }, stream, owed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_waits_for_the_answer_whose_last_bytes_are_its_end() {
        let (mut asker, mut stream, owed) = asked(b"GET").await;
        assert!(!owed.is_granted() && asker.is_waiting().await);
        let answer = async {
            stream.write_all(b"an answer").await.unwrap();
            stream.flush().await.unwrap();
            stream.shutdown().await.unwrap();
        };
        owed.serve(answer).await;
        let mut body = asker.granted().await;
        assert_eq!(body.data().await.unwrap().unwrap(), "an answer");
        assert!(body.is_end_stream());
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_goes_alone_when_it_is_told_to() {
        let (asker, mut stream, owed) = asked(b"GET").await;
        owed.grant().unwrap();
        let mut body = asker.granted().await;
        owed.serve(async { stream.write_all(b"an answer").await.unwrap() }).await;
        assert_eq!(body.data().await.unwrap().unwrap(), "an answer");
        assert!(!body.is_end_stream());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_nothing_yet_is_granted_a_stream_at_once() {
        let (asker, _stream, owed) = asked(b"").await;
        assert!(owed.is_granted());
        drop(asker.granted().await);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_held_when_whoever_serves_pauses_or_has_given_the_stream_away() {
        let (asker, mut stream, owed) = asked(b"GET").await;
        let (written, taken) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let pausing = async {
                stream.write_all(b"one").await.unwrap();
                std::future::pending::<()>().await;
            };
            let _ = timeout(SOON, owed.serve(pausing)).await;
            let _ = written.send(stream);
        });
        let mut body = asker.granted().await;
        assert_eq!(body.data().await.unwrap().unwrap(), "one");
        let mut stream = taken.await.unwrap();
        stream.write_all(b"two").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), "two");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_dropped_before_it_is_granted_is_reset() {
        let (asker, stream, _owed) = asked(b"GET").await;
        drop(stream);
        assert_eq!(asker.response.await.unwrap_err().reason(), Some(Reason::CANCEL));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_serves_hears_that_the_far_end_gives_up() {
        let (mut asker, mut stream, _owed) = asked(b"GET").await;
        asker.outward.send_reset(Reason::CANCEL);
        drop(asker);
        timeout(SOON, stream.reset()).await.unwrap();
        assert!(stream.write_all(b"answer").await.is_err());
    }
}
