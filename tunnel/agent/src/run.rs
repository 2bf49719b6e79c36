//! Keeps one connection to the hub.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lib_backoff::chance;
use lib_drain::Drain;
use lib_telemetry::chain;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::ClientConfig;
use tunnel_protocol::limits::Timing;

use crate::backoff::Failure;
use crate::dial::dial;
use crate::serve::{Ended, Handler, begin};
use crate::{Backoff, DialError, HubAddress, Network};

/// How an agent reaches its hub.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the hub's door is.
    pub hub: HubAddress,
    /// The way there.
    pub network: Network,
    /// How long to wait, and when the link is dead.
    pub timing: Timing,
}

/// How the tunnel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Dialling, for the first time or again.
    Dialling,
    /// The hub has accepted us.
    Connected {
        /// Since when.
        since: SystemTime,
    },
    /// Waiting to dial again.
    Waiting {
        /// Why the last attempt or connection ended.
        reason: String,
    },
}

/// The agent's end of a tunnel.
pub struct Agent<H> {
    config: Config,
    /// The TLS configuration, with the tunnel's ALPN and the agent's certificate. A changed one counts from the next dial.
    tls: watch::Receiver<Arc<ClientConfig>>,
    handler: Arc<H>,
    state: watch::Sender<State>,
}

/// A connection that held this long was a working one.
const SETTLED: Duration = Duration::from_secs(10);

impl<H: Handler> Agent<H> {
    /// An agent that has not dialled yet.
    pub fn new(config: Config, tls: watch::Receiver<Arc<ClientConfig>>, handler: Arc<H>) -> Self {
        Self { config, tls, handler, state: watch::Sender::new(State::Dialling) }
    }

    /// How the tunnel is, now and later.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Dials, serves, and dials again until `drain` finishes. Streams are tasks of `drain`.
    pub async fn run(self, drain: Drain) {
        let mut backoff = Backoff::default();
        while !drain.is_finishing() {
            self.state.send_replace(State::Dialling);
            let (failure, reason) = tokio::select! {
                ended = self.connect_once(&drain) => ended,
                // A connection that is up says goodbye by itself; a dial is given up.
                () = self.finishing_while_dialling(&drain) => return,
            };
            if matches!(failure, Outcome::Worked) {
                backoff.reset();
            }
            let kind = match failure {
                Outcome::Refused => Failure::Refusal,
                Outcome::Worked | Outcome::Lost => Failure::Link,
            };
            if drain.is_finishing() {
                return;
            }
            self.state.send_replace(State::Waiting { reason });
            tokio::select! {
                () = sleep(backoff.after(kind, chance())) => {}
                () = drain.finishing() => {}
            }
        }
    }

    async fn finishing_while_dialling(&self, drain: &Drain) {
        drain.finishing().await;
        let mut state = self.state.subscribe();
        if matches!(*state.borrow_and_update(), State::Connected { .. }) {
            std::future::pending::<()>().await;
        }
    }

    async fn connect_once(&self, drain: &Drain) -> (Outcome, String) {
        let Config { hub, network, timing } = &self.config;
        let tls = self.tls.borrow().clone();
        let stream = match dial(hub, network, tls, timing.handshake).await {
            Ok(stream) => stream,
            Err(error) => return self.not_dialled(&error),
        };
        let tunnel = match begin(stream, *timing).await {
            Ok(tunnel) => tunnel,
            Err(ended) => return self.ended(&ended, None),
        };
        let mut connected = None;
        let ended = tunnel
            .run(&self.handler, drain, *timing, || {
                connected = Some(Instant::now());
                self.state.send_replace(State::Connected { since: SystemTime::now() });
                tracing::info!(hub = %hub, "tunnel opened");
            })
            .await;
        self.ended(&ended, connected)
    }

    fn not_dialled(&self, error: &DialError) -> (Outcome, String) {
        let reason = chain(error).to_string();
        tracing::warn!(error = %reason, "could not reach the hub");
        (if error.is_refusal() { Outcome::Refused } else { Outcome::Lost }, reason)
    }

    fn ended(&self, ended: &Ended, connected: Option<Instant>) -> (Outcome, String) {
        let reason = chain(ended).to_string();
        tracing::info!(hub = %self.config.hub, reason = %reason, "tunnel closed");
        let outcome = match connected {
            Some(since) if since.elapsed() >= SETTLED => Outcome::Worked,
            Some(_) => Outcome::Lost,
            // It took our connection and let us go before a word: it does not want us.
            None if matches!(ended, Ended::Silent) => Outcome::Lost,
            None => Outcome::Refused,
        };
        (outcome, reason)
    }
}

enum Outcome {
    /// The tunnel was up for a while.
    Worked,
    /// The hub could not be reached, or the tunnel broke soon.
    Lost,
    /// The hub, or we, said no.
    Refused,
}
