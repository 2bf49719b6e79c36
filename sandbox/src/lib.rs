//! What makes an embedded cluster behave: controllers, scheduler, simulated kubelets.
//!
//! An API server alone only stores what it is told. This crate adds the rest of a cluster, over nothing but a
//! [`kube::Client`]: the control plane's own controllers ([`ControlPlane`], for every embedded cluster), and workload
//! controllers, scheduler and simulated nodes ([`Sandbox`], for sandbox members).
//!
//! # Guarantees
//!
//! Everything is driven by watches over one shared, indexed cache per kind and cluster; nothing polls lists. Every task
//! belongs to the [`Running`] it was started under and ends when that is stopped.
//!
//! # Caveats
//!
//! No container runs on simulated nodes, and they say so. What a container would do is decided by the rules documented
//! in `kubelet/behaviour.rs`; programs of the caller's own run for images registered through [`Programs`].

mod api_latency;
mod cache;
mod clock;
mod cluster;
mod config;
mod control_plane;
mod controller;
mod duration;
mod error;
mod events;
pub mod fault;
mod kubelet;
mod meta;
mod nodes;
mod ownership;
mod placement;
mod pods;
mod queue;
mod scheduler;
mod shell;
mod spdy;
mod volumes;
mod workloads;

use std::sync::{Arc, OnceLock};

use kube::Client;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use clock::Clock;
pub use config::{CertificateSigner, ControlPlaneConfig, NodeCapacity, SandboxConfig, Timings};
pub use error::Error;
pub use fault::{Fault, FaultKind};
pub use kubelet::{Body, Identity, Kubelets, Program, ProgramContext, Programs, Unreachable};

use cluster::Cluster;

/// The controllers of a cluster without nodes: namespaces, garbage, accounts, roots of trust, roles, certificates.
pub struct ControlPlane;

impl ControlPlane {
    /// Starts the control plane's controllers. The client must act as an administrator.
    pub fn start(client: &Client, config: ControlPlaneConfig) -> Running {
        let (cluster, running) = Running::new(client, Clock::default());
        control_plane::start(&cluster, config);
        cluster.watch_control_plane();
        running
    }
}

/// A whole sandbox member: control plane, workloads, scheduler and simulated nodes.
pub struct Sandbox;

impl Sandbox {
    /// Starts everything. The client must act as an administrator. `programs` are run for containers of the images
    /// they know.
    pub fn start(
        client: &Client,
        control_plane: ControlPlaneConfig,
        config: &SandboxConfig,
        programs: Option<Arc<dyn Programs>>,
    ) -> Running {
        let (cluster, mut running) = Running::new(client, config.clock.clone());
        control_plane::start(&cluster, control_plane);
        workloads::start(&cluster);
        nodes::start(&cluster, config);
        scheduler::start(&cluster);
        if let Some(latency) = &config.api_latency {
            api_latency::start(&cluster, latency.clone());
        }
        let contents = volumes::start(&cluster, config);
        running.kubelets = Some(Kubelets::start(&cluster, config, contents, programs));
        cluster.watch_control_plane();
        cluster.watch_workloads();
        running
    }
}

/// The way to a sandbox's kubelets, for a server that must know it before the sandbox is started over that very server.
#[derive(Clone, Default)]
pub struct NodeAccess(Arc<OnceLock<Arc<Kubelets>>>);

impl NodeAccess {
    /// Leads to the nodes of `running` from now on; only the first call counts.
    pub fn connect(&self, running: &Running) {
        if let Some(kubelets) = &running.kubelets {
            // A second sandbox behind one server would be a mistake of the caller's; the first stays.
            let _ = self.0.set(kubelets.clone());
        }
    }

    /// The kubelets, once connected.
    pub fn kubelets(&self) -> Option<&Arc<Kubelets>> {
        self.0.get()
    }
}

/// What was started. Dropping it cancels its tasks; [`Running::stop`] also waits for them.
pub struct Running {
    tasks: TaskTracker,
    token: CancellationToken,
    kubelets: Option<Arc<Kubelets>>,
}

impl Running {
    fn new(client: &Client, clock: Clock) -> (Cluster, Self) {
        let (tasks, token) = (TaskTracker::new(), CancellationToken::new());
        let (recorder, writer) = events::channel(&clock);
        tasks.spawn(writer.run(client.clone(), token.clone()));
        let cluster = Cluster::new(client, clock, recorder, tasks.clone(), token.clone());
        (cluster, Self { tasks, token, kubelets: None })
    }

    /// The simulated nodes, where streaming requests go.
    pub fn kubelets(&self) -> Option<&Arc<Kubelets>> {
        self.kubelets.as_ref()
    }

    /// Cancels all tasks and waits until they have ended.
    pub async fn stop(&self) {
        self.token.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.token.cancel();
        self.tasks.close();
    }
}
