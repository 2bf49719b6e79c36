//! The embedded Kubernetes API server: its filter chain, life cycle and health.
//!
//! ```no_run
//! # async fn example(store: std::sync::Arc<dyn store_core::Store>) -> Result<(), apiserver_server::Error> {
//! let server = apiserver_server::ApiServer::new(store, apiserver_server::Config::default()).start().await?;
//! let client = server.client(apiserver_access::User::new("admin", [apiserver_access::MASTERS]));
//! # let _ = client; Ok(()) }
//! ```

mod bootstrap;
mod chain;
mod compress;
mod custom;
mod documents;
mod expire;
mod health;
mod impersonation;
mod metrics;
mod openapi;
mod policies;
mod seats;
mod serve;
mod trail;
mod version;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use api_meta::Status;
use apiserver_access::{Authenticator, Rbac, User};
use apiserver_admission::{Admission, all_ordered_plugins};
use apiserver_audit::Auditor;
use apiserver_endpoints::{Endpoints, KubeletTransport, LocalGroup, Tokens};
use apiserver_flowcontrol::FlowControl;
use apiserver_registry::{Catalog, Expiry, Mirror, Registry, ServiceNetwork, Subnet, prefixes};
use lib_drain::Drain;
use store_core::{Revision, Store};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::chain::Handler;
use crate::documents::Documents;
use crate::health::Health;
use crate::metrics::Metrics;

