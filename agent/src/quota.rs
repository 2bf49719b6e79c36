//! Keeps what a project gives to its namespaces in this cluster within its quota.
//!
//! # Flow
//!
//! The cluster's API server asks, by the webhook `cpaas-project-quota`, about each ResourceQuota of a namespace that
//! belongs to a project and about each namespace that is put into one. `review` judges the write by what the cluster
//! holds, and notes in the status of the ProjectQuota what the write will have (`ledger`, by `tenancy-quota`). `follow`
//! counts anew whenever something changes, and when a note has run out. `install` sees to it that the cluster asks. The
//! same server answers for overcommit ratios ([`ratio`](crate::ratio)).
//!
//! # Guarantees
//!
//! - The cluster alone is needed, not the hub.
//! - However many agents and API servers there are, and wherever one of them is killed, what is stored never exceeds what
//!   is allowed: every verdict is a compare-and-swap of the one status.
//! - While nobody serves the webhook, the writes that it is about are refused. [`enforce`] tells why it is not served, that of ratios
//!   included.
//!
//! # Caveats
//!
//! API servers know the labels of namespaces by caches of their own. A ResourceQuota that is written in the moment in
//! which its namespace, which belonged to no project, is put into one may be missed by the webhook. The next count has it,
//! and the status says Exceeded if it is too much.

mod follow;
mod install;
mod ledger;
mod review;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use lib_admission::AdmissionUrl;
use lib_drain::Drain;
use lib_telemetry::chain;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;
use tunnel_protocol::Webhooks;

use crate::CredentialStore;
use crate::ratio::Ratios;
use install::{Installed, Installer};
use ledger::Ledger;

pub use install::CONFIGURATION;

/// After a failure to start.
const START_AGAIN: Duration = Duration::from_secs(1);

/// How the cluster's API servers reach the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Through the Service of that name beside the agent, at its port 443.
    Service(&'static str),
    /// At an address that somebody else sees to.
    Url(AdmissionUrl),
    /// Where it listens: they are on the same machine.
    Listener,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For how long room is kept for a write of which nothing is seen. More than an API server works on a request, which
    /// is a minute unless it is told otherwise.
    pub hold: Duration,
    /// How often all is counted even if nothing seems to have changed.
    pub recount: Duration,
    /// How often to look whether the cluster still asks.
    pub look: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { hold: Duration::from_secs(90), recount: Duration::from_secs(60), look: Duration::from_secs(10) }
    }
}

/// What it takes to enforce quotas.
#[derive(Clone)]
pub struct Config {
    /// Where the webhook listens.
    pub listen: SocketAddr,
    /// Where API servers find it.
    pub reach: Reach,
    /// Keeps the webhook's authority. Agents that share it stand in for each other.
    pub store: Arc<dyn CredentialStore>,
    /// How long things take.
    pub timing: Timing,
    /// Whether it is served.
    pub listening: watch::Sender<bool>,
}

impl Config {
    /// With usual timing.
    pub fn new(listen: SocketAddr, reach: Reach, store: Arc<dyn CredentialStore>) -> Self {
        Self { listen, reach, store, timing: Timing::default(), listening: watch::Sender::new(false) }
    }
}

/// Enforces the quotas of the cluster's projects, and applies overcommit ratios, until `drain` finishes. `client` acts under
/// an identity with the rights of the agent's role. `found` hears how it goes.
pub async fn enforce(client: Client, config: Config, found: watch::Sender<Webhooks>, drain: Drain) {
    let work = async {
        let (listener, installer) = loop {
            match prepare(&client, &config).await {
                Ok(prepared) => break prepared,
                Err(error) => {
                    let message = chain(&error).to_string();
                    tracing::warn!(error = %message, "quotas of projects are not enforced, and overcommit ratios not applied yet");
                    found.send_replace(Webhooks::unserved(&message));
                    sleep(START_AGAIN).await;
                }
            }
        };
        let ledger = Arc::new(Ledger::new(client.clone(), config.timing.hold));
        let ratios = Arc::new(Ratios::new(client.clone()));
        let Installed { server, tls } = installer.server(ledger.clone(), ratios.clone());
        drain.spawn(server.serve(listener, tls, drain.clone()));
        config.listening.send_replace(true);
        let Timing { look, recount, .. } = config.timing;
        tokio::join!(
            installer.keep(look, &found),
            follow::follow(&ledger, recount),
            installer.keep_ratios(look, &ratios, &found),
            ratios.keep(),
        );
    };
    tokio::select! {
        () = work => {}
        () = drain.finishing() => {}
    }
    found.send_replace(Webhooks::unserved("the agent is stopping"));
}

async fn prepare(client: &Client, config: &Config) -> Result<(TcpListener, Installer), install::Error> {
    let bound = lib_listen::listen(config.listen).await;
    let listener = bound.map_err(|source| install::Error::Listen { address: config.listen, source })?;
    let installer = Installer::prepare(client, config, &listener).await?;
    Ok((listener, installer))
}
