//! What can go wrong between a controller and its cluster.

/// An error of one reconciliation or of starting a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or could not be reached.
    #[error("could not {doing}")]
    Api {
        /// The step, as in "could not create pods".
        doing: String,
        /// What the client said.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object could not be turned into JSON or back.
    #[error("could not encode or decode {what}")]
    Encoding {
        /// The object or the part of it.
        what: &'static str,
        /// What the codec said.
        #[source]
        source: serde_json::Error,
    },
    /// An object says something that only an edit can repair.
    #[error("{what} is invalid: {why}")]
    Invalid {
        /// The field or object.
        what: &'static str,
        /// The reason, for people.
        why: String,
    },
    /// Something of the same name has to go first.
    #[error("{what} {name} is being deleted")]
    Leaving {
        /// Its kind, as people call it.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The certificate signer refused a request.
    #[error("could not sign the certificate request: {0}")]
    Signing(String),
}

impl Error {
    pub(crate) fn api(doing: impl Into<String>, source: kube::Error) -> Self {
        Self::Api { doing: doing.into(), source: Box::new(source) }
    }

    /// The HTTP status of the API server's answer, if there was one.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// The answer's reason when the namespace of a new object is going away: waiting cannot repair that.
    pub(crate) fn is_namespace_terminating(&self) -> bool {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => status
                    .details
                    .as_ref()
                    .is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")),
                _ => false,
            },
            _ => false,
        }
    }

    /// The message an API server gave, for events; the whole chain otherwise.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => status.message.clone(),
                _ => chain(self),
            },
            _ => chain(self),
        }
    }
}

/// An error and its causes on one line, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // kube's errors repeat their source in their text; saying it twice helps nobody.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
