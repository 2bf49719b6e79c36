//! Takes requests from the hub to the member's API, and the answers back.

use std::error::Error;
use std::time::Duration;

use api_meta::Status;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use lib_drain::Drain;
use lib_telemetry::chain;

use crate::api::{Body, MemberApi, boxed, full};
use crate::guard::{Exchange, Verdict, admit, judge};

/// How long both ends of an accepted upgrade may take to switch.
const SWITCH: Duration = Duration::from_secs(10);

/// The way to the member's API.
#[derive(Clone)]
pub(crate) struct Forward {
    member: MemberApi,
    /// Owns upgraded connections.
    tasks: Drain,
}

impl Forward {
    pub(crate) fn new(member: MemberApi, tasks: Drain) -> Self {
        Self { member, tasks }
    }

    /// Answers one request. There is no retry and, but for the connection to the member, no deadline: how long a request
    /// may take is known to those who sent it, and when they hang up this future is dropped.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let exchange = match admit(&mut parts) {
            Ok(exchange) => exchange,
            Err(denied) => {
                tracing::warn!(reason = %denied, "refused a request of the hub");
                return answer_status(&denied.status());
            }
        };
        // A copy stays in the request: an API server in this process switches by itself.
        let outward = parts.extensions.get::<OnUpgrade>().cloned();
        let answered = self.member.send(Request::from_parts(parts, boxed(body))).await;
        match answered {
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
