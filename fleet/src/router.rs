//! From a cluster's name to its API, in the caller's name.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api_types::cluster::{Cluster, Connection};
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Limited;
use kube::ResourceExt;
use lib_names::ClusterName;
use tokio::time::timeout;
use tunnel_hub::{Deadlines, OpenError, Room};
use tunnel_protocol::Target;

use crate::access::Access;
use crate::error::{NoAccess, SendError};
use crate::import::credential_name;
use crate::plan::certificates::{Holds, Whose};
use crate::plan::identity::is_another;
use crate::{Caller, Fleet, Inner, direct};
use lib_kubernetes::{Body, BoxError, ClusterApi, boxed};

/// How long a cluster may take to begin its answer. API servers give up after 60 s themselves.
const ANSWER: Duration = Duration::from_secs(65);
/// How long a stream in a tunnel may take to open. The agent does that by itself, and whoever waits for one that does not
/// can be told soon.
const OPEN: Duration = Duration::from_secs(5);
/// The most that the answer to a short question may be.
const BRIEF: usize = 1024 * 1024;

/// Clusters at their addresses, by the credential that was last seen.
#[derive(Default)]
pub(crate) struct Directs(Mutex<HashMap<String, Known>>);

struct Known {
    /// The uid and version of the Secret.
    version: (Option<String>, Option<String>),
    api: ClusterApi,
    /// Until when the credential holds, if it is a certificate.
    holds: Option<Holds>,
}

impl Directs {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        // Every change is one insertion or removal: a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, cluster: &str) {
        self.lock().remove(cluster);
    }

    /// Until when the credential of a cluster holds, if that is a certificate.
    pub(crate) fn holds(&self, cluster: &str) -> Option<Holds> {
        self.lock().get(cluster)?.holds
    }
}

/// Whether what answers under a name is another cluster than was noted, as the last look found it.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<HashMap<String, bool>>);

impl Strangers {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, cluster: &str, another: bool) {
        self.lock().insert(cluster.to_owned(), another);
    }

    pub(crate) fn forget(&self, cluster: &str) {
        self.lock().remove(cluster);
    }

    /// Until it was looked at, what stands in its status holds.
    pub(crate) fn has(&self, cluster: &Cluster) -> bool {
        let noted = self.lock().get(&cluster.name_any()).copied();
        noted.unwrap_or_else(|| cluster.status.as_ref().is_some_and(is_another))
    }
}

impl Fleet {
    /// Sends a request to a cluster in the caller's name and waits for the head of the answer.
    ///
    /// There is no retry: only the caller knows whether a request is safe to repeat.
    pub async fn send(
        &self,
        cluster: &ClusterName,
        caller: &Caller,
        request: Request<Body>,
    ) -> Result<Response<Body>, SendError> {
        self.send_in(caller.room(), cluster, caller, request).await
    }

    /// The same for what the hub has to know about a caller, whom the cluster would tell it too: what they may do. However
    /// much people have open there, it goes through. Whoever asks bounds how often.
    pub async fn ask_for(
        &self,
        cluster: &ClusterName,
        caller: &Caller,
        request: Request<Body>,
    ) -> Result<Response<Body>, SendError> {
        self.send_in(Room::Hub, cluster, caller, request).await
    }

