//! Why an agent does not open a stream.

/// Why an agent does not open a stream, as the status of its answer to `CONNECT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The agent leads nowhere but to its targets.
    #[error("the agent does not lead there")]
    Forbidden,
    /// Only `CONNECT` opens a stream.
    #[error("the agent does not understand the request")]
    NotUnderstood,
    /// The agent is shutting down.
    #[error("the agent is shutting down")]
    Draining,
    /// Any other status.
    #[error("the agent answered {0}")]
    Other(u16),
}

impl Refusal {
    /// The status on the wire.
    pub fn status(self) -> u16 {
        match self {
            Self::Forbidden => 403,
            Self::NotUnderstood => 400,
            Self::Draining => 503,
            Self::Other(status) => status,
        }
    }

    /// The reason behind a status that is not 200.
    pub fn from_status(status: u16) -> Self {
        match status {
            403 => Self::Forbidden,
            400 => Self::NotUnderstood,
            503 => Self::Draining,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_status_has_a_reason(status: u16) {
            prop_assert_eq!(Refusal::from_status(status).status(), status);
        }
    }
}
