//! From an address to a connection with the right hub on the other end.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rustls_pki_types::ServerName;
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig};
use tunnel_protocol::{ALPN, PlatformUrl};

use crate::backoff::Failure;
use crate::network::{Network, Socket};
use crate::proxy::{Link, ProxyError};
use crate::race::{by_turns, race};

/// How long a name may take to be found again. Where the way to the hub is cut, so is the way to names, more often than
/// not; what the name meant before is tried then.
const RESOLVE_AGAIN: Duration = Duration::from_secs(1);

/// How long an address of the hub is tried before the next one is tried beside it. That the first one leads nowhere costs no
/// more.
const AHEAD: Duration = Duration::from_secs(1);

/// The addresses that the hub's name, and its proxy's, had when they were last found.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<BTreeMap<String, Vec<SocketAddr>>>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<SocketAddr>>> {
        // Every change is one insertion: a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the hub's door is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubAddress {
    /// A DNS name or an address; the hub's certificate has to name it.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for HubAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for HubAddress {
    type Err = DialError;

    fn from_str(text: &str) -> Result<Self, DialError> {
        let bad = || DialError::Address(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(bad)?,
            None if host.contains(':') => return Err(bad()),
            None => host,
        };
        ServerName::try_from(host).map_err(|_| bad())?;
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| bad())? })
    }
}

impl From<&PlatformUrl> for HubAddress {
    fn from(url: &PlatformUrl) -> Self {
        Self { host: url.host().to_owned(), port: url.port() }
    }
}

impl HubAddress {
    /// Connects to the first of its addresses that answers, or through the network's proxy. Finding addresses takes no longer
    /// than `limit`, and each is asked again every second for a while; nor does it take longer through a proxy.
    pub async fn connect(&self, network: &Network, limit: Duration) -> Result<Link, DialError> {
        self.connect_with(&Known::default(), network, limit).await
    }

    /// The same for whoever has been there before.
    pub(crate) async fn connect_with(
        &self,
        known: &Known,
        network: &Network,
        limit: Duration,
    ) -> Result<Link, DialError> {
        match network.proxy_to(self) {
            None => {
                let reached = reach(&self.host, self.port, known, network, limit).await;
                reached.map(Link::Left).map_err(|source| DialError::Connect { hub: self.clone(), source })
            }
            Some(proxy) => {
                let passed = proxy.through(self, known, network, limit).await;
                passed.map_err(|source| DialError::Proxy { hub: self.clone(), proxy: proxy.to_string(), source })
            }
        }
    }
}

/// A connection to the first address of a host that answers.
pub(crate) async fn reach(
    host: &str,
    port: u16,
    known: &Known,
    network: &Network,
    limit: Duration,
) -> io::Result<Socket> {
    let addresses = lookup(host, port, known, limit).await?;
    let socket = race(&addresses, |address| network.connect(address)).await?;
    socket.set_nodelay()?;
    Ok(socket)
}

/// The addresses of a host, in the order in which to try them.
pub(crate) async fn lookup(host: &str, port: u16, known: &Known, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    let before = known.lock().get(host).cloned();
    let limit = if before.is_none() { limit } else { limit.min(RESOLVE_AGAIN) };
    let found = match (timeout(limit, lookup_host((host, port))).await, before) {
        (Ok(Ok(found)), _) => by_turns(found),
        (_, Some(before)) => return Ok(before),
        (Ok(Err(error)), None) => return Err(error),
        (Err(late), None) => return Err(late.into()),
    };
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no addresses"));
    }
    known.lock().insert(host.to_owned(), found.clone());
    Ok(found)
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The address cannot be understood.
    #[error("{0:?} is not host:port")]
    Address(String),
    /// Nobody answers there.
    #[error("could not connect to {hub}")]
    Connect {
        /// The address.
        hub: HubAddress,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The proxy on the way there does not let us through.
    #[error("could not get to {hub} through the proxy {proxy}")]
    Proxy {
        /// The address.
        hub: HubAddress,
        /// The proxy's URL, without what is secret.
        proxy: String,
        /// Why.
        #[source]
        source: ProxyError,
    },
    /// It took too long.
    #[error("{hub} did not answer in time")]
    Deadline {
        /// The address.
        hub: HubAddress,
    },
    /// It is not our hub, or it does not want us.
    #[error("could not agree on TLS with {hub}")]
    Tls {
        /// The address.
        hub: HubAddress,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not our hub, as far as we know its authority.
    #[error(
        "{hub} shows a certificate of an authority that this agent does not trust: it is not the hub, or the hub's \
         authority was replaced while the agent was away; the authority comes anew with: ac register cluster NAME --again"
    )]
    Stranger {
        /// The address.
        hub: HubAddress,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is a server, and no hub of this protocol.
    #[error("{hub} does not speak the tunnel's protocol")]
    Protocol {
        /// The address.
        hub: HubAddress,
    },
}

impl DialError {
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Address(_) | Self::Protocol { .. } | Self::Stranger { .. } => Failure::Denied,
            Self::Deadline { .. } => Failure::Unreachable,
            Self::Connect { source, .. } | Self::Tls { source, .. } => Failure::of(source),
            Self::Proxy { source, .. } => source.failure(),
        }
    }
}

