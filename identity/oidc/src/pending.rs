//! A sign-in that was begun.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Error, Secret};

/// How long a person may take at the provider.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// A sign-in that was begun: what the answer is held against. It is for the browser that began it and for nobody else,
/// so whoever puts it into a cookie seals it. It is not `Clone`, and [`finish`](crate::Provider::finish) takes it: one
/// sign-in has one answer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    pub(crate) connector: String,
    pub(crate) issuer: String,
    /// Whether the provider says in its answers who it is (RFC 9207).
    pub(crate) names_issuer: bool,
    pub(crate) redirect_uri: String,
    pub(crate) state: Secret,
    pub(crate) nonce: Secret,
    pub(crate) verifier: Secret,
    pub(crate) begun: Timestamp,
}

impl Pending {
    pub(crate) fn new(connector: &str, issuer: &str, redirect_uri: &str, begun: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            connector: connector.to_owned(),
            issuer: issuer.to_owned(),
            names_issuer: false,
            redirect_uri: redirect_uri.to_owned(),
            state: Secret::random()?,
            nonce: Secret::random()?,
            verifier: Secret::random()?,
            begun,
        })
    }

    /// The connector it was begun at: whose [`Provider`](crate::Provider) finishes it.
    pub fn connector(&self) -> &str {
        &self.connector
    }

    /// What the answer will have as its `state`: tells apart the sign-ins that one browser has begun.
    pub fn state(&self) -> &str {
        self.state.expose()
    }

    pub(crate) fn check(&self, connector: &str, issuer: &str, now: Timestamp) -> Result<(), Error> {
        if self.connector != connector || self.issuer != issuer {
            return Err(Error::MixUp);
        }
        match now.duration_since(self.begun).abs() <= LIFETIME {
            true => Ok(()),
            false => Err(Error::FlowExpired),
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connector, issuer, begun, .. } = self;
        let mut it = f.debug_struct("Pending");
        it.field("connector", connector).field("issuer", issuer).field("begun", begun).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn pending() -> Pending {
        Pending::new("corp", "https://idp", "https://us/callback", NOW).unwrap()
    }

    #[test]
    fn it_comes_back_as_it_went() {
        let text = serde_json::to_string(&pending()).unwrap();
        let back: Pending = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        assert!(!format!("{back:?}").contains(back.state.expose()));
    }

    #[test]
    fn case_32_it_is_of_one_provider_and_of_a_while() {
        #[track_caller]
        fn check(connector: &str, issuer: &str, after: SignedDuration, expect: &str) {
            let verdict = pending().check(connector, issuer, NOW + after);
            assert_eq!(verdict.map_or_else(|error| format!("{error:?}"), |()| String::new()), expect);
        }
        check("corp", "https://idp", SignedDuration::ZERO, "");
        check("corp", "https://idp", LIFETIME, "");
        check("corp", "https://idp", LIFETIME + SignedDuration::from_nanos(1), "FlowExpired");
        check("corp", "https://idp", -LIFETIME - LIFETIME, "FlowExpired");
        check("other", "https://idp", SignedDuration::ZERO, "MixUp");
        check("corp", "https://other", SignedDuration::ZERO, "MixUp");
    }
}
