//! One issuer and the keys that are known of it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use api_meta::Value;
use apiserver_access::{Unauthenticated, User};
use jiff::{SignedDuration, Timestamp};
use lib_fetch::Client;
use lib_jose::{Expectation, KeySet, Leeway, Refused, Unverified, Verified};
use lib_telemetry::chain;
use url::Url;

use crate::claims;
use crate::configuration::Issuer;

/// How often keys are fetched at most, whatever tokens ask for.
const PAUSE: Duration = Duration::from_secs(10);
/// How old keys may get: one that the issuer has withdrawn must not be good for ever.
const OLDEST: Duration = Duration::from_secs(3600);

/// How far clocks may be apart where a token begins (as go-oidc, which upstream verifies with).
const LEEWAY: Leeway = Leeway { after: SignedDuration::ZERO, before: SignedDuration::from_mins(5) };

/// Why an issuer's keys are not to be had.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Fetch(#[from] lib_fetch::Error),
    #[error("could not set up TLS")]
    Tls(#[from] lib_tls::Error),
    #[error("{0} says that its issuer is another")]
    OtherIssuer(String),
    #[error("{0} has no {1}")]
    Missing(String, &'static str),
}

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

    pub(crate) async fn verify(&self, token: &Unverified<'_>, now: Timestamp) -> Result<User, Unauthenticated> {
        let expected = Expectation {
            issuer: &self.issuer.url,
            audiences: &self.issuer.audiences,
            algorithms: &self.issuer.algorithms,
            types: None,
            now,
            leeway: LEEWAY,
        };
        let verified = self.signed(token, &expected).await.map_err(unauthenticated)?;
        claims::user(&self.issuer, verified.claims())
    }

    async fn signed(&self, token: &Unverified<'_>, expected: &Expectation<'_>) -> Result<Verified, Refused> {
        let known = self.known();
        let fresh = known.as_ref().is_some_and(|(at, _)| at.elapsed() < OLDEST);
        let verdict = match &known {
            Some((_, keys)) => token.verify(keys, expected),
            None => token.verify(&KeySet::default(), expected),
        };
        match &verdict {
            Ok(_) if fresh => return verdict,
            Err(refused) if !refused.is_for_want_of_a_key() => return verdict,
            // Perhaps there are new keys, also under a name that is known. Keys that are old but stay are better than
            // none while the issuer is away.
            _ => {}
        }
        self.refreshed(known).await.map_or(verdict, |keys| token.verify(&keys, expected))
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
        let client = Client::new(trust)?;
        let document = client.json(discovery).await?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issuer") != Some(url) {
            return Err(Error::OtherIssuer(discovery.to_string()));
        }
        let missing = |what| Error::Missing(discovery.to_string(), what);
        let keys_at = text("jwks_uri").and_then(|uri| Url::parse(uri).ok()).ok_or_else(|| missing("jwks_uri"))?;
        let keys = KeySet::parse(&client.json(&keys_at).await?);
        keys.filter(|keys| !keys.is_empty()).ok_or_else(|| Error::Missing(keys_at.to_string(), "keys for signatures"))
    }
}

fn unauthenticated(refused: Refused) -> Unauthenticated {
    Unauthenticated(refused.reason())
}
