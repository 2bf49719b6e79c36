//! Client certificates: the common name is the user, each organization a group.

use lib_tls::PeerIdentity;

use crate::User;

/// The user of a certificate that the TLS handshake has verified; one without a name is nobody's.
pub fn certificate_user(peer: Option<&PeerIdentity>) -> Option<User> {
    let peer = peer?;
    (!peer.common_name.is_empty()).then(|| User::new(&*peer.common_name, peer.organizations.iter().cloned()))
}
