//! From an address to a connection with the right hub on the other end.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tunnel_protocol::ALPN;

use crate::network::{Network, Socket};

/// How long one address may take to answer. Where packets are lost, TCP asks again after 1, 3 and 7 seconds; a new dial
/// soon finds a link that is back sooner than an old one that waits.
const CONNECT: Duration = Duration::from_secs(3);

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

impl HubAddress {
    /// Connects to the first of its addresses that answers. Finding them takes no longer than `limit`.
    pub async fn connect(&self, network: &Network, limit: Duration) -> io::Result<Socket> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no addresses");
        for address in timeout(limit, lookup_host((self.host.as_str(), self.port))).await?? {
            last = match timeout(CONNECT, network.connect(address)).await {
                Ok(Ok(socket)) => return socket.set_nodelay().map(|()| socket),
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
        }
        Err(last)
    }
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
    /// It is a server, and no hub of this protocol.
    #[error("{hub} does not speak the tunnel's protocol")]
    Protocol {
        /// The address.
        hub: HubAddress,
    },
}

impl DialError {
    /// Whether the two have met, and did not get along.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Address(_) | Self::Protocol { .. } => true,
            // A connection that breaks during the handshake is a broken link; an alert or a bad certificate is not.
            Self::Tls { source, .. } => source.kind() == io::ErrorKind::InvalidData,
            Self::Connect { .. } | Self::Deadline { .. } => false,
        }
    }
}

pub(crate) async fn dial(
    hub: &HubAddress,
    network: &Network,
    tls: Arc<ClientConfig>,
    limit: Duration,
) -> Result<TlsStream<Socket>, DialError> {
    let late = || DialError::Deadline { hub: hub.clone() };
    let name = ServerName::try_from(hub.host.clone()).map_err(|_| DialError::Address(hub.to_string()))?;
    let unreached = |source| DialError::Connect { hub: hub.clone(), source };
    let tcp = hub.connect(network, limit).await.map_err(unreached)?;
    let stream = timeout(limit, TlsConnector::from(tls).connect(name, tcp))
        .await
        .map_err(|_| late())?
        .map_err(|source| DialError::Tls { hub: hub.clone(), source })?;
    match stream.get_ref().1.alpn_protocol() {
        Some(ALPN) => Ok(stream),
        _ => Err(DialError::Protocol { hub: hub.clone() }),
    }
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
    fn others() {
        for text in ["hub", "hub:", "hub:http", "hub:65536", "::1:443", "[::1:443", "a b:1", ":1", "https://hub:1"] {
            check(text, None);
        }
    }
}
