//! Puts the agent's parts together.

use std::sync::Arc;
use std::time::Duration;

use lib_drain::Drain;
use lib_names::ClusterName;
use lib_tls::{Credential, Trust, client_config};
use tokio::sync::watch;
use tunnel_agent::{HubAddress, Network, State};
use tunnel_protocol::limits::Timing;
use tunnel_protocol::{ALPN, Webhooks};

use crate::enroll::Enroller;
use crate::forward::Forward;
use crate::hub_client::Hub;
use crate::inventory::Inventory;
use crate::serve::Door;
use crate::{ClusterApi, CredentialStore, EnrollError, Token, health, quota};

/// What is so until it is known better.
const UNSERVED: &str = "the agent serves no webhooks: one that runs outside of its cluster needs --admission-url";

/// What an agent has to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of its cluster on the hub.
    pub cluster: ClusterName,
    /// Where the hub is.
    pub hub: HubAddress,
    /// The way there.
    pub network: Network,
    /// Whom to take for the hub.
    pub trust: Trust,
    /// For the first start.
    pub token: Option<Token>,
    /// How long to wait on the tunnel, and when it is dead.
    pub timing: Timing,
    /// How often to look after the member's API.
    pub health_interval: Duration,
}

impl Config {
    /// An agent of `cluster` with usual timing.
    pub fn new(cluster: ClusterName, hub: HubAddress, trust: Trust) -> Self {
        Self {
            cluster,
            hub,
            network: Network::default(),
            trust,
            token: None,
            timing: Timing::default(),
            health_interval: Duration::from_secs(10),
        }
    }

    /// An agent that does nothing yet.
    pub fn build(self, member: ClusterApi, store: Arc<dyn CredentialStore>) -> Agent {
        Agent { config: self, member, store, quota: None, state: watch::Sender::new(State::Dialling) }
    }
}

/// Why an agent stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It has no certificate and gets none.
    #[error("could not enroll")]
    Enroll(#[from] EnrollError),
    /// TLS cannot be configured.
    #[error("could not configure TLS")]
    Tls(#[source] lib_tls::Error),
}

/// An agent.
pub struct Agent {
    config: Config,
    member: ClusterApi,
    store: Arc<dyn CredentialStore>,
    quota: Option<quota::Config>,
    state: watch::Sender<State>,
}

impl Agent {
    /// How the tunnel is, now and later.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Enforces the quotas of projects besides.
    pub fn enforcing(self, quota: quota::Config) -> Self {
        Self { quota: Some(quota), ..self }
    }

    /// Enrolls and serves until `drain` finishes. Ends early only when the agent cannot enroll.
    pub async fn run(self, drain: Drain) -> Result<(), Error> {
        let Self { config, member, store, quota, state } = self;
        // First of all, for it needs no hub.
        let (served, webhooks) = watch::channel(Webhooks::unserved(UNSERVED));
        if let Some(quota) = quota {
            drain.spawn(quota::enforce(member.client(), quota, served, drain.clone()));
        }
        let (address, network, trust) = (config.hub.clone(), config.network.clone(), config.trust.clone());
        let hub = Hub { address, network, trust };
        let enroller = Enroller { cluster: config.cluster, hub, store };
        let credential = tokio::select! {
            enrolled = enroller.enroll(config.token.as_ref()) => enrolled?,
            () = drain.finishing() => return Ok(()),
        };

        let tls = |credential: &Credential| {
            client_config(&config.trust, Some(credential), &[ALPN]).map(Arc::new).map_err(Error::Tls)
        };
        let (tls_sender, tls_receiver) = watch::channel(tls(&credential)?);
        let (credentials, mut renewed) = watch::channel(credential);
        let (found, health) = watch::channel(health::unknown());
        drain.spawn(enroller.keep_fresh(credentials, drain.clone()));
        drain.spawn(health::watch_member(member.clone(), config.health_interval, found, drain.clone()));

        let inventory = Inventory::new(member.clone(), drain.clone());
        let door = Door { forward: Forward::new(member, drain.clone()), health, inventory, webhooks };
        let tunnel_config = tunnel_agent::Config { hub: config.hub, network: config.network, timing: config.timing };
        let tunnel = tunnel_agent::Agent::new(tunnel_config, tls_receiver, Arc::new(door));
        let mut tunnel_state = tunnel.state();
        let upkeep = async {
            loop {
                tokio::select! {
                    Ok(()) = renewed.changed() => {
                        match tls(&renewed.borrow_and_update()) {
                            Ok(config) => drop(tls_sender.send_replace(config)),
                            Err(error) => tracing::warn!(error = %lib_telemetry::chain(&error), "kept the old certificate"),
                        }
                    }
                    Ok(()) = tunnel_state.changed() => {
                        state.send_replace(tunnel_state.borrow_and_update().clone());
                    }
                    else => std::future::pending::<()>().await,
                }
            }
        };
        tokio::select! {
            () = tunnel.run(drain.clone()) => Ok(()),
            never = upkeep => never,
        }
    }
}
