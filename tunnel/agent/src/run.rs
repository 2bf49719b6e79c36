//! Keeps one connection to the hub.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lib_backoff::chance;
use lib_drain::Drain;
use lib_telemetry::chain;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::rustls::ClientConfig;
use tunnel_protocol::limits::Timing;
use tunnel_stream::Unread;

use crate::backoff::{Backoff, Failure};
use crate::dial::{Known, dial};
use crate::serve::{Ended, Handler, begin};
use crate::{DialError, HubAddress, Network};

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
        /// Whether one of us has refused the other. That does not pass by itself.
        denied: bool,
    },
}

/// The agent's end of a tunnel.
pub struct Agent<H> {
    config: Config,
    /// The TLS configuration, with the tunnel's ALPN and the agent's certificate. A changed one counts from the next dial,
    /// which is at once if there is no connection.
    tls: watch::Receiver<Arc<ClientConfig>>,
    handler: Arc<H>,
    state: watch::Sender<State>,
    known: Known,
    unread: Unread,
}

/// A connection that held this long was a working one.
const SETTLED: Duration = Duration::from_secs(10);

impl<H: Handler> Agent<H> {
    /// An agent that has not dialled yet.
    pub fn new(config: Config, tls: watch::Receiver<Arc<ClientConfig>>, handler: Arc<H>) -> Self {
        Self {
            config,
            tls,
            handler,
            state: watch::Sender::new(State::Dialling),
            known: Known::default(),
            unread: Unread::default(),
        }
    }

    /// How the tunnel is, now and later.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Dials, serves, and dials again until `drain` finishes. Streams are tasks of `drain`.
    pub async fn run(self, drain: Drain) {
        let mut backoff = Backoff::default();
        let mut tls = self.tls.clone();
        while !drain.is_finishing() {
            self.state.send_replace(State::Dialling);
            let began = Instant::now();
            let Outcome { failure, held, reason } = tokio::select! {
                ended = self.connect_once(&drain) => ended,
                // A connection that is up says goodbye by itself; a dial is given up.
                () = self.finishing_while_dialling(&drain) => return,
            };
            if is_settled(held) {
                backoff.reset();
            }
            if drain.is_finishing() {
                return;
            }
            self.state.send_replace(State::Waiting { reason, denied: failure == Failure::Denied });
            let wait = backoff.after(failure, chance());
            // A dial that nobody answered has waited already.
            let from = if failure == Failure::Unreachable && held.is_none() { began } else { Instant::now() };
            tokio::select! {
                () = sleep_until(from + wait) => {}
                // Another certificate may be what was missing.
                Ok(()) = tls.changed() => {}
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

    async fn connect_once(&self, drain: &Drain) -> Outcome {
        let Config { hub, network, timing } = &self.config;
        let tls = self.tls.borrow().clone();
        let stream = match dial(hub, &self.known, network, tls, timing.handshake).await {
            Ok(stream) => stream,
            Err(error) => return not_dialled(&error),
        };
        let tunnel = match begin(stream, *timing).await {
            Ok(tunnel) => tunnel,
            Err(ended) => return self.ended(&ended, None),
        };
        let mut connected = None;
        let ended = tunnel
            .run(&self.handler, drain, &self.unread, *timing, || {
                connected = Some(Instant::now());
                self.state.send_replace(State::Connected { since: SystemTime::now() });
                tracing::info!(hub = %hub, "tunnel opened");
            })
            .await;
        self.ended(&ended, connected)
    }

    fn ended(&self, ended: &Ended, connected: Option<Instant>) -> Outcome {
        let reason = chain(ended).to_string();
        tracing::info!(hub = %self.config.hub, reason = %reason, "tunnel closed");
        let held = connected.map(|since| since.elapsed());
        let failure = match ended {
            Ended::Silent => Failure::Unreachable,
            // It took our connection and let us go before a word: it does not want us.
            _ if held.is_none() => Failure::Denied,
            Ended::HandedOver => Failure::Closed,
            Ended::ByHub if is_settled(held) => Failure::Closed,
            Ended::ByHub | Ended::Broken(_) | Ended::Drained => Failure::Refused,
        };
        Outcome { failure, held, reason }
    }
}

fn not_dialled(error: &DialError) -> Outcome {
    let reason = chain(error).to_string();
    tracing::warn!(error = %reason, "could not reach the hub");
    Outcome { failure: error.failure(), held: None, reason }
}

fn is_settled(held: Option<Duration>) -> bool {
    held.is_some_and(|held| held >= SETTLED)
}

/// How an attempt, or the connection that it led to, ended.
struct Outcome {
    failure: Failure,
    /// How long there was a connection, if there was one.
    held: Option<Duration>,
    reason: String,
}
