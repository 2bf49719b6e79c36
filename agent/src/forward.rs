//! Takes requests from the hub to the member's API, and the answers back.

use std::error::Error;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use api_meta::Status;
use bytes::Bytes;
use futures::stream;
use http::{Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use lib_drain::Drain;
use lib_telemetry::chain;
use tokio::io::AsyncWriteExt;

use crate::guard::{Exchange, Verdict, admit, judge};
use lib_kubernetes::{Body, ClusterApi, boxed, full};

/// How long both ends of an accepted upgrade may take to switch.
const SWITCH: Duration = Duration::from_secs(10);

/// The way to the member's API.
#[derive(Clone)]
pub(crate) struct Forward {
    member: ClusterApi,
    /// Owns upgraded connections. Whoever drains the agent ends its watches: they would not end by themselves, and while the
    /// agent waited for them the cluster could not be reached.
    tasks: Drain,
}

impl Forward {
    pub(crate) fn new(member: ClusterApi, tasks: Drain) -> Self {
        Self { member, tasks }
    }

    /// Answers one request. There is no retry and, but for the connection to the member, no deadline: how long a request
    /// may take is known to those who sent it, and when they hang up this future is dropped.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let outward = request.extensions().get::<OnUpgrade>().cloned();
        let response = self.exchange(request, outward.clone()).await;
        if let Some(outward) = outward
            && response.status() != StatusCode::SWITCHING_PROTOCOLS
        {
            self.tasks.spawn(close(outward));
        }
        response
    }

    async fn exchange(&self, request: Request<Incoming>, outward: Option<OnUpgrade>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let exchange = match admit(&mut parts) {
            Ok(exchange) => exchange,
            Err(denied) => {
                tracing::warn!(reason = %denied, "refused a request of the hub");
                return answer_status(&denied.status());
            }
        };
        // The upgrade stays in the request too: an API server in this process switches by itself.
        match self.member.send(Request::from_parts(parts, boxed(body))).await {
            Ok(answer) => self.pass(&exchange, outward, answer),
            Err(error) => {
                let error: &(dyn Error + 'static) = &*error;
                tracing::warn!(error = %chain(error), "could not reach the member's API");
                answer_status(&Status::service_unavailable("the agent could not reach the cluster's API"))
            }
        }
    }

    fn pass(&self, exchange: &Exchange, outward: Option<OnUpgrade>, answer: Response<Body>) -> Response<Body> {
        let (mut parts, body) = answer.into_parts();
        match judge(exchange, &mut parts) {
            Verdict::Pass if *exchange == Exchange::Watch => {
                Response::from_parts(parts, until_quiet(body, self.tasks.token().clone().cancelled_owned()))
            }
            Verdict::Pass => Response::from_parts(parts, body),
            Verdict::Switch => {
                if let (Some(outward), Some(inward)) = (outward, parts.extensions.remove::<OnUpgrade>()) {
                    self.tasks.spawn(join(outward, inward));
                }
                Response::from_parts(parts, boxed(http_body_util::Empty::new().map_err(|never| match never {})))
            }
            Verdict::Redirect => bad_gateway("the cluster's API answered with a redirect"),
            Verdict::Unasked => bad_gateway("the cluster's API switched protocols without being asked"),
        }
    }
}

/// A body that is over when there is nothing of it to be read, once `finishing` completes.
fn until_quiet(mut body: Body, finishing: impl Future<Output = ()> + Send + 'static) -> Body {
    let mut finishing = Box::pin(finishing);
    boxed(StreamBody::new(stream::poll_fn(move |cx| match Pin::new(&mut body).poll_frame(cx) {
        Poll::Pending if finishing.as_mut().poll(cx).is_ready() => Poll::Ready(None),
        frame => frame,
    })))
}

/// Carries bytes both ways until both ends have finished or one breaks.
async fn join(outward: OnUpgrade, inward: OnUpgrade) {
    let both = async { tokio::try_join!(outward, inward) };
    let (outward, inward) = match tokio::time::timeout(SWITCH, both).await {
        Ok(Ok(both)) => both,
        Ok(Err(error)) => return tracing::debug!(error = %chain(&error), "an upgrade failed"),
        Err(_) => return tracing::debug!("an upgrade took too long"),
    };
    // Either end may go away at any time; that is how most of these streams end.
    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(outward), &mut TokioIo::new(inward)).await;
}

/// Ends the stream of an upgrade that was not granted. After such an answer hyper hands the stream over all the same; were
/// it dropped, the end of the answer would be dropped with it.
async fn close(outward: OnUpgrade) {
    if let Ok(stream) = outward.await {
        // The hub may have hung up already.
        let _ = TokioIo::new(stream).shutdown().await;
    }
}

fn bad_gateway(message: &str) -> Response<Body> {
    tracing::warn!(reason = message, "refused an answer of the member's API");
    answer_status(&Status::failure(502, api_meta::Reason::InternalError, message))
}

pub(crate) fn answer_status(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer_json(code, status.to_value().to_string())
}

pub(crate) fn answer_json(code: StatusCode, json: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(json));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
