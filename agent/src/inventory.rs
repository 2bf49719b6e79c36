//! Tells the hub which objects the member has.

use std::convert::Infallible;
use std::sync::Arc;

use api_meta::{Reason, Status};
use fleet_inventory::{Error, Feed};
use futures::StreamExt;
use http::{HeaderValue, Method, Request, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use lib_drain::Drain;
use lib_kubernetes::{Body, ClusterApi, boxed};
use lib_telemetry::chain;
use tokio::sync::Semaphore;
use tunnel_protocol::inventory::PATH;

use crate::forward::answer_status;

/// Feeds at the same time. One is enough for a hub; another begins before the one that was lost is noticed.
const FEEDS: usize = 4;

/// The member, as something that can be followed.
#[derive(Clone)]
pub(crate) struct Inventory {
    member: ClusterApi,
    feeds: Arc<Semaphore>,
    /// Whoever drains the agent ends its feeds: they would not end by themselves.
    drain: Drain,
}

impl Inventory {
    pub(crate) fn new(member: ClusterApi, drain: Drain) -> Self {
        Self { member, feeds: Arc::new(Semaphore::new(FEEDS)), drain }
    }

    /// Answers with a feed. It is made while it is read, and ends when the hub hangs up.
    pub(crate) async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        if request.uri().path() != PATH {
            return answer_status(&Status::no_such_resource());
        }
        if request.method() != Method::GET {
            return answer_status(&Status::method_not_allowed());
        }
        let Ok(turn) = self.feeds.clone().try_acquire_owned() else {
            return answer_status(&Status::service_unavailable("the agent tells its objects to enough others"));
        };
        let feed = match Feed::open(self.member.clone()).await {
            Ok(feed) => feed,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "could not tell which objects there are");
                return answer_status(&refusal(&error));
            }
        };
        let pieces = feed.into_lines().take_until(self.drain.token().clone().cancelled_owned()).map(move |piece| {
            let _turn = &turn;
            Ok::<_, Infallible>(Frame::data(piece))
        });
        let mut response = Response::new(boxed(StreamBody::new(pieces)));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        response
    }
}

fn refusal(error: &Error) -> Status {
    match error {
        Error::NotAllowed => Status::failure(403, Reason::Forbidden, error.to_string()),
        error => Status::service_unavailable(chain(error).to_string()),
    }
}