    async fn send_in(
        &self,
        room: Room,
        cluster: &ClusterName,
        caller: &Caller,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, SendError> {
        caller.impersonate(request.headers_mut());
        let answer = self.inner.exchange(cluster, room, request);
        timeout(ANSWER, answer).await.map_err(|_| SendError::Deadline(cluster.clone()))?
    }

    /// A cluster's API, in somebody's name.
    pub fn api(&self, cluster: &ClusterName, caller: Caller) -> ClusterApi {
        let (fleet, cluster) = (self.clone(), cluster.clone());
        ClusterApi::from_fn(move |request| {
            let (fleet, cluster, caller) = (fleet.clone(), cluster.clone(), caller.clone());
            Box::pin(async move { Ok(fleet.send(&cluster, &caller, request).await?) })
        })
    }
}

impl Inner {
    /// The cluster's API and how it is reached. Which clusters there are is read from memory.
    async fn exchange(
        &self,
        cluster: &ClusterName,
        room: Room,
        request: Request<Body>,
    ) -> Result<Response<Body>, SendError> {
        let unreachable = |source: BoxError| SendError::Unreachable { cluster: cluster.clone(), source };
        if cluster.is_global() {
            return self.hub.send(request).await.map_err(unreachable);
        }
        let object = self.cluster(cluster.as_str()).ok_or_else(|| SendError::Unknown(cluster.clone()))?;
        if self.strangers.has(&object) {
            return Err(SendError::Another(cluster.clone()));
        }
        match Connection::of(&object) {
            Some(Connection::Tunnel) => {
                self.through_tunnel(cluster, room, Target::KubernetesApi, request).await.map_err(|error| match error {
                    tunnel_hub::SendError::Open(OpenError::Full { cluster, .. }) => SendError::Full(cluster),
                    error => unreachable(error.into()),
                })
            }
            Some(Connection::Direct) => {
                let api = self.direct(&object).await.map_err(|error| unreachable(error.into()))?;
                api.send(request).await.map_err(unreachable)
            }
            // Only the hub is in this process, whatever somebody wrote into an object.
            Some(Connection::InProcess) | None => Err(unreachable("it does not say how it is reached".into())),
        }
    }

    /// A cluster's API for the hub's own short questions; whoever asks says in whose name. The cluster is somebody else's,
    /// so its answers have a bound.
    pub(crate) fn briefly(&self, cluster: &ClusterName) -> ClusterApi {
        let (inner, cluster) = (self.itself(), cluster.clone());
        ClusterApi::from_fn(move |request| {
            let (inner, cluster) = (inner.clone(), cluster.clone());
            Box::pin(async move {
                let response = inner.exchange(&cluster, Room::Hub, request).await?;
                Ok(response.map(|body| boxed(Limited::new(body, BRIEF))))
            })
        })
    }

    /// The hub's API for the hub's own controllers.
    pub(crate) fn hub_itself(&self) -> ClusterApi {
        let hub = self.hub.clone();
        ClusterApi::from_fn(move |mut request| {
            Caller::controllers().impersonate(request.headers_mut());
            hub.send(request)
        })
    }

    pub(crate) fn through_tunnel(
        &self,
        cluster: &ClusterName,
        room: Room,
        target: Target,
        request: Request<Body>,
    ) -> BoxFuture<'static, Result<Response<Body>, tunnel_hub::SendError>> {
        let (sessions, cluster) = (self.sessions.clone(), cluster.clone());
        Box::pin(async move {
            let deadlines = Deadlines { open: OPEN, head: ANSWER };
            let response = sessions.send(&cluster, room, target, request, deadlines).await?;
            Ok(response.map(boxed))
        })
    }

    /// The API of a cluster at its address. What is dialled stands in the Secret; the object is only what people see.
    pub(crate) async fn direct(&self, cluster: &Cluster) -> Result<ClusterApi, NoAccess> {
        let name = cluster.name_any();
        if let Some(known) = self.directs.lock().get(&name) {
            return Ok(known.api.clone());
        }
        self.refresh_direct(cluster).await
    }

    /// Looks at the Secret again, and keeps the connections if it is the same.
    pub(crate) async fn refresh_direct(&self, cluster: &Cluster) -> Result<ClusterApi, NoAccess> {
        let name = cluster.name_any();
        let read = self.secrets().get_opt(&credential_name(&name)).await;
        let Some(secret) = read.map_err(|error| NoAccess::Hub(Box::new(error)))? else {
            self.directs.forget(&name);
            return Err(NoAccess::Missing);
        };
        let owned = secret.owner_references().iter().any(|owner| Some(&owner.uid) == cluster.metadata.uid.as_ref());
        if !owned {
            self.directs.forget(&name);
            return Err(NoAccess::Foreign);
        }
        let version = (secret.uid(), secret.resource_version());
        if let Some(known) = self.directs.lock().get(&name).filter(|known| known.version == version) {
            return Ok(known.api.clone());
        }
        let access = Access::of_secret(&secret).map_err(NoAccess::Damaged)?;
        let api = direct::api(&access, &self.dialler, &self.drain).map_err(NoAccess::Dial)?;
        let holds = access.expires().map(|until| Holds { whose: Whose::Credential, until });
        self.directs.lock().insert(name, Known { version, api: api.clone(), holds });
        Ok(api)
    }
}
