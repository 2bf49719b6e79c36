//! One issuer and the keys that are known of it.

use api_meta::Value;
use apiserver_access::{Unauthenticated, User};
use jiff::{SignedDuration, Timestamp};
use lib_fetch::{Cached, Client, OLDEST, PAUSE};
use lib_jose::{Expectation, KeySet, Leeway, Refused, Unverified, Verified};
use lib_telemetry::chain;
use url::Url;

use crate::claims;
use crate::configuration::Issuer;

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

pub(crate) struct LiveIssuer {
    pub(crate) issuer: Issuer,
    keys: Cached<KeySet, Error>,
}

impl LiveIssuer {
    pub(crate) fn new(issuer: Issuer) -> Self {
        // As upstream's, which keeps keys while the issuer is away.
        Self { issuer, keys: Cached::lenient() }
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
        // All that costs nothing first: keys are not fetched for a token that is refused anyway.
        let mut verdict = token.verify(&KeySet::default(), expected);
        // The second time because there may be new keys, also under a name that is known.
        for newer_than in [OLDEST, PAUSE] {
            match &verdict {
                Err(refused) if refused.is_for_want_of_a_key() => {}
                _ => break,
            }
            if let Ok(keys) = self.keys.get(expected.now, newer_than, self.fetch_or_tell()).await {
                verdict = token.verify(&keys, expected);
            }
        }
        verdict
    }

    async fn fetch_or_tell(&self) -> Result<KeySet, Error> {
        let fetched = self.fetch().await;
        if let Err(error) = &fetched {
            tracing::warn!(issuer = %self.issuer.url, error = %chain(error), "an issuer's keys could not be fetched");
        }
        fetched
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