pub use crate::chain::Service;
pub use crate::version::{KubernetesVersion, UnsupportedVersion};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not load the stored objects")]
    Load(#[source] store_core::Error),
    #[error("could not write the objects that every cluster has: {0}")]
    Bootstrap(Status),
    #[error("could not make the key that signs service account tokens")]
    Key(#[source] apiserver_access::KeyError),
    #[error("could not open the audit log")]
    Audit(#[source] std::io::Error),
    #[error("could not take connections")]
    Listen(#[source] std::io::Error),
}

/// What an operator decides.
#[derive(Clone)]
pub struct Config {
    pub version: KubernetesVersion,
    pub service_network: (Ipv4Addr, u8),
    /// `iss` of service account tokens.
    pub issuer: String,
    /// PKCS#8 of the P-256 key that signs service account tokens; made anew when absent,
    /// and then tokens do not outlive the process.
    pub service_account_key: Option<Vec<u8>>,
    pub kubelets: Option<Arc<dyn KubeletTransport>>,
    /// API groups that are served from this process and not from the store.
    pub groups: Vec<Arc<dyn LocalGroup>>,
    /// Asked before the built-in ones (certificates, service account tokens).
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    /// Whether Secrets of the type `bootstrap.kubernetes.io/token` are credentials.
    pub bootstrap_tokens: bool,
    /// How long events stay after the last write to them.
    pub event_lifetime: Duration,
    /// Which requests are recorded, and where; `None` for none.
    pub audit: Option<Audit>,
    /// How many requests that read, and that write, run at once. Priority levels share the sum.
    pub max_requests_in_flight: u32,
    pub max_mutating_requests_in_flight: u32,
    /// What every request waits before anything is done about it: how a simulation makes the server slow.
    pub latency: Option<watch::Receiver<Duration>>,
}

/// What is recorded of requests.
#[derive(Clone, Debug)]
pub struct Audit {
    pub policy: apiserver_audit::Policy,
    pub output: apiserver_audit::Output,
    pub mode: apiserver_audit::Mode,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: KubernetesVersion::default(),
            service_network: (Ipv4Addr::new(10, 96, 0, 0), 16),
            issuer: "https://kubernetes.default.svc.cluster.local".into(),
            service_account_key: None,
            kubelets: None,
            groups: Vec::new(),
            authenticators: Vec::new(),
            bootstrap_tokens: false,
            event_lifetime: Duration::from_secs(3600),
            audit: None,
            max_requests_in_flight: 400,
            max_mutating_requests_in_flight: 200,
            latency: None,
        }
    }
}

/// A server that is not started yet.
pub struct ApiServer {
    store: Arc<dyn Store>,
    config: Config,
}

/// A server that answers. Dropping it does not stop it; [`Running::stop`] does.
#[derive(Clone)]
pub struct Running {
    handler: Arc<Handler>,
    /// Owns what requests stand on: the mirror, custom resources, the sweep of events.
    drain: Drain,
    /// Owns listeners and connections, which go first.
    doors: Drain,
}

impl ApiServer {
    pub fn new(store: Arc<dyn Store>, config: Config) -> Self {
        Self { store, config }
    }

    /// Loads what is stored, makes sure of what every cluster has, and answers from then on.
    pub async fn start(self) -> Result<Running, Error> {
        let Self { store, config } = self;
        let drain = Drain::new();
        let doors = drain.child();
        let born_now = store.current_revision().await.map_err(Error::Load)? <= Revision::FIRST;
        let mut resources = apiserver_builtin::resources();
        let mut policy = apiserver_access::bootstrap_policy();
        let mut groups = BTreeMap::new();
        for local in config.groups {
            let served = local.resources();
            policy.extend(local.policy());
            groups.extend(served.first().map(|resource| (resource.info.group.clone(), local)));
            resources.extend(served);
        }
        let (mirror, feed) =
            Mirror::start(store, prefixes(&resources), drain.token().clone()).await.map_err(Error::Load)?;
        drain.spawn(feed);
        let catalog = Arc::new(Catalog::new(mirror.clone(), resources));
        let registry = Registry::new(mirror, catalog);
        let rbac = Arc::new(Rbac::new(serve::policy(&registry)));
        let accounts = Arc::new(
            apiserver_access::ServiceAccounts::new(
                config.service_account_key.as_deref(),
                &config.issuer,
                serve::accounts(&registry),
            )
            .map_err(Error::Key)?,
        );
        let mut first = config.authenticators;
        if config.bootstrap_tokens {
            first.push(serve::bootstrap_tokens(&registry));
        }
        let authenticator = serve::Chain { first, accounts: accounts.clone(), audience: config.issuer };
        let subnet = Subnet::new(config.service_network.0, config.service_network.1);
        let authorizer: Arc<dyn apiserver_access::Authorizer> = rbac.clone();
        let endpoints = Endpoints {
            registry: registry.clone(),
            admission: Arc::new(Admission::new(all_ordered_plugins(rbac.clone(), &authorizer))),
            authorizer: authorizer.clone(),
            tokens: Arc::new(serve::TokenService(authenticator.clone())) as Arc<dyn Tokens>,
            services: Arc::new(ServiceNetwork::new(subnet)),
            kubelets: config.kubelets,
            groups: Arc::new(groups),
            stopping: doors.token().clone(),
        };
        let custom = custom::CustomResources::new(registry.clone(), drain.clone())
            .ok_or_else(|| Error::Bootstrap(Status::no_such_resource()))?;
        bootstrap::ensure(&endpoints, subnet.nth(1), &policy).await.map_err(Error::Bootstrap)?;
        if born_now {
            // Nobody watched the birth. As with upstream, whose servers know changes from their start on, revisions from
            // before a cluster had its first objects are too old.
            registry.mirror().forget_past().await.map_err(Error::Load)?;
        }
        let follow = custom.start().await.map_err(Error::Bootstrap)?;
        drain.spawn(follow(drain.token().clone()));
        drain.spawn(policies::run(registry.clone(), drain.token().clone()));
        if let Some(events) = registry.catalog().find("", "v1", "events") {
            let expiry = Expiry::new(registry.clone(), events, config.event_lifetime);
            drain.spawn(expire::run(expiry, config.event_lifetime, drain.token().clone()));
        }
        let health = Arc::new(Health::new(endpoints.registry.mirror().store().clone()));
        let documents = Documents::new(config.version, accounts.open_id_configuration(), accounts.key_set());
        let mut metrics = Metrics::default();
        let seats = u64::from(config.max_requests_in_flight) + u64::from(config.max_mutating_requests_in_flight);
        let flow_control = FlowControl::new(seats::configuration(&registry), seats, &mut metrics.registry);
        let auditor = match config.audit {
            Some(audit) => {
                let sink = apiserver_audit::Sink::open(audit.output).map_err(Error::Audit)?;
                Some(Auditor::new(audit.policy, sink, audit.mode, &mut metrics.registry))
            }
            None => None,
        };
        let handler = Handler {
            endpoints,
            authenticator: Arc::new(authenticator),
            authorizer: rbac,
            documents,
            health: health.clone(),
            metrics,
            flow_control,
            auditor,
            latency: config.latency,
            under_way: TaskTracker::new(),
        };
        health.set_ready();
        let handler = Arc::new(handler);
        drain.spawn(seats::lend(handler.clone(), drain.token().clone()));
        drain.spawn(bootstrap::maintain_flow_control(handler.endpoints.clone(), drain.token().clone()));
        Ok(Running { handler, drain, doors })
    }
}

impl Running {
    /// A client in this process, acting as `user`. It cannot tell that there is no network.
    pub fn client(&self, user: User) -> kube::Client {
        kube::Client::new(Service::as_user(self.handler.clone(), user), "default")
    }

    /// The server as a service whose callers must authenticate.
    pub fn service(&self) -> Service {
        Service::new(self.handler.clone())
    }

    /// The server as a service whose caller is `user`: for a trusted party in this process.
    pub fn service_as(&self, user: User) -> Service {
        Service::as_user(self.handler.clone(), user)
    }

    pub fn registry(&self) -> &Registry {
        &self.handler.endpoints.registry
    }

    /// Answers on a listener, over TLS, until stopped.
    pub fn serve(
        &self,
        listener: tokio::net::TcpListener,
        tls: Arc<tokio_rustls::rustls::ServerConfig>,
    ) -> Result<SocketAddr, Error> {
        let address = listener.local_addr().map_err(Error::Listen)?;
        *self.handler.documents.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        self.doors.spawn(serve::accept(listener, tls, self.service(), self.doors.clone()));
        Ok(address)
    }

    /// Takes no more requests, ends streams, and returns when all is done or the time is over.
    ///
    /// What requests stand on goes only after the last of them: a write that is under way is answered.
    pub async fn stop(&self, deadline: Duration) {
        let end = Instant::now() + deadline;
        let left = || end.saturating_duration_since(Instant::now());
        self.handler.health.set_stopping();
        self.doors.finish();
        self.handler.under_way.close();
        // Whatever is late is told by its own answer, or by a connection that breaks.
        let _ = tokio::time::timeout(left(), self.handler.under_way.wait()).await;
        let _ = self.doors.drain(left()).await;
        let _ = self.drain.drain(left()).await;
        if let Some(auditor) = &self.handler.auditor {
            let _ = tokio::time::timeout(left(), auditor.close()).await;
        }
    }
}
