//! Clusters: import, registration, health, requests, what objects there are, and removal.
//!
//! A cluster is an object on the hub (`cluster.x-k8s.io/v1beta1 Cluster` in `cpaas-system`). Whoever adds or removes one
//! does so in their own name, and the hub's own rules decide; credentials lie in Secrets beside it. Each request to a
//! cluster goes out in the name of its caller, in no other way.

mod access;
mod address;
mod approval;
mod authority;
mod caller;
mod controller;
mod direct;
mod error;
mod grant;
mod import;
mod install;
mod inventory;
mod kubeconfig;
mod manifest;
mod nodes;
mod plan;
mod platform;
mod probe;
mod registration;
mod removal;
mod replicas;
mod router;
mod summary;
mod survey;
mod tombstone;
mod traces;
mod upgrade;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use api_types::cluster::{Cluster, ClusterSpec, Connection};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, PostParams};
use kube::runtime::reflector;
use lib_drain::Drain;
use lib_names::ClusterName;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tunnel_hub::Sessions;
use tunnel_protocol::Webhooks;

use plan::identity::Noted;
use replicas::Replicas;

pub use address::{AddressPolicy, AddressRefused};
pub use authority::{
    AUTHORITY_SECRET, AgentProgress, AuthorityStatus, AuthorityStore, KeepError, Keeper, Kept, KnownAuthority, Lacking,
    SecretAuthorities,
};
pub use caller::{Caller, Unspeakable, is_identity};
pub use direct::{DialError, Dialler, Resolve, SystemResolver};
pub use error::{AgentRefused, Cause, Error, ProbeError, SendError};
pub use import::{Import, ImportRequest};
pub use install::{allow_impersonation, hub_objects, install, lacking, lay_rights, missing_rights};
pub use inventory::{FeedState, Freshness, Inventory};
pub use lib_kubernetes::{Answer, Body, BodyError, BoxError, ClusterApi, boxed, collect, full};
pub use manifest::{Egress, HUB, HUB_ADMISSION, HubManifest, Invitation, member_objects};
pub use nodes::{DrainError, DrainRequest, Progress, Remaining, Why};
pub use probe::Probe;
pub use registration::{Registration, RegistrationAgain, RegistrationRequest};
pub use removal::{Removal, RemovalRequest};
pub use replicas::{BadReplica, Replica};
pub use summary::{Expiring, Failing, FleetSummary, Group, Named, Readiness, Summary, Versions};
pub use traces::{REMOVAL_USER, Traces, removal_objects};
pub use upgrade::{
    Member, Phase, Skipped, Stage, State, UPGRADE_SECRET, Upgrade, UpgradeAction, UpgradeError, UpgradeRequest,
    UpgradeStatus,
};

/// Where the fleet's objects are.
pub const NAMESPACE: &str = api_types::PLATFORM_NAMESPACE;
/// The user as whom the hub's own controllers act on the hub.
pub const CONTROLLERS: &str = "acp:hub:controllers";
/// The user as whom the hub's own controllers act in members.
pub const FLEET_USER: &str = "acp:hub:fleet";
/// The user as whom it is read which objects clusters have.
pub const INVENTORY_USER: &str = tunnel_protocol::inventory::USER;
/// The user as whom the hub upgrades agents in members.
pub const UPGRADE_USER: &str = "acp:hub:upgrade";
/// The user as whom the hub enforces the quotas of projects in its own cluster.
pub const QUOTA_USER: &str = "acp:hub:quota";
/// The binding that makes the platform's administrators the cluster's.
pub const ADMINS_BINDING: &str = "cpaas:platform-admins";
/// The name under which fields are owned.
const MANAGER: &str = "acp";

/// What an operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where agents find the hub: `host:port`, named by the hub's certificate.
    pub hub_address: String,
    /// The image that registration manifests name.
    pub agent_image: String,
    /// Where imported clusters may be.
    pub addresses: AddressPolicy,
    /// What members let other parts of the hub do: roles and bindings, laid with the fleet's own.
    pub member_rights: Vec<serde_json::Value>,
    /// What other parts of the hub put into members, for when one leaves.
    pub member_traces: Traces,
    /// Which replica of the hub this is, when there may be others.
    pub replica: Option<Replica>,
}

/// Of each cluster that is to have an overcommit ratio of its own, whether it has it, or why not.
pub type HandedDown = BTreeMap<String, Result<(), String>>;

/// What the fleet works with.
pub struct Parts {
    /// The hub's API, prepared by [`install()`], under an identity that may impersonate anybody.
    pub hub: ClusterApi,
    /// The tunnels.
    pub sessions: Sessions,
    /// Who signs agents' certificates.
    pub authorities: Keeper,
    /// How names become addresses.
    pub resolver: Arc<dyn Resolve>,
}