pub(crate) async fn dial(
    hub: &HubAddress,
    known: &Known,
    network: &Network,
    tls: Arc<ClientConfig>,
    limit: Duration,
) -> Result<TlsStream<Link>, DialError> {
    let late = || DialError::Deadline { hub: hub.clone() };
    let name = ServerName::try_from(hub.host.clone()).map_err(|_| DialError::Address(hub.to_string()))?;
    let link = hub.connect_with(known, network, limit).await?;
    let shaken = timeout(limit, TlsConnector::from(tls).connect(name, link)).await.map_err(|_| late())?;
    let stream = shaken.map_err(|source| match is_stranger(&source) {
        true => DialError::Stranger { hub: hub.clone(), source },
        false => DialError::Tls { hub: hub.clone(), source },
    })?;
    match stream.get_ref().1.alpn_protocol() {
        Some(ALPN) => Ok(stream),
        _ => Err(DialError::Protocol { hub: hub.clone() }),
    }
}

/// The same at the first of several addresses where the hub is. Each has its turn a moment after the one before it.
///
/// # Errors
/// The one after which it is worth to come back soonest.
pub(crate) async fn dial_one_of(
    hubs: &[HubAddress],
    known: &Known,
    network: &Network,
    tls: &Arc<ClientConfig>,
    limit: Duration,
) -> Result<(HubAddress, TlsStream<Link>), DialError> {
    let mut left = hubs.iter();
    let mut dials = FuturesUnordered::new();
    let mut failed: Option<DialError> = None;
    loop {
        if let Some(hub) = left.next() {
            let dialled = dial(hub, known, network, tls.clone(), limit);
            dials.push(async move { (hub, dialled.await) });
        }
        let is_last = left.len() == 0;
        tokio::select! {
            biased;
            dialled = dials.next() => match dialled {
                Some((hub, Ok(stream))) => return Ok((hub.clone(), stream)),
                Some((_, Err(error))) => {
                    tracing::debug!(error = %lib_telemetry::chain(&error), "an address of the hub led nowhere");
                    if failed.as_ref().is_none_or(|failed| error.failure() < failed.failure()) {
                        failed = Some(error);
                    }
                }
                None => return Err(failed.unwrap_or_else(|| DialError::Address(String::new()))),
            },
            () = sleep(AHEAD), if !is_last => {}
        }
    }
}

/// Whether a handshake failed as nobody whom we trust vouches for the other end.
pub fn is_stranger(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    // An authority that is called as ours is has signed it with another key.
    let untrusted = [CertificateError::UnknownIssuer, CertificateError::BadSignature];
    matches!(cause, Some(rustls::Error::InvalidCertificate(why)) if untrusted.contains(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(&str, u16)>) {
        let read = text.parse::<HubAddress>().ok();
        assert_eq!(read.as_ref().map(|hub| (hub.host.as_str(), hub.port)), expect);
        if let Some(hub) = read {
            assert_eq!(hub.to_string(), text);
        }
    }

    #[test]
    fn addresses() {
        check("hub.example.org:8443", Some(("hub.example.org", 8443)));
        check("10.0.0.1:443", Some(("10.0.0.1", 443)));
        check("[::1]:443", Some(("::1", 443)));
    }

    #[test]
    fn failures_have_their_pace() {
        let hub = || "hub:1".parse().unwrap();
        let connect = |kind: io::ErrorKind| DialError::Connect { hub: hub(), source: kind.into() }.failure();
        assert_eq!(connect(io::ErrorKind::ConnectionRefused), Failure::Refused);
        for kind in [io::ErrorKind::TimedOut, io::ErrorKind::NetworkUnreachable, io::ErrorKind::NotFound] {
            assert_eq!(connect(kind), Failure::Unreachable, "{kind}");
        }
        assert_eq!(DialError::Deadline { hub: hub() }.failure(), Failure::Unreachable);
        let tls = |kind: io::ErrorKind| DialError::Tls { hub: hub(), source: kind.into() }.failure();
        assert_eq!(tls(io::ErrorKind::InvalidData), Failure::Denied);
        assert_eq!(tls(io::ErrorKind::UnexpectedEof), Failure::Refused);
        assert_eq!(DialError::Protocol { hub: hub() }.failure(), Failure::Denied);
    }

    #[tokio::test]
    async fn a_name_that_is_not_found_again_means_what_it_meant() {
        let (known, limit) = (Known::default(), Duration::from_secs(5));
        assert!(lookup("nowhere.invalid", 1, &known, limit).await.is_err());
        let before = vec!["192.0.2.1:1".parse().unwrap()];
        known.lock().insert("nowhere.invalid".into(), before.clone());
        assert_eq!(lookup("nowhere.invalid", 1, &known, limit).await.unwrap(), before);
        // One that is found means what it means now, and says nothing of others.
        known.lock().insert("127.0.0.1".into(), before.clone());
        assert_eq!(lookup("127.0.0.1", 7, &known, limit).await.unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        assert_eq!(lookup("nowhere.invalid", 1, &known, limit).await.unwrap(), before);
    }

    #[test]
    fn others() {
        for text in ["hub", "hub:", "hub:http", "hub:65536", "::1:443", "[::1:443", "a b:1", ":1", "https://hub:1"] {
            check(text, None);
        }
    }
}
