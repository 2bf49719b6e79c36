//! gRPC over one HTTP/2 connection: unary calls, and one kind of stream.
//!
//! This is all of gRPC that etcd's API asks for: no compression, no name resolution, no service configuration. What is
//! kept apart with care is whether a request may have reached the other end, since only then may a write have happened.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use prost::Message;
use store_core::BoxError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::feed::chain;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The largest answer that is read. A page of [`crate::PAGE`] values of etcd's default size limit fits in.
const MAX_ANSWER: usize = 1 << 30;
/// How much may be under way before the reader asks for more.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// A silent connection is asked whether it lives, and given up when it does not answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A call may fail a moment before it is known why.
const EXPLAINED: Duration = Duration::from_millis(50);
/// Requests that wait to be sent on a stream.
const STREAM_QUEUE: usize = 8;

/// What the server says instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (gRPC code {code})")]
pub(crate) struct Status {
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl Status {
    pub(crate) const UNAVAILABLE: u32 = 14;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The request did not leave: it has certainly not been carried out.
    #[error("the connection was lost before the request was sent")]
    NotSent(#[source] BoxError),
    /// The request left, and no answer came: it may have been carried out.
    #[error("the connection was lost before the answer came")]
    Lost(#[source] BoxError),
    #[error("no answer came within {} s", .0.as_secs())]
    Late(Duration),
    #[error(transparent)]
    Refused(#[from] Status),
    /// What came is not gRPC, or not the message that was to come.
    #[error("the answer cannot be read")]
    Garbled(#[source] BoxError),
}

/// A connection that is set up. Dropping it ends it, with every call on it.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    base: String,
    /// Why the connection ended. What a call sees is often no more than that it did.
    ended: watch::Receiver<Option<String>>,
    _driver: JoinSet<()>,
}

impl Connection {
    /// Speaks HTTP/2 over a stream. `base` is the scheme and authority that requests name.
    pub(crate) async fn over<S>(stream: S, base: String) -> Result<Self, hyper::Error>
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(stream)
            .await?;
        let (end, ended) = watch::channel(None);
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            let why = connection.await.map_or_else(|error| chain(&error), |()| "the other end closed it".into());
            end.send_replace(Some(why));
        });
        Ok(Self { sender, base, ended, _driver: driver })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends one message and reads one.
    pub(crate) async fn unary<A: Message + Default>(
        &self,
        method: &'static str,
        question: &impl Message,
        token: Option<&HeaderValue>,
        deadline: Duration,
    ) -> Result<A, CallError> {
        let exchange = async {
            let body = Full::new(frame(question)).boxed_unsync();
            let response = self.send(self.request(method, token, body)?).await?;
            let headers = response.headers().clone();
            let collected = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(CallError::Lost)?;
            check(collected.trailers().filter(|trailers| trailers.contains_key("grpc-status")).unwrap_or(&headers))?;
            let mut bytes = collected.to_bytes();
            match take_frame(&mut bytes)? {
                Some(message) => A::decode(message).map_err(|error| CallError::Garbled(error.into())),
                None => Err(CallError::Garbled("an answer without a message".into())),
            }
        };
        tokio::time::timeout(deadline, exchange).await.unwrap_or(Err(CallError::Late(deadline)))
    }

    /// Opens a stream with its first message. The deadline is for the first answer.
    pub(crate) async fn stream<Q: Message + 'static>(
        &self,
        method: &'static str,
        first: &Q,
        token: Option<&HeaderValue>,
        deadline: Duration,
    ) -> Result<(Questions, Answers), CallError> {
        let (sender, receiver) = mpsc::channel::<Bytes>(STREAM_QUEUE);
        let questions = Questions(sender);
        questions.ask(first);
        let frames = futures::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|bytes| (bytes, receiver))
        });
        let body = StreamBody::new(frames.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync();
        let mut request = self.request(method, token, body)?;
        // A member that has lost its leader ends the stream, so that we go to another.
        request.headers_mut().insert("hasleader", HeaderValue::from_static("true"));
        let response = tokio::time::timeout(deadline, self.send(request)).await;
        let response = response.unwrap_or(Err(CallError::Late(deadline)))?;
        if response.headers().contains_key("grpc-status") {
            check(response.headers())?;
        }
        Ok((questions, Answers { body: response.into_body(), buffer: BytesMut::new() }))
    }

    fn request(
        &self,
        method: &'static str,
        token: Option<&HeaderValue>,
        body: Body,
    ) -> Result<Request<Body>, CallError> {
        let uri: Uri = format!("{}{method}", self.base)
            .parse()
            .map_err(|error: http::uri::InvalidUri| CallError::NotSent(error.into()))?;
        let mut request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(body)
            .map_err(|error| CallError::NotSent(error.into()))?;
        if let Some(token) = token {
            request.headers_mut().insert("token", token.clone());
        }
        Ok(request)
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, CallError> {
        let mut sender = self.sender.clone();
        if let Err(error) = sender.ready().await {
            return Err(CallError::NotSent(self.cause(error).await));
        }
        let response = match sender.try_send_request(request).await {
            Ok(response) => response,
            Err(mut error) => {
                let unsent = error.take_message().is_some();
                let cause = self.cause(error.into_error()).await;
                return Err(if unsent { CallError::NotSent(cause) } else { CallError::Lost(cause) });
            }
        };
        match response.status() {
            http::StatusCode::OK => Ok(response),
            other => Err(CallError::Garbled(format!("the answer is HTTP {other}; is this etcd's client port?").into())),
        }
    }
}

