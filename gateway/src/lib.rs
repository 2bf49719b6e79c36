//! The front door: one port for people, programs and agents.
//!
//! The way of a request is one function, `chain::Chain::answer`, to be read from top to bottom. The gateway says who is
//! asking; whether they may, the cluster says that they ask. It holds no rules of its own: where it has to know, it asks
//! the hub's API server in the caller's name.

mod agent_upgrade;
mod agents;
mod assets;
mod authority;
mod chain;
mod clusters;
mod fleet_api;
mod framing;
mod headers;
mod listener;
mod metrics;
mod nodes;
mod origin;
mod path;
mod people;
mod proxy;
mod respond;
mod review;
mod rights;
mod routes;
mod scope;
mod search;
mod shares;
mod summary;
mod tenancy;
mod tunnels;
mod turns;
mod until;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::fleet::Fleet;
use ::identity::Identity;
use ::tenancy::api::Service;
use lib_drain::Drain;
use lib_tls::{Authorities, rotating_server_config};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tunnel_hub::Sessions;
use tunnel_protocol::{ALPN, replica};

pub use assets::{Asset, Assets};
pub use routes::ROUTES;

/// Everything behind the door.
pub struct Hub {
    /// Who is who.
    pub identity: Identity,
    /// The clusters.
    pub fleet: Fleet,
    /// Projects, roles, and what everybody may do.
    pub tenancy: Arc<Service>,
    /// The tunnels.
    pub sessions: Sessions,
    /// The names and addresses under which the door is known, besides those that clusters reach it by: in its certificate, and
    /// in the `Host` of requests.
    pub names: Vec<String>,
    /// The console.
    pub assets: Arc<dyn Assets>,
    /// How often a cluster that does not let the hub see when rights change is asked about the streams in it.
    pub ask_rights: Duration,
}

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its certificate or TLS configuration could not be made.
    #[error("could not set up TLS")]
    Tls(#[from] lib_tls::Error),
    /// The socket is of no use.
    #[error("could not take connections")]
    Listen(#[source] std::io::Error),
}

impl Hub {
    /// Opens the door, until `drain` finishes.
    pub fn serve(self, listener: TcpListener, drain: &Drain) -> Result<SocketAddr, Error> {
        let address = listener.local_addr().map_err(Error::Listen)?;
        let authorities = self.fleet.authorities().changes();
        let hosts = self.fleet.platform_hosts();
        let now = Arc::new(tls(&authorities.borrow(), &self.names, &hosts.borrow())?);
        let (tls, shown) = watch::channel(now);
        drain.spawn(follow(authorities, hosts, self.names.clone(), tls, drain.clone()));
        drain.spawn(close_tunnels(self.sessions.clone(), drain.clone()));
        let chain = Arc::new(chain::Chain::new(self, drain.clone()));
        drain.spawn(listener::accept(listener, shown, chain, drain.clone()));
        Ok(address)
    }
}

/// The authorities have signed the door's certificate, and agents' and administrators'.
fn tls(authorities: &Authorities, names: &[String], hosts: &BTreeSet<String>) -> Result<ServerConfig, lib_tls::Error> {
    let names = names.iter().chain(hosts).cloned().chain([replica::DOOR.to_owned()]).collect();
    rotating_server_config(authorities, names, &[ALPN, replica::ALPN, b"h2", b"http/1.1"])
}

/// Has the next handshake be by the authorities that there are then, and with the names. Nothing that was agreed with others
/// before is resumed; what was agreed goes on.
async fn follow(
    mut authorities: watch::Receiver<Arc<Authorities>>,
    mut hosts: watch::Receiver<Arc<BTreeSet<String>>>,
    names: Vec<String>,
    shown: watch::Sender<Arc<ServerConfig>>,
    drain: Drain,
) {
    loop {
        tokio::select! {
            () = drain.finishing() => return,
            changed = authorities.changed() => if changed.is_err() { return },
            changed = hosts.changed() => if changed.is_err() { return },
        }
        match tls(&authorities.borrow_and_update(), &names, &hosts.borrow_and_update()) {
            Ok(config) => drop(shown.send_replace(Arc::new(config))),
            Err(error) => {
                tracing::error!(error = %lib_telemetry::chain(&error), "the door could not take another certificate");
            }
        }
    }
}

/// Says goodbye to agents, so that they look for another replica at once.
async fn close_tunnels(sessions: Sessions, drain: Drain) {
    drain.finishing().await;
    let _ = sessions.drain(listener::LAST).await;
}
