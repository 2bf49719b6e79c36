//! A stream that was asked for.

use h2::client::ResponseFuture;
use http::StatusCode;
use lib_names::ClusterName;
use tokio::time::{Instant, timeout_at};
use tunnel_protocol::{Refusal, Target};
use tunnel_stream::{Grant, TunnelStream};

use crate::OpenError;

/// A stream that the agent may still refuse. What is written goes ahead: waiting for the agent's word first would cost every
/// request a round trip (RFC 9110 section 9.3.6 leaves that to a client).
pub(crate) struct Opening {
    pub(crate) stream: TunnelStream,
    pub(crate) answer: Answer,
}

/// Whether a stream is granted.
pub(crate) enum Answer {
    /// Somebody has waited for it.
    Granted,
    Awaited(Awaited),
}

pub(crate) struct Awaited {
    pub(crate) cluster: ClusterName,
    pub(crate) target: Target,
    pub(crate) response: ResponseFuture,
    pub(crate) grant: Grant,
    pub(crate) deadline: Instant,
}

impl Opening {
    /// The stream, when the agent has granted it.
    pub(crate) async fn granted(self) -> Result<TunnelStream, OpenError> {
        self.answer.granted().await?;
        Ok(self.stream)
    }
}

impl Answer {
    /// Completes when the agent has granted the stream. Dropped, or with an error, the stream is of no use.
    pub(crate) async fn granted(self) -> Result<(), OpenError> {
        let Self::Awaited(Awaited { cluster, target, response, grant, deadline }) = self else {
            return Ok(());
        };
        match timeout_at(deadline, response).await {
            Err(_) => Err(OpenError::Deadline { cluster }),
            Ok(Err(source)) => Err(OpenError::Broken { cluster, source }),
            Ok(Ok(response)) if response.status() == StatusCode::OK => {
                grant.give(response.into_body());
                Ok(())
            }
            Ok(Ok(response)) => {
                let refusal = Refusal::from_status(response.status().as_u16());
                Err(OpenError::Refused { cluster, target, refusal })
            }
        }
    }
}