impl Connection {
    /// Why a call failed: why the connection ended, if it did.
    async fn cause(&self, error: hyper::Error) -> BoxError {
        let mut ended = self.ended.clone();
        let end = tokio::time::timeout(EXPLAINED, ended.wait_for(Option::is_some)).await;
        match end {
            Ok(Ok(why)) => why.clone().unwrap_or_default().into(),
            _ => error.into(),
        }
    }
}

/// The sending half of a stream. Dropping it ends the half.
#[derive(Debug)]
pub(crate) struct Questions(mpsc::Sender<Bytes>);

impl Questions {
    /// Sends a message, unless so many wait already that one more would tell nothing new.
    pub(crate) fn ask(&self, question: &impl Message) {
        self.0.try_send(frame(question)).ok();
    }
}

/// The receiving half of a stream.
#[derive(Debug)]
pub(crate) struct Answers {
    body: Incoming,
    buffer: BytesMut,
}

impl Answers {
    /// The next message. May be dropped while waiting; nothing is lost then.
    pub(crate) async fn next<A: Message + Default>(&mut self) -> Result<A, CallError> {
        loop {
            if let Some(message) = take_whole(&mut self.buffer)? {
                return A::decode(message).map_err(|error| CallError::Garbled(error.into()));
            }
            let frame = match self.body.frame().await {
                Some(frame) => frame.map_err(|error| CallError::Lost(error.into()))?,
                None => return Err(CallError::Lost("the stream ended".into())),
            };
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        check(trailers)?;
                    }
                }
            }
        }
    }
}

/// A message with gRPC's five bytes in front: not compressed, and its length.
fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(5 + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // A `BytesMut` grows as needed, which is all that encoding can fail of.
    message.encode(&mut bytes).ok();
    bytes.freeze()
}

/// The length of the first message, once its five bytes are there.
fn announced(bytes: &[u8]) -> Result<Option<usize>, CallError> {
    let Some([compressed, length @ ..]) = bytes.first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    match (compressed, length) {
        (0, length) if length <= MAX_ANSWER => Ok(Some(length)),
        (0, length) => Err(CallError::Garbled(format!("a message of {length} bytes is too large").into())),
        _ => Err(CallError::Garbled("a compressed message, which nobody asked for".into())),
    }
}

fn take_whole(buffer: &mut BytesMut) -> Result<Option<Bytes>, CallError> {
    match announced(buffer)? {
        Some(length) if buffer.len() >= 5 + length => {
            buffer.advance(5);
            Ok(Some(buffer.split_to(length).freeze()))
        }
        _ => Ok(None),
    }
}

fn take_frame(bytes: &mut Bytes) -> Result<Option<Bytes>, CallError> {
    match announced(bytes)? {
        Some(length) if bytes.len() >= 5 + length => {
            bytes.advance(5);
            Ok(Some(bytes.split_to(length)))
        }
        Some(_) => Err(CallError::Garbled("an answer that is cut short".into())),
        None => Ok(None),
    }
}

/// The status that ends a call.
fn check(headers: &HeaderMap) -> Result<(), CallError> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match text("grpc-status").and_then(|code| code.parse::<u32>().ok()) {
        Some(0) => Ok(()),
        Some(code) => {
            let message = percent_decode_str(text("grpc-message").unwrap_or_default()).decode_utf8_lossy().into_owned();
            Err(CallError::Refused(Status { code, message }))
        }
        None => Err(CallError::Lost("the answer ended without a status".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{ResponseHeader, StatusResponse};

    fn message(version: &str) -> StatusResponse {
        StatusResponse { header: Some(ResponseHeader { cluster_id: 7, revision: 9 }), version: version.into() }
    }

    #[test]
    fn messages_are_taken_off_a_stream_whole_wherever_it_is_cut() {
        let sent = [message("3.5.1"), message(""), message(&"x".repeat(300))];
        let bytes = sent.iter().map(frame).collect::<Vec<_>>().concat();
        for step in [1, 2, 5, 7, bytes.len()] {
            let (mut buffer, mut received) = (BytesMut::new(), Vec::new());
            for piece in bytes.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some(whole) = take_whole(&mut buffer).unwrap() {
                    received.push(StatusResponse::decode(whole).unwrap());
                }
            }
            assert_eq!((received, buffer.len()), (sent.to_vec(), 0), "in steps of {step}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let mut compressed = BytesMut::from(&[1, 0, 0, 0, 0][..]);
        assert!(matches!(take_whole(&mut compressed), Err(CallError::Garbled(_))));
        let mut endless = BytesMut::from(&[0, 255, 255, 255, 255][..]);
        assert!(matches!(take_whole(&mut endless), Err(CallError::Garbled(_))));
        let mut short = Bytes::from_static(&[0, 0, 0, 0, 9, 1]);
        assert!(matches!(take_frame(&mut short), Err(CallError::Garbled(_))));
    }

    #[track_caller]
    fn check_status(headers: &[(&'static str, &'static str)], expect: Result<(), &str>) {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        assert_eq!(check(&headers).map_err(|error| error.to_string()), expect.map_err(str::to_owned));
    }

    #[test]
    fn a_status_is_read_from_headers() {
        check_status(&[("grpc-status", "0")], Ok(()));
        check_status(&[("grpc-status", "3"), ("grpc-message", "no %E2%82%AC")], Err("no \u{20ac} (gRPC code 3)"));
        check_status(&[], Err("the connection was lost before the answer came"));
    }
}
