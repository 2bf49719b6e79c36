//! Who is on the other end of a connection.

use lib_names::ClusterName;
use lib_tls::{PeerIdentity, SpkiPin};
use tokio_rustls::server::TlsStream;
use tunnel_protocol::{ALPN, cluster_of_agent, replica};

use crate::Refused;

/// An agent, as its certificate names it in a finished handshake. There is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    cluster: ClusterName,
    key: SpkiPin,
}

/// Another replica of the hub, as its certificate names it in a finished handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaPeer {
    name: String,
}

impl ReplicaPeer {
    /// Reads the peer of a finished handshake, whose verifier trusts the hub's authority only.
    pub fn of<IO>(stream: &TlsStream<IO>) -> Result<Self, Refused> {
        let identity = identity(stream, replica::ALPN)?;
        let name = replica::replica_of(&identity.common_name, &identity.organizations)?;
        Ok(Self { name })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What the certificate of a peer says who speaks this protocol.
fn identity<IO>(stream: &TlsStream<IO>, protocol: &[u8]) -> Result<PeerIdentity, Refused> {
    let connection = stream.get_ref().1;
    if connection.alpn_protocol() != Some(protocol) {
        return Err(Refused::Protocol);
    }
    let certificate = connection.peer_certificates().and_then(|chain| chain.first()).ok_or(Refused::NoCertificate)?;
    PeerIdentity::of(certificate).map_err(Refused::Certificate)
}

impl Peer {
    /// Reads the peer of a finished handshake, whose verifier trusts the agents' authority only.
    pub fn of<IO>(stream: &TlsStream<IO>) -> Result<Self, Refused> {
        let identity = identity(stream, ALPN)?;
        let cluster = cluster_of_agent(&identity.common_name, &identity.organizations)?;
        Ok(Self { cluster, key: identity.spki })
    }

    /// The cluster that it speaks for.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// Its key. Compare it with the key on record before you let it serve.
    pub fn key(&self) -> SpkiPin {
        self.key
    }
}
