//! The connection to another replica.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lib_backoff::{Backoff, chance};
use lib_drain::Drain;
use lib_telemetry::chain;
use lib_tls::{Leaf, Subject, Trust, client_config};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tunnel_hub::{Ended, Refused};
use tunnel_protocol::replica::{self, ALPN, DOOR, GROUP};

use super::Replica;
use crate::Inner;

/// The wait after a first failure.
const FIRST: Duration = Duration::from_millis(100);
/// Between attempts, at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long dialling may take.
const DIAL: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("could not show who we are")]
    Credential(#[source] lib_tls::Error),
    #[error("could not connect")]
    Dial(#[source] io::Error),
    #[error("there was no answer in time")]
    Silent,
    #[error("the connection was of no use")]
    Refused(#[source] Refused),
}

/// Uses another replica's tunnels until it is `gone`. A connection that is there then is used to its end: a replica that
/// stops hands its agents over first.
pub(super) async fn hold(inner: &Inner, own: &str, other: &Replica, gone: &Drain) {
    let (name, address) = (&other.name, &other.address);
    let mut backoff = Backoff::new(FIRST);
    while !gone.is_finishing() {
        let mut was_joined = false;
        match once(inner, own, other, || was_joined = true).await {
            Ok(ended) => tracing::info!(replica = %name, ?ended, "the connection to another replica of the hub ended"),
            Err(error) => {
                tracing::warn!(replica = %name, address = %address, error = %chain(&error), "could not reach another replica of the hub");
            }
        }
        if was_joined {
            backoff.reset();
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.after(PATIENCE, chance())) => {}
            () = gone.finishing() => {}
        }
    }
}

async fn once(inner: &Inner, own: &str, other: &Replica, joined: impl FnOnce() + Send) -> Result<Ended, Failed> {
    let stream = timeout(DIAL, dial(inner, own, &other.address)).await.map_err(|_| Failed::Silent)??;
    let joined = || {
        tracing::info!(replica = %other.name, "another replica of the hub is reached");
        joined();
    };
    inner.sessions.join_replica(&other.name, stream, joined).await.map_err(Failed::Refused)
}

async fn dial(inner: &Inner, own: &str, address: &str) -> Result<TlsStream<TcpStream>, Failed> {
    let authorities = inner.authorities.now();
    let trust = Trust::bundle(&authorities.bundle_pem()).map_err(Failed::Credential)?;
    let subject = Subject::new(replica::user(own), [GROUP]);
    let credential = authorities.signing().issue(&Leaf::Client(subject)).map_err(Failed::Credential)?;
    let tls = client_config(&trust, Some(&credential), &[ALPN]).map_err(Failed::Credential)?;
    let tcp = TcpStream::connect(address).await.map_err(Failed::Dial)?;
    tcp.set_nodelay(true).map_err(Failed::Dial)?;
    let door = ServerName::try_from(DOOR).map_err(|error| Failed::Dial(io::Error::other(error)))?;
    TlsConnector::from(Arc::new(tls)).connect(door, tcp).await.map_err(Failed::Dial)
}
