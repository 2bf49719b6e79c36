//! Who asks, by what their issuer says.

use std::sync::{Arc, PoisonError, RwLock};

use apiserver_access::{Authenticator, Unauthenticated, User, bearer};
use async_trait::async_trait;
use http::HeaderMap;
use jiff::Timestamp;
use lib_jose::Unverified;
use lib_tls::PeerIdentity;

use crate::configuration::{Anonymous, Configuration};
use crate::issuer::LiveIssuer;

struct Current {
    issuers: Vec<Arc<LiveIssuer>>,
    anonymous: Anonymous,
}

/// Authenticates bearer tokens by the configuration of now.
pub struct Authentication(RwLock<Arc<Current>>);

impl Authentication {
    pub fn new(configuration: Configuration) -> Self {
        Self(RwLock::new(Arc::new(live(configuration))))
    }

    /// From the next request on another configuration holds. Keys are fetched anew.
    pub fn replace(&self, configuration: Configuration) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live(configuration));
    }

    fn current(&self) -> Arc<Current> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn live(configuration: Configuration) -> Current {
    let issuers = configuration.issuers.into_iter().map(|issuer| Arc::new(LiveIssuer::new(issuer)));
    Current { issuers: issuers.collect(), anonymous: configuration.anonymous }
}

#[async_trait]
impl Authenticator for Authentication {
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        _peer: Option<&PeerIdentity>,
    ) -> Result<Option<User>, Unauthenticated> {
        let Some(token) = bearer(headers)?.and_then(|text| Unverified::parse(text).ok()) else { return Ok(None) };
        let current = self.current();
        let issuer = current.issuers.iter().find(|live| token.claimed_issuer() == Some(&*live.issuer.url));
        let Some(issuer) = issuer else { return Ok(None) };
        issuer.verify(&token, Timestamp::now()).await.map(Some)
    }

    fn lets_strangers_in(&self, path: &str) -> bool {
        match &self.current().anonymous {
            Anonymous::Everywhere => true,
            Anonymous::Nowhere => false,
            Anonymous::Paths(paths) => paths.iter().any(|allowed| allowed == path),
        }
    }
}
