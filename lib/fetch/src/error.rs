//! Why there is no answer.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no answer, or none that is of use. The first field is the address that was asked, without its query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{0} is not the address of a TLS server; it has to begin with https:// and name a host")]
    Address(String),
    #[error("{0} could not be found")]
    Resolve(String, #[source] io::Error),
    #[error("{0} is at {1}, which may not be asked")]
    Forbidden(String, IpAddr),
    #[error("{0} could not be reached")]
    Connect(String, #[source] io::Error),
    /// Another authority signed its certificate, or it has expired, or is for another name.
    #[error("{0} did not prove who it is")]
    Handshake(String, #[source] io::Error),
    #[error("{0} did not answer as an HTTP server")]
    Http(String, #[source] BoxError),
    #[error("{0} answered {1}")]
    Answer(String, StatusCode),
    #[error("{0} sent more than {1} bytes")]
    Large(String, usize),
    #[error("{0} sent no JSON")]
    Json(String, #[source] serde_json::Error),
    #[error("{0} did not answer within {1:?}")]
    Late(String, Duration),
}
