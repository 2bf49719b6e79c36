//! A small certificate authority and TLS configurations with one crypto provider.
//!
//! Three habits keep this safe. The provider is always passed explicitly, so a dependency that installs another default
//! changes nothing. A client trusts exactly what it was given, one bundle or one pinned key, and never the machine's
//! roots. A name gets into a certificate only because the caller stated it: a signing request proves possession of a
//! key, and everything it says beside that must equal what the caller expects.

mod authorities;
mod authority;
mod certificate;
mod config;
mod credential;
mod error;
mod files;
mod kubeconfig;
mod peer;
mod pin;
mod renewing;
mod request;
mod terms;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use authorities::{Authorities, Other, Step, StepError};
pub use authority::{Authority, Leaf, Subject};
pub use certificate::{Validity, first_certificate};
pub use config::{Bundle, ClientVerification, Trust, client_config, server_config};
pub use credential::Credential;
pub use error::Error;
pub use files::{create_private_dir, write_private};
pub use kubeconfig::Kubeconfig;
pub use peer::PeerIdentity;
pub use pin::SpkiPin;
pub use renewing::{renewing_server_config, rotating_server_config};
pub use request::SigningRequest;
pub use terms::{Terms, Use};

/// The one crypto provider of the whole tree.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
