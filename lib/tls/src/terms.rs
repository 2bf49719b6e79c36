//! What a certificate that is signed for somebody else's request says.

use std::net::IpAddr;
use std::time::Duration;

use crate::Subject;

/// One thing that a key may be used for. What an authority does is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    DigitalSignature,
    ContentCommitment,
    KeyEncipherment,
    DataEncipherment,
    KeyAgreement,
    ServerAuth,
    ClientAuth,
    CodeSigning,
    EmailProtection,
    Timestamping,
    OcspSigning,
}

impl Use {
    /// Its bit in the key usage extension, counted from the first.
    pub(crate) fn key_usage(self) -> Option<u8> {
        Some(match self {
            Self::DigitalSignature => 0,
            Self::ContentCommitment => 1,
            Self::KeyEncipherment => 2,
            Self::DataEncipherment => 3,
            Self::KeyAgreement => 4,
            _ => return None,
        })
    }

    /// The last number of its identifier in the extended key usage extension.
    pub(crate) fn extended(self) -> Option<u64> {
        Some(match self {
            Self::ServerAuth => 1,
            Self::ClientAuth => 2,
            Self::CodeSigning => 3,
            Self::EmailProtection => 4,
            Self::Timestamping => 8,
            Self::OcspSigning => 9,
            _ => return None,
        })
    }
}

/// Everything that a signer states. Nothing but the key comes from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whose certificate it is.
    pub subject: Subject,
    /// Names and addresses of a server.
    pub dns_names: Vec<String>,
    /// As [`Terms::dns_names`].
    pub addresses: Vec<IpAddr>,
    /// What the key may be used for.
    pub uses: Vec<Use>,
    /// How long it holds; never longer than the authority itself.
    pub lifetime: Duration,
}
