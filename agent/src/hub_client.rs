//! The two requests that an agent makes to its hub: for the first certificate, and for the next.

use std::sync::Arc;
use std::time::Duration;

use api_meta::Status;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lib_tls::{Credential, Trust, client_config};
use rustls_pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tunnel_agent::{DialError, HubAddress, Link, Network, is_stranger};
use tunnel_protocol::registration::{CertificateRequest, IssuedCertificate, MAX_BODY};

use crate::Token;
use lib_kubernetes::BoxError;

/// For an answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// For a connection, and for agreeing on TLS.
const DIAL: Duration = Duration::from_secs(10);

/// Why the hub gave no certificate. Nothing here holds the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The TLS configuration cannot be made.
    #[error("could not configure TLS")]
    Config(#[source] lib_tls::Error),
    /// The address or token cannot be used.
    #[error("the {0} cannot be used in a request")]
    Malformed(&'static str),
    /// The hub did not answer in time.
    #[error("{0} did not answer in time")]
    Deadline(HubAddress),
    /// The hub cannot be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It is not the hub that we trust.
    #[error("could not agree on TLS with {hub}")]
    Tls {
        /// The address.
        hub: HubAddress,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Whoever is there is not the hub that we trust.
    #[error(
        "{hub} shows a certificate of an authority that this agent does not trust: it is not the hub, or the hub's \
         authority was replaced while the agent was away; the authority comes anew with: ac register cluster NAME --again"
    )]
    Stranger {
        /// The address.
        hub: HubAddress,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The exchange broke.
    #[error("could not exchange HTTP with {hub}")]
    Exchange {
        /// The address.
        hub: HubAddress,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The hub said no.
    #[error("the hub refused ({code}): {message}")]
    Refused {
        /// The status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// The hub has not decided.
    #[error("the hub says neither yes nor no: {0}")]
    Waiting(String),
    /// The hub said yes, and something else.
    #[error("could not decode the hub's answer")]
    Decode(#[source] serde_json::Error),
}

impl HubError {
    /// Why the hub will never let this agent in again, if it has said so.
    pub(crate) fn farewell(&self) -> Option<&str> {
        match self {
            Self::Refused { code: 410, message } => Some(message),
            _ => None,
        }
    }

    /// Whether asking again may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Deadline(_)
            | Self::Dial(_)
            | Self::Tls { .. }
            | Self::Stranger { .. }
            | Self::Exchange { .. }
            | Self::Waiting(_) => true,
            Self::Refused { code, .. } => *code == 429 || *code >= 500,
            Self::Config(_) | Self::Malformed(_) | Self::Decode(_) => false,
        }
    }
}

/// How the agent shows who it is.
pub(crate) enum Proof<'a> {
    Token(&'a Token),
    Certificate(&'a Credential),
    /// By the signature of its request alone.
    Key,
}

/// Where the hub is, and whom to take for it.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    /// The first at which it is counts.
    pub(crate) addresses: Vec<HubAddress>,
    pub(crate) network: Network,
    pub(crate) trust: Trust,
}

impl Hub {
    pub(crate) async fn ask(
        &self,
        path: &'static str,
        proof: &Proof<'_>,
        asked: &CertificateRequest,
    ) -> Result<IssuedCertificate, HubError> {
        let (address, stream) = self.connect(proof).await?;
        let request = request(address, path, proof, asked)?;
        timeout(DEADLINE, exchange(address, stream, request)).await.map_err(|_| HubError::Deadline(address.clone()))?
    }

    /// Whether the hub is there, and trusted.
    pub(crate) async fn reach(&self) -> Result<(), HubError> {
        self.connect(&Proof::Key).await.map(drop)
    }

    /// A connection to the first address at which the hub is. Nothing is said to anybody before that.
    async fn connect(&self, proof: &Proof<'_>) -> Result<(&HubAddress, TlsStream<Link>), HubError> {
        let mut failed = HubError::Malformed("address");
        for address in &self.addresses {
            match self.connect_to(address, proof).await {
                Ok(stream) => return Ok((address, stream)),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn connect_to(&self, address: &HubAddress, proof: &Proof<'_>) -> Result<TlsStream<Link>, HubError> {
        let credential = match proof {
            Proof::Token(_) | Proof::Key => None,
            Proof::Certificate(credential) => Some(*credential),
        };
        let config = client_config(&self.trust, credential, &[b"http/1.1"]).map_err(HubError::Config)?;
        let name = ServerName::try_from(address.host.clone()).map_err(|_| HubError::Malformed("address"))?;
        let link = address.connect(&self.network, DIAL).await?;
        let connected = timeout(DIAL, TlsConnector::from(Arc::new(config)).connect(name, link)).await;
        connected.map_err(|_| HubError::Deadline(address.clone()))?.map_err(|source| match is_stranger(&source) {
            true => HubError::Stranger { hub: address.clone(), source },
            false => HubError::Tls { hub: address.clone(), source },
        })
    }
}

fn request(
    address: &HubAddress,
    path: &'static str,
    proof: &Proof<'_>,
    asked: &CertificateRequest,
) -> Result<Request<Full<bytes::Bytes>>, HubError> {
    let body = serde_json::to_vec(asked).map_err(HubError::Decode)?;
    let mut request = Request::post(path)
        .header(header::HOST, address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(Full::from(body))
        .map_err(|_| HubError::Malformed("address"))?;
    if let Proof::Token(token) = proof {
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", token.secret())).map_err(|_| HubError::Malformed("token"))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    Ok(request)
}

async fn exchange(
    address: &HubAddress,
    stream: TlsStream<Link>,
    request: Request<Full<bytes::Bytes>>,
) -> Result<IssuedCertificate, HubError> {
    let broken = |source: BoxError| HubError::Exchange { hub: address.clone(), source };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(broken)?;
        decode(status, &body.to_bytes())
    };
    tokio::pin!(answer);
    // Driven here and not by a task: it ends with us. When the connection is done first, the answer is there.
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

fn decode(status: StatusCode, body: &[u8]) -> Result<IssuedCertificate, HubError> {
    if status == StatusCode::OK {
        return serde_json::from_slice(body).map_err(HubError::Decode);
    }
    let message = match serde_json::from_slice::<Status>(body) {
        Ok(status) => status.message,
        Err(_) => status.canonical_reason().unwrap_or("no reason given").to_owned(),
    };
    match status {
        StatusCode::ACCEPTED => Err(HubError::Waiting(message)),
        _ => Err(HubError::Refused { code: status.as_u16(), message }),
    }
}
