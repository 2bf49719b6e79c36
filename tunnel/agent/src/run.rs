//! Keeps one connection to the hub.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lib_backoff::chance;
use lib_drain::Drain;
use lib_telemetry::chain;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tunnel_protocol::limits::Timing;
use tunnel_stream::Unread;

use crate::backoff::{Backoff, Failure};
use crate::dial::{Known, dial, dial_one_of};
use crate::serve::{Ended, Handler, Proven, begin};
use crate::{DialError, HubAddress, Link, Network};

/// How an agent reaches its hub.
#[derive(Clone, Debug)]
pub struct Config {
    /// The way to its addresses.
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
        /// By which of its addresses.
        hub: HubAddress,
        /// Why it is not by the first of them, once that was tried.
        missed: Option<String>,
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
    /// Where the hub's door is. The first address is the one to be used, and the others are for when it cannot be.
    hubs: watch::Receiver<Vec<HubAddress>>,
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
/// The waits between attempts at the first address, while another one serves.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How much longer such an attempt may take when the other connection ends meanwhile. The hub lets go of that as soon as it
/// has the new one, which may be a moment before we know.
const GRACE: Duration = Duration::from_secs(1);

/// A connection that serves.
type Served<H> = Proven<TlsStream<Link>, H>;

impl<H: Handler> Agent<H> {
    /// An agent that has not dialled yet. Other addresses count from the next dial; if the first is another one than is used,
    /// that is at once, and what is open goes on until the new connection stands.
    pub fn new(
        config: Config,
        hubs: watch::Receiver<Vec<HubAddress>>,
        tls: watch::Receiver<Arc<ClientConfig>>,
        handler: Arc<H>,
    ) -> Self {
        Self {
            config,
            hubs,
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
        let (mut tls, mut hubs) = (self.tls.clone(), self.hubs.clone());
        let mut denied_by: Option<HubAddress> = None;
        while !drain.is_finishing() {
            self.state.send_replace(State::Dialling);
            let began = Instant::now();
            let mut order = hubs.borrow_and_update().clone();
            // Whoever lets us in and then hangs up does not keep us from the others.
            order.sort_by_key(|hub| Some(hub) == denied_by.as_ref());
            let Outcome { failure, held, reason, by } = tokio::select! {
                ended = self.connect_once(&order, &drain) => ended,
                // A connection that is up says goodbye by itself; a dial is given up.
                () = self.finishing_while_dialling(&drain) => return,
            };
            if is_settled(held) {
                backoff.reset();
            }
            denied_by = by.filter(|_| held.is_none());
            if drain.is_finishing() {
                return;
            }
            self.state.send_replace(State::Waiting { reason, denied: failure == Failure::Denied });
            let wait = backoff.after(failure, chance());
            // A dial that nobody answered has waited already.
            let from = if failure == Failure::Unreachable && held.is_none() { began } else { Instant::now() };
            tokio::select! {
                () = sleep_until(from + wait) => {}
                // Another certificate, or another address, may be what was missing.
                Ok(()) = tls.changed() => {}
                Ok(()) = hubs.changed() => {}
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

    async fn connect_once(&self, hubs: &[HubAddress], drain: &Drain) -> Outcome {
        let Config { network, timing } = &self.config;
        let tls = self.tls.borrow().clone();
        let (hub, stream) = match dial_one_of(hubs, &self.known, network, &tls, timing.handshake).await {
            Ok(dialled) => dialled,
            Err(error) => return not_dialled(&error),
        };
        match self.prove(stream, drain).await {
            Ok(proven) => self.hold(proven, hub, drain).await,
            Err(ended) => ended_by(&hub, &ended, None),
        }
    }

    async fn prove(&self, stream: TlsStream<Link>, drain: &Drain) -> Result<Served<H>, Ended> {
        let timing = self.config.timing;
        begin(stream, timing).await?.prove(&self.handler, drain, &self.unread, timing).await
    }

    /// Serves a connection, and the one that takes its place whenever the first address is another one and leads to the hub,
    /// until the last one ends.
    async fn hold(&self, mut proven: Served<H>, mut hub: HubAddress, drain: &Drain) -> Outcome {
        loop {
            let connected = Instant::now();
            self.state.send_replace(State::Connected { since: SystemTime::now(), hub: hub.clone(), missed: None });
            tracing::info!(hub = %hub, "tunnel opened");
            let mut serving = apart(proven.serve());
            let mut hubs = self.hubs.clone();
            let mut backoff = lib_backoff::Backoff::new(FIRST_WAIT);
            (proven, hub) = loop {
                let first = tokio::select! {
                    ended = &mut serving => return ended_by(&hub, &ended, Some(connected)),
                    first = another(&mut hubs, &hub) => first,
                };
                let tried = {
                    let mut attempt = Box::pin(self.attempt(&first, drain));
                    tokio::select! {
                        biased;
                        tried = &mut attempt => (tried, None),
                        ended = &mut serving => {
                            let late = |_| Err(format!("{first} did not answer in time"));
                            (timeout(GRACE, attempt).await.unwrap_or_else(late), Some(ended))
                        }
                    }
                };
                match tried {
                    (Ok(next), Some(_)) => break (next, first),
                    (Ok(next), None) => {
                        // The hub ends it, now that it has the other.
                        drain.spawn(async move { drop(serving.await) });
                        break (next, first);
                    }
                    (Err(_), Some(ended)) => return ended_by(&hub, &ended, Some(connected)),
                    (Err(why), None) => {
                        tracing::warn!(hub = %first, error = %why, "could not reach the hub by its first address");
                        self.miss(Some(why));
                    }
                }
                tokio::select! {
                    ended = &mut serving => return ended_by(&hub, &ended, Some(connected)),
                    () = sleep(backoff.after(LONGEST_WAIT, chance())) => {}
                    () = changed(&mut hubs) => {
                        backoff.reset();
                        self.miss(None);
                    }
                }
            };
        }
    }

    /// A connection to that address, or why there is none.
    async fn attempt(&self, hub: &HubAddress, drain: &Drain) -> Result<Served<H>, String> {
        let Config { network, timing } = &self.config;
        let tls = self.tls.borrow().clone();
        let dialled = dial(hub, &self.known, network, tls, timing.handshake).await;
        let stream = dialled.map_err(|error| chain(&error).to_string())?;
        self.prove(stream, drain).await.map_err(|ended| chain(&ended).to_string())
    }

    /// Says why the first address is not used, as far as that was tried.
    fn miss(&self, why: Option<String>) {
        self.state.send_if_modified(|state| match state {
            State::Connected { missed, .. } => {
                *missed = why;
                true
            }
            State::Dialling | State::Waiting { .. } => false,
        });
    }
}

/// Completes with the first address when that is another one than is used.
async fn another(hubs: &mut watch::Receiver<Vec<HubAddress>>, used: &HubAddress) -> HubAddress {
    loop {
        if let Some(first) = hubs.borrow_and_update().first().filter(|first| *first != used) {
            return first.clone();
        }
        changed(hubs).await;
    }
}

/// Nobody may be there any more to change anything.
async fn changed(hubs: &mut watch::Receiver<Vec<HubAddress>>) {
    if hubs.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn ended_by(hub: &HubAddress, ended: &Ended, connected: Option<Instant>) -> Outcome {
    let reason = chain(ended).to_string();
    tracing::info!(hub = %hub, reason = %reason, "tunnel closed");
    let held = connected.map(|since| since.elapsed());
    let failure = match ended {
        Ended::Silent => Failure::Unreachable,
        Ended::Replaced => Failure::Replaced,
        // It took our connection and let us go before a word: it does not want us.
        _ if held.is_none() => Failure::Denied,
        Ended::HandedOver => Failure::Closed,
        Ended::ByHub if is_settled(held) => Failure::Closed,
        Ended::ByHub | Ended::Broken(_) | Ended::Drained => Failure::Refused,
    };
    Outcome { failure, held, reason, by: Some(hub.clone()) }
}

/// Drives a connection in a task of its own: what happens there would wake everything else that waits beside it.
fn apart(serving: impl Future<Output = Ended> + Send + 'static) -> Pin<Box<dyn Future<Output = Ended> + Send>> {
    let mut task = JoinSet::new();
    task.spawn(serving);
    Box::pin(async move {
        match task.join_next().await.map(|joined| joined.map_err(JoinError::try_into_panic)) {
            Some(Ok(ended)) => ended,
            Some(Err(Ok(panic))) => resume_unwind(panic),
            // The runtime is about to end.
            Some(Err(Err(_))) | None => Ended::Drained,
        }
    })
}

fn not_dialled(error: &DialError) -> Outcome {
    let reason = chain(error).to_string();
    tracing::warn!(error = %reason, "could not reach the hub");
    Outcome { failure: error.failure(), held: None, reason, by: None }
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
    /// Who answered, if anybody did.
    by: Option<HubAddress>,
}
