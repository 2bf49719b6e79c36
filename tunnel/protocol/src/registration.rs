//! How an agent gets its first certificate, and the next ones.

use std::time::Duration;

use lib_names::ClusterName;
use serde::{Deserialize, Serialize};

/// Where an agent turns its registration token into a certificate: `POST`, with the token as bearer. The answer 202 says
/// that an administrator has to decide: the agent asks again with the same request.
pub const REGISTER_PATH: &str = "/agent/v1/register";

/// Where an agent gets its next certificate: `POST`, over TLS with the certificate that it has, or with none when that has
/// run out. The request is for the same key: the key is what the hub knows the agent by.
pub const RENEW_PATH: &str = "/agent/v1/renew";

/// How long a certificate of an agent holds. Short, as nobody can take one back; long enough to sit out a long holiday, and
/// for whoever sits out more the key is still known.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The largest request and answer.
pub const MAX_BODY: usize = 64 * 1024;

/// What an agent sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateRequest {
    /// The cluster that it speaks for.
    pub cluster: ClusterName,
    /// The signing request, in PEM.
    pub request: String,
}

/// What it gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCertificate {
    /// The chain in PEM, leaf first.
    pub certificate: String,
    /// The hub's authorities, as in [`Authorities`](crate::Authorities); not from every hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<String>,
}
