//! Who is on the other end of a connection.

use lib_names::ClusterName;
use lib_tls::{PeerIdentity, SpkiPin};
use tokio_rustls::server::TlsStream;
use tunnel_protocol::{ALPN, cluster_of_agent};

use crate::Refused;

/// An agent, as its certificate names it in a finished handshake. There is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    cluster: ClusterName,
    key: SpkiPin,
}

impl Peer {
    /// Reads the peer of a finished handshake, whose verifier trusts the agents' authority only.
    pub fn of<IO>(stream: &TlsStream<IO>) -> Result<Self, Refused> {
        let connection = stream.get_ref().1;
        if connection.alpn_protocol() != Some(ALPN) {
            return Err(Refused::Protocol);
        }
        let certificate =
            connection.peer_certificates().and_then(|chain| chain.first()).ok_or(Refused::NoCertificate)?;
        let identity = PeerIdentity::of(certificate).map_err(Refused::Certificate)?;
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
