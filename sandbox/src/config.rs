//! What a caller decides about a sandbox. Data only.

use std::{fmt, sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use tokio::sync::watch;

use crate::clock::Clock;

/// The simulated part of a sandbox member.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// How many nodes there are.
    pub nodes: usize,
    /// What node names begin with; a number follows.
    pub node_prefix: String,
    /// The version that nodes report, with its `v`.
    pub kubernetes_version: String,
    /// What each node has.
    pub node_capacity: NodeCapacity,
    /// What repeatable noise is made from; give each cluster another one.
    pub seed: u64,
    /// How long things take.
    pub timings: Timings,
    /// Whether claims that name no storage class get the simulated one, and snapshots can be taken.
    pub default_storage: bool,
    /// The time that workloads and nodes live in.
    pub clock: Clock,
    /// How the API server is told to be slow, if it can be.
    pub api_latency: Option<watch::Sender<Duration>>,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            nodes: 3,
            node_prefix: "node-".to_owned(),
            kubernetes_version: "v1.34.1".to_owned(),
            node_capacity: NodeCapacity::default(),
            seed: 1,
            timings: Timings::default(),
            default_storage: false,
            clock: Clock::default(),
            api_latency: None,
        }
    }
}

/// What a node has for its pods.
#[derive(Clone, Debug)]
pub struct NodeCapacity {
    /// Processors.
    pub cpu: Quantity,
    /// Memory.
    pub memory: Quantity,
    /// How many pods it takes.
    pub pods: u32,
}

impl Default for NodeCapacity {
    fn default() -> Self {
        Self { cpu: Quantity("8".to_owned()), memory: Quantity("32Gi".to_owned()), pods: 110 }
    }
}

/// How long simulated things take.
#[derive(Clone, Debug)]
pub struct Timings {
    /// From seeing a pod to running its containers.
    pub start: Duration,
    /// Pulling an image that a node does not have.
    pub pull: Duration,
    /// From asking containers to stop to their end, when their grace period is not shorter.
    pub stop: Duration,
    /// The least that a command that ends takes.
    pub run: Duration,
    /// The first wait before a container is started again for the second time, and before an image is pulled again;
    /// each further one doubles it, up to five minutes.
    pub restart: Duration,
    /// Between two renewals of a node's lease.
    pub lease: Duration,
    /// Between two reports of a node's unchanged status.
    pub heartbeat: Duration,
    /// How long a node may be silent until it counts as unreachable.
    pub node_grace: Duration,
    /// From asking for a volume, a larger volume or a snapshot to having it.
    pub provision: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            start: Duration::from_millis(40),
            pull: Duration::from_millis(20),
            stop: Duration::from_millis(20),
            run: Duration::from_millis(200),
            restart: Duration::from_secs(10),
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_secs(300),
            node_grace: Duration::from_secs(50),
            provision: Duration::from_millis(40),
        }
    }
}

/// What a cluster's control plane is given.
#[derive(Clone, Default)]
pub struct ControlPlaneConfig {
    /// The PEM that clients of the API server trust, published to every namespace as `kube-root-ca.crt`.
    pub root_ca: Option<String>,
    /// Signs approved certificate signing requests; without one they stay unsigned.
    pub signer: Option<Arc<dyn CertificateSigner>>,
}

impl fmt::Debug for ControlPlaneConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlaneConfig")
            .field("root_ca", &self.root_ca.is_some())
            .field("signer", &self.signer.is_some())
            .finish()
    }
}

/// The cluster's certificate authority. What may be signed is decided before it is asked.
pub trait CertificateSigner: Send + Sync {
    /// The certificate in PEM, or why there is none; the reason is shown to people.
    fn sign(&self, request: &lib_tls::SigningRequest, terms: &lib_tls::Terms) -> Result<String, String>;
}
