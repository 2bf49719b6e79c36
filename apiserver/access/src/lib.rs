//! Who is asking and what they may do.
//!
//! Authentication turns a request's credentials into a [`User`]; authorisation
//! answers whether that user may do what the request's [`Attributes`] say.
//! Both fail closed: no credential that is present and wrong is ever ignored.

mod accounts;
mod attributes;
mod bootstrap;
mod bootstrap_tokens;
mod certificate;
mod escalation;
mod rbac;
#[cfg(test)]
mod testing;
mod user;

pub use accounts::{AccountSource, IssuedToken, KeyError, ServiceAccounts, bearer};
pub use attributes::{Attributes, Decision, ResourceAttributes};
pub use bootstrap::{Reconciled, bootstrap_policy, reconciled};
pub use bootstrap_tokens::{BootstrapTokens, SecretSource};
pub use certificate::certificate_user;
pub use rbac::{PolicyChange, PolicySource, PolicyVersion, Rbac, RulesReview};
pub use user::{ANONYMOUS, AUTHENTICATED, MASTERS, UNAUTHENTICATED, User};

use async_trait::async_trait;
use http::HeaderMap;
use lib_tls::PeerIdentity;

/// Turns credentials into a user.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// `None` when the request carries no credential of the kind this authenticator reads.
    ///
    /// # Errors
    ///
    /// A credential that is present and wrong.
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<&PeerIdentity>,
    ) -> Result<Option<User>, Unauthenticated>;

    /// Whether a request without any credential may go on, to this path, as `system:anonymous`.
    fn lets_strangers_in(&self, _path: &str) -> bool {
        true
    }
}

/// A credential was refused. Why is for the log, never for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential was refused: {0}")]
pub struct Unauthenticated(pub &'static str);

/// Says whether a request may go on.
pub trait Authorizer: Send + Sync + 'static {
    fn authorize(&self, attributes: &Attributes) -> Decision;

    /// What a user may do in a namespace.
    fn rules(&self, user: &User, namespace: &str) -> RulesReview;
}
