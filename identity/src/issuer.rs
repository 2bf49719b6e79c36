//! The platform as an OpenID provider (OpenID Connect Core 1.0, RFC 6749, 7636, 8628, 8693, 9068).
//!
//! # Flow
//!
//! A client sends a person to [`authorize`]; the request is sealed and carried by the browser through the console's
//! sign-in page, which comes back through [`flows`](crate::api). The person's word makes an authorization code, sealed
//! too, and [`token`] makes a session of it. Nothing is kept between these steps, so any replica serves any of them; the
//! code is good once because the session that it makes has a name that follows from it.
//!
//! # Guarantees
//!
//! PKCE with S256 always. A token is signed with a key that is published, names its session, and is refused by the
//! platform as soon as that session is over; elsewhere it is good until it runs out, ten minutes at most (what lasts longer,
//! for clients of the published login API, is for the platform alone). A refresh token
//! is good once: a second use ends the session. Only the platform's own clients, and those a person has allowed it to,
//! get tokens that the platform itself takes.

pub(crate) mod authorize;
pub(crate) mod clients;
pub(crate) mod device;
pub(crate) mod discovery;
pub(crate) mod exchange;
pub(crate) mod logout;
pub(crate) mod token;
pub(crate) mod tokens;

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use kube::Client;
use lib_jose::{Algorithm, Expectation, Leeway, Unverified, Verified};
use serde_json::Value;

use crate::index::Index;
use crate::keys::{self, Keys};
use crate::password_key::PasswordKey;
use crate::session::Grant;
use crate::{Error, Unauthenticated};

/// The audience of tokens that the platform itself takes.
pub(crate) const PLATFORM: &str = "acp";
/// The type of access tokens (RFC 9068).
pub(crate) const ACCESS_TOKEN: &str = "at+jwt";

/// The issuer.
pub(crate) struct Issuer {
    /// Its identifier, which is also where it is.
    pub(crate) url: String,
    /// The platform's address.
    pub(crate) platform: String,
    keys: RwLock<Arc<Keys>>,
    /// Whoever reads keys to put them here holds it: else those of before could come after those of now.
    changing: tokio::sync::Mutex<()>,
    /// When devices asked last, so that they do not ask too often.
    pub(crate) polls: device::Polls,
}

impl Issuer {
    pub(crate) fn new(platform: &str, keys: Keys) -> Self {
        let platform = platform.trim_end_matches('/').to_owned();
        Self {
            url: format!("{platform}/dex"),
            platform,
            keys: RwLock::new(Arc::new(keys)),
            changing: tokio::sync::Mutex::default(),
            polls: device::Polls::default(),
        }
    }

    pub(crate) fn keys(&self) -> Arc<Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes and takes over new keys when it is time.
    pub(crate) async fn renew(&self, client: &Client, now: Timestamp) -> Result<(), Error> {
        let _one_at_a_time = self.changing.lock().await;
        if let Some(keys) = keys::renew(client, &self.keys(), now).await? {
            self.take(keys);
        }
        Ok(())
    }

    /// Makes a new key; with `revoke` it is the only one from now on.
    pub(crate) async fn rotate(&self, client: &Client, now: Timestamp, revoke: bool) -> Result<(), Error> {
        let _one_at_a_time = self.changing.lock().await;
        self.take(keys::rotate(client, now, revoke).await?);
        Ok(())
    }

    /// The key that scripts encrypt passwords to, made when the first of them asks.
    pub(crate) async fn password_key(&self, client: &Client) -> Result<Arc<PasswordKey>, Error> {
        if let Some(key) = &self.keys().password {
            return Ok(key.clone());
        }
        let _one_at_a_time = self.changing.lock().await;
        if let Some(key) = &self.keys().password {
            return Ok(key.clone());
        }
        let keys = keys::with_password_key(client).await?;
        let key = keys.password.clone().ok_or(Error::Contended("the issuer's keys"))?;
        self.take(keys);
        Ok(key)
    }

    fn take(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// A token of ours, for one of these audiences.
    pub(crate) fn verify(
        &self,
        text: &str,
        audiences: &[String],
        types: &[&str],
        leeway: Leeway,
        now: Timestamp,
    ) -> Result<Verified, lib_jose::Refused> {
        let expected = Expectation {
            issuer: &self.url,
            audiences,
            algorithms: &[Algorithm::Rs256],
            types: Some(types),
            now,
            leeway,
        };
        Unverified::parse(text)?.verify(&self.keys().public, &expected)
    }

    /// The grant that an access token for the platform names.
    pub(crate) fn authenticate(
        &self,
        index: &Index,
        text: &str,
        now: Timestamp,
    ) -> Result<Arc<Grant>, Unauthenticated> {
        let audiences = [PLATFORM.to_owned()];
        let verified = self.verify(text, &audiences, &[ACCESS_TOKEN], Leeway::default(), now).map_err(|error| {
            tracing::debug!(error = %error, "a signed token was refused");
            Unauthenticated("the signed token is not ours, or not for us, or over")
        })?;
        let session = verified.claims().get("sid").and_then(Value::as_str);
        let grant = index.grant_of(session.ok_or(Unauthenticated("the token names no session"))?, now)?;
        if index.refuses_token(text, now) {
            return Err(Unauthenticated("the token is disabled"));
        }
        Ok(grant)
    }
}
