//! The other replicas of the hub: what they have is reached through them.
//!
//! A replica that has connected here follows our tunnels and opens streams through them ([`serve()`]); one that we have
//! connected to ([`join()`]) we ask in the same way. Nothing of what a replica has is handed on to a third, so a stream
//! takes one step at most.

mod join;
mod serve;

pub(crate) use join::join;
pub(crate) use serve::serve;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use lib_names::ClusterName;
use tokio::time::timeout;
use tunnel_protocol::Target;
use tunnel_protocol::replica::{self, Answer};
use tunnel_stream::{Meter, TunnelStream, connect};

use crate::{OpenError, Room};

/// How much longer than the other replica we wait for a stream: it says more than we know.
const WAY: Duration = Duration::from_millis(500);

/// A replica that we are connected to.
pub(crate) struct Replica {
    pub(crate) name: String,
    send: Mutex<SendRequest<Bytes>>,
    meter: Arc<Meter>,
}

impl Replica {
    fn new(name: &str, send: SendRequest<Bytes>) -> Self {
        Self { name: name.to_owned(), send: Mutex::new(send), meter: Arc::default() }
    }

    /// Opens a stream in the tunnel of a cluster that the replica has.
    pub(crate) async fn open(
        &self,
        cluster: &ClusterName,
        room: Room,
        target: Target,
        deadline: Duration,
    ) -> Result<TunnelStream, OpenError> {
        let failed = |source| OpenError::Replica { cluster: cluster.clone(), replica: self.name.clone(), source };
        let mut request = connect::request(target.as_str());
        let patience = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let room_name = match room {
            Room::People => replica::PEOPLE,
            Room::Hub => replica::HUB,
        };
        let headers = request.headers_mut();
        // Names of clusters are labels of DNS, which any header may have.
        let name = HeaderValue::from_str(cluster.as_str()).unwrap_or(HeaderValue::from_static(""));
        headers.insert(HeaderName::from_static(replica::CLUSTER), name);
        headers.insert(HeaderName::from_static(replica::ROOM), HeaderValue::from_static(room_name));
        headers.insert(HeaderName::from_static(replica::PATIENCE), patience.into());
        let exchange = self.connect(request);
        let answered = timeout(deadline + WAY, exchange).await;
        match answered.map_err(|_| OpenError::Deadline { cluster: cluster.clone() })?.map_err(failed)? {
            Ok(stream) => Ok(stream),
            Err(Answer::NoTunnel(since)) => Err(OpenError::NoTunnel { cluster: cluster.clone(), since }),
            Err(Answer::Full) => Err(OpenError::Full { cluster: cluster.clone(), room }),
            Err(Answer::Deadline) => Err(OpenError::Deadline { cluster: cluster.clone() }),
            Err(Answer::Refused(refusal)) => Err(OpenError::Refused { cluster: cluster.clone(), target, refusal }),
            Err(Answer::Broken | Answer::NotUnderstood) => {
                Err(OpenError::AtReplica { cluster: cluster.clone(), replica: self.name.clone() })
            }
        }
    }

    /// Asks for a stream. Dropped, it leaves nothing behind.
    async fn connect(&self, request: Request<()>) -> Result<Result<TunnelStream, Answer>, h2::Error> {
        let handle = self.send.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (response, outward) = handle.ready().await?.send_request(request, false)?;
        let response = response.await?;
        if response.status() == StatusCode::OK {
            return Ok(Ok(TunnelStream::new(outward, response.into_body(), self.meter.clone())));
        }
        let header = |name: &str| response.headers().get(name)?.to_str().ok()?.parse().ok();
        Ok(Err(Answer::read(response.status().as_u16(), header)))
    }
}
