//! One issuer and the keys that are known of it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use api_meta::Value;
use apiserver_access::{Unauthenticated, User};
use lib_telemetry::chain;
use url::Url;

use crate::claims;
use crate::configuration::Issuer;
use crate::fetch::{self, Error};
use crate::keys::{KeySet, Signed};
use crate::token::Token;

/// How often keys are fetched at most, whatever tokens ask for.
const PAUSE: Duration = Duration::from_secs(10);
/// How old keys may get: one that the issuer has withdrawn must not be good for ever.
const OLDEST: Duration = Duration::from_secs(3600);

/// Keys, and when they were fetched.
type Known = Option<(Instant, Arc<KeySet>)>;

pub(crate) struct LiveIssuer {
    pub(crate) issuer: Issuer,
    known: RwLock<Known>,
    /// When keys were asked for last. Whoever holds it asks; the others wait for what it brings.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl LiveIssuer {
    pub(crate) fn new(issuer: Issuer) -> Self {
        Self { issuer, known: RwLock::default(), asked: tokio::sync::Mutex::default() }
    }

    pub(crate) async fn verify(&self, token: &Token<'_>, now: i64) -> Result<User, Unauthenticated> {
        // All that costs nothing first: nobody makes us fetch keys for a token that is refused anyway.
        let algorithm = token.algorithm(&self.issuer.algorithms)?;
        claims::check(&self.issuer, &token.claims, now)?;
        self.check_signature(token, algorithm).await?;
        claims::user(&self.issuer, &token.claims)
    }

    async fn check_signature(&self, token: &Token<'_>, algorithm: &str) -> Result<(), Unauthenticated> {
        let signed = |keys: &KeySet| keys.check(algorithm, token.key_id(), token.signed.as_bytes(), &token.signature);
        let known = self.known();
        let fresh = known.as_ref().is_some_and(|(at, _)| at.elapsed() < OLDEST);
        let verdict = known.as_ref().map_or(Signed::UnknownKey, |(_, keys)| signed(keys));
        let verdict = match verdict {
            Signed::Yes if fresh => return Ok(()),
            // Perhaps there are new keys, also under a name that is known. Keys that are old but stay are better than none while the issuer is away.
            verdict => self.refreshed(known).await.map_or(verdict, |keys| signed(&keys)),
        };
        match verdict {
            Signed::Yes => Ok(()),
            Signed::No => Err(Unauthenticated("the token's signature is wrong")),
            Signed::UnknownKey => Err(Unauthenticated("the token's key is not one of its issuer's")),
        }
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Newer keys than these, if there are any to be had now.
    async fn refreshed(&self, seen: Known) -> Option<Arc<KeySet>> {
        let mut asked = self.asked.lock().await;
        let known = self.known();
        if known.as_ref().map(|(at, _)| *at) != seen.map(|(at, _)| at) {
            return known.map(|(_, keys)| keys);
        }
        if asked.is_some_and(|at| at.elapsed() < PAUSE) {
            return None;
        }
        *asked = Some(Instant::now());
        match self.fetch().await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), keys.clone()));
                Some(keys)
            }
            Err(error) => {
                tracing::warn!(issuer = %self.issuer.url, error = %chain(&error), "an issuer's keys could not be fetched");
                None
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, Error> {
        let Issuer { url, discovery, trust, .. } = &self.issuer;
        let document = fetch::json(discovery, trust).await?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issuer") != Some(url) {
            return Err(Error::OtherIssuer(discovery.to_string()));
        }
        let missing = |what| Error::Missing(discovery.to_string(), what);
        let keys_at = text("jwks_uri").and_then(|uri| Url::parse(uri).ok()).ok_or_else(|| missing("jwks_uri"))?;
        let keys = KeySet::parse(&fetch::json(&keys_at, trust).await?);
        keys.filter(|keys| !keys.is_empty()).ok_or_else(|| Error::Missing(keys_at.to_string(), "keys for signatures"))
    }
}
