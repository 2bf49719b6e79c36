//! What is at the agent's end of streams: HTTP/1.1, one exchange on each.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use api_meta::Status;
use async_trait::async_trait;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tunnel_agent::{Handler, State, TunnelStream};
use tunnel_protocol::{Address, Authorities, Health, Reached, Survey, Target, Trusted, Webhooks};

use crate::enroll::Enroller;
use crate::forward::{Forward, answer_json, answer_status};
use crate::inventory::Inventory;
use lib_kubernetes::Body;
use lib_tls::Credential;

/// The largest head of a request.
const MAX_HEAD: usize = 64 * 1024;
/// How long the hub may take to send one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the hub may take to end a stream after the answer.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(crate) struct Door {
    pub(crate) forward: Forward,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) inventory: Inventory,
    pub(crate) webhooks: watch::Receiver<Webhooks>,
    pub(crate) survey: watch::Receiver<Survey>,
    /// Whoever looks at the member is told that somebody wants to know.
    pub(crate) asked: Arc<Notify>,
    pub(crate) credential: watch::Receiver<Credential>,
    pub(crate) enroller: Enroller,
    /// How the tunnel is.
    pub(crate) state: watch::Receiver<State>,
}

#[async_trait]
impl Handler for Door {
    async fn serve(&self, target: Target, stream: TunnelStream) {
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, Infallible>(match target {
                Target::KubernetesApi => self.forward.answer(request).await,
                Target::AgentStatus if request.uri().path() == Authorities::PATH => {
                    self.take_authorities(request).await
                }
                Target::AgentStatus if request.uri().path() == Address::PATH => self.take_address(request).await,
                Target::AgentStatus => self.answer_for_itself(&request),
                Target::Inventory => self.inventory.answer(&request).await,
            })
        });
        let (stream, returned) = stream.lend();
        // One exchange: what follows it on the same stream, and belongs to nobody, is not looked at.
        let served = http1::Builder::new()
            .keep_alive(false)
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(error = %lib_telemetry::chain(&error), "a stream ended early");
        }
        if let Some(stream) = returned.taken().await {
            stream.close(LAST_WORDS).await;
        }
    }
}

impl Door {
    /// The hub tells whom to take for it. Only a hub that the agent knows has a stream to here.
    async fn take_authorities(&self, request: Request<Incoming>) -> Response<Body> {
        let told: Authorities = match read_put(request, Authorities::MAX_BYTES).await {
            Ok(told) => told,
            Err(refused) => return answer_status(&refused),
        };
        let prove = |trust| {
            let hub = self.enroller.hub(trust);
            async move { hub.reach().await }
        };
        // How that went is part of the answer.
        let _ = self.enroller.trust.take(&told.certificates, prove).await;
        json(&self.trusted())
    }

    /// The hub tells by which address it is to be reached.
    async fn take_address(&self, request: Request<Incoming>) -> Response<Body> {
        let told: Address = match read_put(request, Address::MAX_BYTES).await {
            Ok(told) => told,
            Err(refused) => return answer_status(&refused),
        };
        self.enroller.addresses.tell(told.platform_url);
        json(&self.reached())
    }

    fn reached(&self) -> Reached {
        self.enroller.addresses.reached(&self.state.borrow())
    }

    fn trusted(&self) -> Trusted {
        self.enroller.trust.trusted(&self.credential.borrow())
    }

    fn answer_for_itself(&self, request: &Request<Incoming>) -> Response<Body> {
        if request.uri().path() != Health::PATH {
            return answer_status(&Status::no_such_resource());
        }
        if request.method() != Method::GET {
            return answer_status(&Status::method_not_allowed());
        }
        let mut health = self.health.borrow().clone();
        health.unix_time = crate::health::unix_now();
        health.certificate_expires = Some(crate::health::unix(self.credential.borrow().validity().not_after));
        let Webhooks { quota, ratio } = self.webhooks.borrow().clone();
        (health.quota, health.ratio) = (Some(quota), Some(ratio));
        self.asked.notify_one();
        health.survey = Some(self.survey.borrow().clone());
        health.trust = Some(self.trusted());
        health.address = Some(self.reached());
        json(&health)
    }
}

/// What the hub tells.
async fn read_put<T: DeserializeOwned>(request: Request<Incoming>, limit: usize) -> Result<T, Status> {
    if request.method() != Method::PUT {
        return Err(Status::method_not_allowed());
    }
    let body = Limited::new(request.into_body(), limit).collect().await;
    let body = body.map_err(|error| Status::bad_request(error.to_string()))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| Status::bad_request(error.to_string()))
}

fn json(answer: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(answer) {
        Ok(json) => answer_json(StatusCode::OK, json),
        Err(error) => answer_status(&Status::internal(error)),
    }
}
