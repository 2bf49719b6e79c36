//! One HTTP/1.1 request on a stream of its own.
//!
//! Streams are never reused. Whatever a request or its answer does to the framing of HTTP/1.1, there is no next request
//! on the same stream that it could reach, and a refused upgrade ends with its stream.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lib_drain::Drain;
use lib_names::ClusterName;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tunnel_protocol::Target;
use tunnel_stream::{Returned, TunnelStream};

use crate::SendError;
use crate::opening::Opening;
use crate::turn::Turn;

/// The most that a member may send as the head of a response.
const MAX_HEAD: usize = 256 * 1024;
/// How long after an answer its stream may take to end. One that was abandoned is cut off after that.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// The body of an answer. Whoever reads it drives its connection: with a task for that, each piece would wait for one task
/// to wake the other.
pub struct ResponseBody {
    body: Incoming,
    /// None once the rest is a task's.
    connection: Option<Connection>,
    turn: Turn,
}

/// The connection of one exchange.
struct Connection {
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    is_over: bool,
    returned: Returned,
    tasks: Drain,
}

pub(crate) async fn send<B>(
    tasks: &Drain,
    cluster: &ClusterName,
    target: Target,
    Opening { stream, answer }: Opening,
    mut request: Request<B>,
    deadline: Duration,
) -> Result<Response<ResponseBody>, SendError>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let failed = |source| SendError::Exchange { cluster: cluster.clone(), source };
    request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static(target.as_str()));
    let (stream, returned) = stream.lend();
    let (mut sender, driver) =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let driver = Box::pin(driver.with_upgrades());
    let mut connection = Connection { driver, is_over: false, returned, tasks: tasks.clone() };
    let exchange = sender.send_request(request);
    let answered = async {
        tokio::pin!(exchange);
        tokio::select! {
            // A stream that is refused breaks the exchange too; why, the agent has said.
            biased;
            granted = answer.granted() => granted?,
            response = &mut exchange => return response.map_err(failed),
        }
        let late = |_| SendError::Deadline { cluster: cluster.clone() };
        timeout(deadline, exchange).await.map_err(late)?.map_err(failed)
    };
    let (mut answered, turn) = (pin!(answered), Turn::default());
    let response = poll_fn(|cx| {
        turn.poll(cx, |cx| {
            let answered = answered.as_mut().poll(cx);
            if answered.is_pending() {
                // Whoever waits for the answer meets the same error there.
                connection.drive(cx);
            }
            answered
        })
    })
    .await?;
    // Whoever switches waits for that, and reads no body.
    let connection = match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {
            connection.finish();
            None
        }
        _ => Some(connection),
    };
    Ok(response.map(|body| ResponseBody { body, connection, turn }))
}

impl Connection {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.is_over {
            self.is_over = self.driver.as_mut().poll(cx).is_ready();
        }
    }

    /// A task goes on until the stream has ended at both ends, if it has not yet.
    fn finish(self) {
        let Self { driver, is_over, mut returned, tasks } = self;
        // Dropped, it gives the stream back.
        let driver = (!is_over).then_some(driver);
        let mut stream = returned.try_taken();
        if stream.as_mut().is_some_and(TunnelStream::is_over) {
            return;
        }
        tasks.spawn(async move {
            if let Some(driver) = driver {
                // How it ends is its reader's affair.
                let _ = driver.await;
            }
            let stream = match stream {
                None => returned.taken().await,
                stream => stream,
            };
            if let Some(stream) = stream {
                stream.close(LAST_WORDS).await;
            }
        });
    }
}

impl ResponseBody {
    fn finish(&mut self) {
        // Where nothing runs any more, everything ends by being dropped.
        if let Some(connection) = self.connection.take()
            && Handle::try_current().is_ok()
        {
            connection.finish();
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Self { body, connection, turn } = this;
        let frame = turn.poll(cx, |cx| {
            if let Some(connection) = connection {
                connection.drive(cx);
            }
            Pin::new(&mut *body).poll_frame(cx)
        });
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            this.finish();
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
