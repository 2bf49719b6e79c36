//! What can go wrong with a sign-in.

use std::fmt;
use std::sync::Arc;

use lib_jose::Refused;

/// What went wrong. The texts are for the person who signs in or for whoever configured the connector; none of them
/// repeats what a provider or a browser sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the answer belongs to no sign-in that was begun here; please sign in again")]
    State,
    #[error("the sign-in took too long; please sign in again")]
    FlowExpired,
    #[error("the answer is another provider's than the one that was asked; please sign in again")]
    MixUp,
    #[error("the answer of the provider is none: {0}")]
    Callback(&'static str),
    /// The provider answered, and said no.
    #[error("{0}")]
    Provider(ProviderError),
    /// The provider did not answer.
    #[error("could not {doing}")]
    Fetch {
        doing: &'static str,
        #[source]
        source: lib_fetch::Error,
    },
    /// The provider's documents are not to be had. Whoever asks for them while others do is told the same.
    #[error(transparent)]
    Documents(#[from] Arc<Error>),
    #[error(
        "the provider's discovery document is of another issuer than {0}; the connector's issuer has to be written as the provider writes it"
    )]
    OtherIssuer(String),
    #[error("the provider's discovery document says nothing of use in {field}: {why}")]
    Metadata { field: &'static str, why: &'static str },
    #[error("the provider's keys are none: jwks_uri has no key for signatures")]
    NoKeys,
    #[error("the provider's answer to {doing} is of no use: {why}")]
    Answer { doing: &'static str, why: &'static str },
    #[error("the provider's token is not to be believed")]
    Token(#[from] Refused),
    #[error("the provider's token is not to be believed: {0}")]
    Claim(&'static str),
    #[error("the provider says nothing of the person's {claim}; ask for a scope that brings it, or map another claim")]
    MissingClaim { claim: String },
    #[error("the provider's claim {claim} is of no use: {why}")]
    UselessClaim { claim: String, why: &'static str },
    #[error("the system has no randomness to give")]
    Random,
}

/// Why a sign-in failed, as far as whoever shows it has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The provider, or the person there, refused.
    AccessDenied,
    /// The provider did not answer.
    ProviderUnavailable,
    /// The provider, or what it said, is not as it has to be.
    ProviderRefused,
    /// The sign-in is not, or no longer, one of this browser's.
    FlowExpired,
    /// There is no email address.
    MissingEmail,
}

impl Error {
    pub fn reason(&self) -> Reason {
        match self {
            Self::State | Self::FlowExpired | Self::MixUp | Self::Callback(_) => Reason::FlowExpired,
            Self::Provider(ProviderError::AccessDenied) => Reason::AccessDenied,
            Self::Provider(ProviderError::TemporarilyUnavailable | ProviderError::ServerError) | Self::Fetch { .. } => {
                Reason::ProviderUnavailable
            }
            Self::MissingClaim { claim } if claim == "email" => Reason::MissingEmail,
            Self::Documents(error) => error.reason(),
            _ => Reason::ProviderRefused,
        }
    }

    /// Whether the provider no longer stands by a refresh token: the person is gone there, disabled or signed out.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Provider(ProviderError::InvalidGrant))
    }
}

macro_rules! provider_errors {
    ($($name:ident $code:literal $text:literal)*) => {
        /// What a provider says no with (RFC 6749 sections 4.1.2.1 and 5.2, OpenID Connect Core section 3.1.2.6).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ProviderError {
            $(#[doc = concat!("`", $code, "`")] $name,)*
            /// Any other.
            Other,
        }

        impl ProviderError {
            pub(crate) fn of(code: &str) -> Self {
                match code {
                    $($code => Self::$name,)*
                    _ => Self::Other,
                }
            }

            /// As the provider writes it.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other => "another error",
                }
            }
        }

        impl fmt::Display for ProviderError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)*
                    Self::Other => "the provider refused for a reason of its own",
                })
            }
        }
    };
}

provider_errors! {
    AccessDenied "access_denied" "the provider did not let the person in"
    LoginRequired "login_required" "the provider wants the person to sign in there first"
    InteractionRequired "interaction_required" "the provider wants to talk to the person first"
    ConsentRequired "consent_required" "the provider wants the person to agree first"
    AccountSelectionRequired "account_selection_required" "the provider wants the person to choose an account first"
    TemporarilyUnavailable "temporarily_unavailable" "the provider is too busy; please try again later"
    ServerError "server_error" "the provider has a fault of its own; please try again later"
    InvalidScope "invalid_scope" "the provider does not know one of the connector's scopes"
    InvalidRequest "invalid_request" "the provider does not understand the request; compare redirectURI with what is registered there"
    InvalidClient "invalid_client" "the provider does not accept the connector's clientID and clientSecret"
    UnauthorizedClient "unauthorized_client" "the provider does not let this client use the authorization code flow"
    UnsupportedResponseType "unsupported_response_type" "the provider has no authorization code flow"
    UnsupportedGrantType "unsupported_grant_type" "the provider does not give such tokens"
    InvalidGrant "invalid_grant" "the provider does not, or no longer, stand by what it gave: the code or the refresh token was used before, is too old, or is another's"
}
