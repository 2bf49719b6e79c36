//! One HTTP/1.1 request on a stream of its own.
//!
//! Streams are never reused. Whatever a request or its answer does to the framing of HTTP/1.1, there is no next request
//! on the same stream that it could reach, and a refused upgrade ends with its stream.

use std::error::Error;
use std::time::Duration;

use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lib_drain::Drain;
use lib_names::ClusterName;
use tokio::time::timeout;
use tunnel_protocol::Target;

use crate::SendError;
use crate::opening::Opening;

/// The most that a member may send as the head of a response.
const MAX_HEAD: usize = 256 * 1024;
/// How long after an answer its stream may take to end. One that was abandoned is cut off after that.
const LAST_WORDS: Duration = Duration::from_millis(250);

pub(crate) async fn send<B>(
    tasks: &Drain,
    cluster: &ClusterName,
    target: Target,
    Opening { stream, answer }: Opening,
    mut request: Request<B>,
    deadline: Duration,
) -> Result<Response<Incoming>, SendError>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let failed = |source| SendError::Exchange { cluster: cluster.clone(), source };
    request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static(target.as_str()));
    let (stream, returned) = stream.lend();
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await.map_err(failed)?;
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
    // Until there is an answer, this task drives the connection too: with one of its own, each piece would wait for one task
    // to wake the other.
    let mut connection = Box::pin(connection.with_upgrades());
    let mut is_over = false;
    tokio::pin!(answered);
    let response = loop {
        tokio::select! {
            biased;
            response = &mut answered => break response?,
            // Whoever waits for the answer meets the same error there.
            _ = &mut connection, if !is_over => is_over = true,
        }
    };
    tasks.spawn(async move {
        // Dropped, it gives the stream back.
        match is_over {
            true => drop(connection),
            false => drop(connection.await),
        }
        if let Some(stream) = returned.taken().await {
            stream.close(LAST_WORDS).await;
        }
    });
    Ok(response)
}
