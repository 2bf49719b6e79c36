//! Puts the agent's parts together.

use std::sync::Arc;
use std::time::Duration;

use lib_backoff::chance;
use lib_drain::Drain;
use lib_names::ClusterName;
use lib_telemetry::chain;
use lib_tls::{Credential, Trust, client_config};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tunnel_agent::{HubAddress, Network, State};
use tunnel_protocol::limits::Timing;
use tunnel_protocol::{ALPN, Survey, Webhooks};

use crate::address::HubAddresses;
use crate::enroll::Enroller;
use crate::forward::Forward;
use crate::inventory::Inventory;
use crate::ready::{PROGRAM, Ready};
use crate::serve::Door;
use crate::trust::HubTrust;
use crate::{ClusterApi, CredentialStore, EnrollError, Token, health, quota};

/// What is so until it is known better.
const UNSERVED: &str = "the agent serves no webhooks: one that runs outside of its cluster needs --admission-url";

/// Between two dials of an agent whose cluster was removed: a person has to do something before one can succeed.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// Between two questions to a hub that hangs up and says nothing.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What an agent has to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of its cluster on the hub.
    pub cluster: ClusterName,
    /// Where the hub is, until it tells another address.
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
        Agent {
            config: self,
            member,
            store,
            quota: None,
            state: watch::Sender::new(State::Dialling),
            met: watch::Sender::new(false),
        }
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
    met: watch::Sender<bool>,
}

impl Agent {
    /// How the tunnel is, now and later.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Whether it may take the place of the one before it, now and later.
    pub fn ready(&self) -> Ready {
        let listening = self.quota.as_ref().map(|quota| quota.listening.subscribe());
        Ready { listening, met: self.met.subscribe() }
    }

    /// Enforces the quotas of projects besides.
    pub fn enforcing(self, quota: quota::Config) -> Self {
        Self { quota: Some(quota), ..self }
    }

    /// Enrolls and serves until `drain` finishes. Ends early only when the agent cannot enroll.
    pub async fn run(self, drain: Drain) -> Result<(), Error> {
        let Self { config, member, store, quota, state, met } = self;
        // First of all, for it needs no hub.
        let (served, webhooks) = watch::channel(Webhooks::unserved(UNSERVED));
        if let Some(quota) = quota {
            drain.spawn(quota::enforce(member.client(), quota, served, drain.clone()));
        }
        let trust = HubTrust::load(config.trust, store.clone()).await.map_err(EnrollError::from)?;
        met.send_replace(store.load_met().await.map_err(EnrollError::from)?.as_deref() == Some(PROGRAM));
        let meeting = meet(state.subscribe(), met, store.clone());
        let addresses = HubAddresses::load(config.hub, store.clone()).await.map_err(EnrollError::from)?;
        let network = config.network.clone();
        let hubs = addresses.changes();
        let enroller = Enroller { cluster: config.cluster, addresses, network, trust: trust.clone(), store };
        let credential = tokio::select! {
            enrolled = enroller.enroll(config.token.as_ref()) => enrolled?,
            () = drain.finishing() => return Ok(()),
        };

        let tls = |credential: &Credential| {
            client_config(&trust.now(), Some(credential), &[ALPN]).map(Arc::new).map_err(Error::Tls)
        };
        let (tls_sender, tls_receiver) = watch::channel(tls(&credential)?);
        let (credentials, mut renewed) = watch::channel(credential);
        let (found, health) = watch::channel(health::unknown());
        let known = Known { credential: credentials.clone(), enroller: enroller.clone() };
        drain.spawn(enroller.clone().keep_fresh(credentials, drain.clone()));
        drain.spawn(health::watch_member(member.clone(), config.health_interval, found, drain.clone()));
        let ((surveyed, survey), asked) = (watch::channel(Survey::default()), Arc::<Notify>::default());
        drain.spawn(health::survey_member(member.clone(), asked.clone(), surveyed, drain.clone()));

        let inventory = Inventory::new(member.clone(), drain.clone());
        let (forward, credential) = (Forward::new(member, drain.clone()), renewed.clone());
        let watched = state.subscribe();
        let door = Arc::new(Door {
            forward,
            health,
            inventory,
            webhooks,
            survey,
            asked,
            credential,
            enroller,
            state: watched,
        });
        let tunnel_config = tunnel_agent::Config { network: config.network, timing: config.timing };
        let upkeep = async {
            let mut told = trust.changes();
            loop {
                tokio::select! {
                    // Never the last: the sender is with whoever asks why the hub hangs up.
                    _ = renewed.changed() => {}
                    _ = told.changed() => {}
                }
                match tls(&renewed.borrow_and_update()) {
                    Ok(config) => drop(tls_sender.send_replace(config)),
                    Err(error) => tracing::warn!(error = %chain(&error), "kept the old certificate"),
                }
            }
        };
        let tunnels = async {
            let mut was_told = false;
            loop {
                let (config, tls) = (tunnel_config.clone(), tls_receiver.clone());
                let tunnel = tunnel_agent::Agent::new(config, hubs.clone(), tls, door.clone());
                let farewell = known.farewell(tunnel.state(), &state);
                let words = tokio::select! {
                    () = tunnel.run(drain.clone()) => return Ok(()),
                    words = farewell => words,
                };
                // Once: whoever reads it has to act, and until then nothing changes.
                if !std::mem::replace(&mut was_told, true) {
                    tracing::error!(reason = %words, "the hub lets this agent in no more");
                }
                state.send_replace(State::Waiting { reason: words, denied: true });
                tokio::select! {
                    () = sleep(FORGOTTEN.mul_f64(1.0 - chance() / 4.0)) => {}
                    () = drain.finishing() => return Ok(()),
                }
            }
        };
        tokio::select! {
            ended = tunnels => ended,
            never = upkeep => never,
            never = meeting => never,
        }
    }
}

/// Notes that this program has reached the hub, when it has. Never completes.
async fn meet(mut state: watch::Receiver<State>, met: watch::Sender<bool>, store: Arc<dyn CredentialStore>) -> ! {
    if !*met.borrow() && state.wait_for(|state| matches!(state, State::Connected { .. })).await.is_ok() {
        met.send_replace(true);
        if let Err(error) = store.save_met(PROGRAM).await {
            tracing::warn!(error = %chain(&error), "the next start of this program is not ready before it has reached the hub");
        }
    }
    std::future::pending().await
}

/// Who the agent is, for when the hub does not want it.
struct Known {
    credential: watch::Sender<Credential>,
    enroller: Enroller,
}

impl Known {
    /// Tells how the tunnel is, until the hub has said that it wants no more of it; then in its words. A hub that hangs up
    /// gives no reason, so it is asked for one.
    async fn farewell(&self, mut tunnel: watch::Receiver<State>, told: &watch::Sender<State>) -> String {
        let mut asked: Option<Instant> = None;
        loop {
            if tunnel.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let state = tunnel.borrow_and_update().clone();
            let is_denied = matches!(state, State::Waiting { denied: true, .. });
            told.send_replace(state.clone());
            if let State::Connected { hub, .. } = state {
                self.enroller.addresses.stands(&hub).await;
            }
            if !is_denied || asked.is_some_and(|at| at.elapsed() < ASK_AGAIN) {
                continue;
            }
            asked = Some(Instant::now());
            if let Some(words) = self.enroller.farewell(&self.credential).await {
                return words;
            }
        }
    }
}