/// The fleet. Clones share everything.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    hub: ClusterApi,
    sessions: Sessions,
    authorities: Keeper,
    config: Config,
    dialler: Dialler,
    store: reflector::Store<Cluster>,
    listed: watch::Sender<bool>,
    directs: router::Directs,
    strangers: router::Strangers,
    identities: Mutex<Noted>,
    inventory: Inventory,
    surveys: survey::Surveys,
    hosts: platform::Hosts,
    looks: controller::Looks,
    replicas: Replicas,
    repairs: Semaphore,
    /// By the uid of the object, and the one that the cluster showed.
    granted: Mutex<HashSet<(String, Option<String>)>>,
    woken: Notify,
    names_woken: Mutex<HashSet<String>>,
    drain: Drain,
    webhooks: OnceLock<watch::Receiver<Webhooks>>,
    ratios: OnceLock<watch::Receiver<HandedDown>>,
    began: Instant,
    this: Weak<Inner>,
}

impl Fleet {
    /// Looks after the clusters until `drain` finishes.
    pub async fn start(config: Config, parts: Parts, drain: &Drain) -> Result<Self, Error> {
        let Parts { hub, sessions, authorities, resolver } = parts;
        let client = Caller::controllers().client_of(&hub);
        let (store, writer) = reflector::store();
        let replicas = Replicas::new(config.replica.clone());
        let dialler = Dialler { addresses: config.addresses.clone(), resolver };
        let inner = Arc::new_cyclic(|this| Inner {
            client,
            hub,
            sessions,
            authorities,
            config,
            dialler,
            store,
            listed: watch::Sender::new(false),
            directs: router::Directs::default(),
            strangers: router::Strangers::default(),
            identities: Mutex::default(),
            inventory: Inventory::default(),
            surveys: survey::Surveys::default(),
            hosts: platform::Hosts::default(),
            looks: controller::Looks::default(),
            replicas,
            repairs: Semaphore::new(grant::REPAIRS),
            granted: Mutex::default(),
            woken: Notify::new(),
            names_woken: Mutex::default(),
            drain: drain.child(),
            webhooks: OnceLock::new(),
            ratios: OnceLock::new(),
            began: Instant::now(),
            this: this.clone(),
        });
        inner.ensure_global().await?;
        let fleet = Self { inner };
        let mut listed = fleet.inner.listed.subscribe();
        fleet.inner.drain.spawn(controller::run(fleet.clone(), writer));
        fleet.inner.drain.spawn(replicas::run(fleet.inner.clone()));
        fleet.inner.drain.spawn(follow_authorities(fleet.inner.clone()));
        fleet.inner.drain.spawn(upgrade::run(fleet.inner.clone()));
        match tokio::time::timeout(Duration::from_secs(30), listed.wait_for(|listed| *listed)).await {
            Ok(Ok(_)) => Ok(fleet),
            _ => Err(Error::NotServed),
        }
    }

    /// Lets the hub's own cluster say what is done for projects there. The first one counts.
    pub fn follow_webhooks(&self, health: watch::Receiver<Webhooks>) {
        let _ = self.inner.webhooks.set(health);
    }

    /// Lets clusters say whether they have the overcommit ratio that they are to have. The first one counts.
    pub fn follow_ratios(&self, handed_down: watch::Receiver<HandedDown>) {
        let _ = self.inner.ratios.set(handed_down);
    }

    /// The clusters, as they are known now.
    pub fn clusters(&self) -> Vec<Arc<Cluster>> {
        self.inner.store.state()
    }

    /// Whether there is such a cluster, as far as is known now.
    pub fn knows(&self, cluster: &ClusterName) -> bool {
        cluster.is_global() || self.inner.cluster(cluster.as_str()).is_some()
    }

    /// The hub's API, which may impersonate anybody.
    pub fn hub(&self) -> &ClusterApi {
        &self.inner.hub
    }

    /// Which objects all clusters have, as far as they are known.
    pub fn index(&self) -> &Inventory {
        &self.inner.inventory
    }

    /// The tunnels.
    pub fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }
}

async fn follow_authorities(inner: Arc<Inner>) {
    tokio::select! {
        () = inner.drain.finishing() => {}
        () = inner.authorities.follow() => {}
    }
}

impl Inner {
    fn clusters(&self) -> Api<Cluster> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    fn cluster(&self, name: &str) -> Option<Arc<Cluster>> {
        self.store.get(&reflector::ObjectRef::new(name).within(NAMESPACE))
    }

    /// Which cluster is which, as far as the clusters have shown.
    fn identities(&self) -> MutexGuard<'_, Noted> {
        // What is noted of a cluster is put right with the next change of its object.
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a cluster looked at now.
    fn wake(&self, name: &ClusterName) {
        self.names_woken.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_string());
        self.woken.notify_one();
    }

    fn take_woken(&self) -> HashSet<String> {
        std::mem::take(&mut *self.names_woken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For what outlives a borrow. Whoever borrows us keeps us alive.
    fn itself(&self) -> Arc<Self> {
        self.this.upgrade().expect("a borrowed value is alive")
    }

    /// The hub is one of its own clusters.
    async fn ensure_global(&self) -> Result<(), Error> {
        let object = import::object(&ClusterName::global(), None, Connection::InProcess, ClusterSpec::default());
        match self.clusters().create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(Error::hub("create the hub's own cluster")(error)),
            Ok(_) => Ok(()),
        }
    }
}
