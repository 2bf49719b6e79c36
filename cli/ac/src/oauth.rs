//! The platform's issuer, spoken to as what `ac` is to it: a public client.
//!
//! OAuth 2.0 for native apps (RFC 8252) with PKCE (RFC 7636), the device grant (RFC 8628), refresh tokens that are used
//! once (RFC 6749, section 6) and revocation (RFC 7009). Identity tokens are not read: who somebody is, the platform
//! says itself when it is asked with the access token.

use std::future::Future;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::error::{Error, Exit, Result};
use crate::http::{Ask, Endpoint, with_query};
use crate::text::Text;

/// How the platform knows us.
pub const CLIENT: &str = "ac";
/// What we ask for: who it is, and to stay signed in.
const SCOPE: &str = "openid profile email groups offline_access";
/// What an access token lasts when the answer does not say.
const LIFETIME: u64 = 600;
/// How often a device asks when the platform does not say (RFC 8628, section 3.2), and what "slow down" adds.
const INTERVAL: u64 = 5;
/// No device waits for longer than a day, in seconds, whatever the platform says.
const LONGEST_WAIT: u64 = 24 * 60 * 60;
/// A device waits no longer than this between two questions.
const SLOWEST: Duration = Duration::from_secs(60);

/// Where the platform's issuer takes which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its own name.
    pub issuer: String,
    /// Where a browser goes.
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens become access tokens.
    pub token_endpoint: String,
    /// Where a device begins.
    pub device_authorization_endpoint: Option<String>,
    /// Whether it names itself in its answers (RFC 9207).
    pub names_itself: bool,
}

/// The path of the revocation endpoint beside a token endpoint.
fn revocation_path(token_path: &str) -> String {
    format!("{token_path}/revoke")
}

impl Issuer {
    /// Asks the platform for its issuer; `None` when it has none, as older ones do.
    pub async fn discover(platform: &Endpoint, platform_url: &str) -> Result<Option<Self>> {
        match platform.get("/dex/.well-known/openid-configuration").await {
            Ok(document) => Self::read(&document, platform_url).map(Some),
            Err(Error::Api(refused)) if matches!(refused.code, 401 | 404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the issuer's own description. One that speaks for another address is refused (OpenID Connect Discovery,
    /// section 4.3): codes and tokens go nowhere but to the platform.
    fn read(document: &Value, platform_url: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            authorization_endpoint: String,
            token_endpoint: String,
            device_authorization_endpoint: Option<String>,
            #[serde(default)]
            authorization_response_iss_parameter_supported: bool,
        }
        let document = Document::deserialize(document)
            .map_err(|error| Error::told(Text::AnswerNotUnderstood {}).because(error))?;
        if document.issuer != format!("{platform_url}/dex") {
            let own = document.issuer.trim_end_matches("/dex").to_owned();
            return Err(Error::told(Text::IssuerDiffers { url: platform_url.to_owned(), issuer: document.issuer })
                .hint(Text::HintLoginAt { url: own }));
        }
        let mut endpoints = vec![&document.authorization_endpoint, &document.token_endpoint];
        endpoints.extend(&document.device_authorization_endpoint);
        for endpoint in endpoints {
            path_on(platform_url, endpoint)?;
        }
        Ok(Self {
            issuer: document.issuer,
            authorization_endpoint: document.authorization_endpoint,
            token_endpoint: document.token_endpoint,
            device_authorization_endpoint: document.device_authorization_endpoint,
            names_itself: document.authorization_response_iss_parameter_supported,
        })
    }

    /// The page that a browser opens.
    pub fn authorization_url(
        &self,
        redirect_uri: &str,
        state: &str,
        challenge: &str,
        connector: Option<&str>,
    ) -> String {
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("redirect_uri", redirect_uri),
            ("scope", SCOPE),
            ("state", state),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
        ];
        pairs.extend(connector.map(|connector| ("connector_id", connector)));
        with_query(&self.authorization_endpoint, &pairs)
    }
}

/// The path below the platform's address of something that the platform serves.
fn path_on(platform_url: &str, address: &str) -> Result<String> {
    let path = address.strip_prefix(platform_url).filter(|path| path.starts_with('/'));
    path.map(str::to_owned)
        .ok_or_else(|| Error::told(Text::IssuerDiffers { url: platform_url.to_owned(), issuer: address.to_owned() }))
}

/// 256 bits that nobody guesses, as text for an address.
pub fn unguessable() -> Result<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::told(Text::NoRandomness {}))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What binds a code to who asked for it (RFC 7636).
pub struct Pkce {
    /// Shown when the code is used.
    pub verifier: String,
    /// Shown at the start.
    pub challenge: String,
}

impl Pkce {
    /// A fresh one.
    pub fn new() -> Result<Self> {
        Ok(Self::of(unguessable()?))
    }

    fn of(verifier: String) -> Self {
        let hash = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
        Self { challenge: URL_SAFE_NO_PAD.encode(hash), verifier }
    }
}

/// What the token endpoint hands out.
#[derive(Clone, Deserialize)]
pub struct Grant {
    /// Opens the platform, for minutes.
    pub access_token: String,
    /// Gets the next access token, once.
    #[serde(default)]
    pub refresh_token: Option<String>,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Grant {
    /// When the access token ends, for one that was asked for at `asked`.
    pub fn ends(&self, asked: Timestamp) -> Timestamp {
        let seconds = i64::try_from(self.expires_in.unwrap_or(LIFETIME)).unwrap_or(i64::MAX);
        asked.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
    }
}

/// The token endpoint of one platform.
pub struct TokenEndpoint<'a> {
    platform: &'a Endpoint,
    path: String,
    client: &'a str,
}

impl<'a> TokenEndpoint<'a> {
    /// At an address, which must be the platform's own.
    pub fn at(platform: &'a Endpoint, platform_url: &str, address: &str, client: &'a str) -> Result<Self> {
        Ok(Self { platform, path: path_on(platform_url, address)?, client })
    }

    /// A code from the browser becomes tokens.
    pub async fn exchange(&self, code: &str, redirect_uri: &str, verifier: &str) -> Result<Grant> {
        let what = [("code", code), ("redirect_uri", redirect_uri), ("code_verifier", verifier)];
        self.grant("authorization_code", &what).await
    }

    /// A refresh token becomes the next pair.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Grant> {
        self.grant("refresh_token", &[("refresh_token", refresh_token)]).await
    }

    /// Asks whether the person has confirmed the device.
    pub async fn ask_for_device(&self, device: &Device, verifier: &str) -> Result<Grant> {
        let what = [("device_code", device.device_code.as_str()), ("code_verifier", verifier)];
        self.grant("urn:ietf:params:oauth:grant-type:device_code", &what).await
    }

    /// Makes a refresh token worthless, and with it the session.
    pub async fn revoke(&self, refresh_token: &str) -> Result<()> {
        let pairs = [("token", refresh_token), ("token_type_hint", "refresh_token"), ("client_id", self.client)];
        self.platform.send(&Ask::new(Method::POST, revocation_path(&self.path)).form(&pairs)).await.map(drop)
    }

    async fn grant(&self, kind: &str, what: &[(&str, &str)]) -> Result<Grant> {
        let mut pairs = vec![("grant_type", kind), ("client_id", self.client)];
        pairs.extend(what);
        let answer = self.platform.send(&Ask::new(Method::POST, &self.path).form(&pairs)).await?.json()?;
        let grant =
            Grant::deserialize(&answer).map_err(|error| Error::told(Text::AnswerNotUnderstood {}).because(error))?;
        if grant.access_token.trim().is_empty() || !grant.token_type.eq_ignore_ascii_case("bearer") {
            return Err(Error::told(Text::EmptyTokenFromServer {}));
        }
        Ok(grant)
    }
}

/// A device that waits for a person to confirm it elsewhere.
#[derive(Clone, Deserialize)]
pub struct Device {
    device_code: String,
    /// What the person types.
    pub user_code: String,
    /// Where the person types it.
    pub verification_uri: String,
    /// How many seconds there are for it.
    pub expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

impl Device {
    /// Begins. The device code is worth nothing to who does not know the verifier (`code_challenge`, as in RFC 7636).
    pub async fn begin(platform: &Endpoint, platform_url: &str, issuer: &Issuer, challenge: &str) -> Result<Self> {
        let address = issuer.device_authorization_endpoint.as_deref();
        let address = address.ok_or_else(|| Error::told(Text::NoDeviceSignIn { url: platform_url.to_owned() }))?;
        let pairs =
            [("client_id", CLIENT), ("scope", SCOPE), ("code_challenge", challenge), ("code_challenge_method", "S256")];
        let ask = Ask::new(Method::POST, path_on(platform_url, address)?).form(&pairs);
        let device = Self::deserialize(&platform.send(&ask).await?.json()?)
            .map_err(|error| Error::told(Text::AnswerNotUnderstood {}).because(error))?;
        // A person is sent there and types a password: only the platform's own page will do.
        path_on(platform_url, &device.verification_uri)?;
        Ok(device)
    }

    /// Asks until there is an answer, no more often than the platform likes (RFC 8628, section 3.5).
    pub async fn wait<Asked>(&self, mut ask: impl FnMut(Duration) -> Asked) -> Result<Grant>
    where
        Asked: Future<Output = Result<Grant>>,
    {
        let end = Instant::now() + Duration::from_secs(self.expires_in.min(LONGEST_WAIT));
        let mut pause = Duration::from_secs(self.interval.unwrap_or(INTERVAL).clamp(1, LONGEST_WAIT));
        let too_late = || Error::told(Text::DeviceCodeExpired {}).exit(Exit::NeedsLogin);
        loop {
            if Instant::now() + pause >= end {
                tokio::time::sleep_until(end).await;
                return Err(too_late());
            }
            tokio::time::sleep(pause).await;
            let error = match ask(end.saturating_duration_since(Instant::now())).await {
                Ok(grant) => return Ok(grant),
                Err(error) => error,
            };
            match (&error, error.reason()) {
                (_, Some("authorization_pending")) => {}
                (_, Some("slow_down")) => pause += Duration::from_secs(INTERVAL),
                (_, Some("access_denied")) => {
                    return Err(Error::told(Text::SignInDenied {}).exit(Exit::NeedsLogin));
                }
                (_, Some("expired_token")) => return Err(too_late()),
                // A platform that is away for a moment has lost nothing.
                (Error::Connect { .. }, _) => pause = (pause * 2).min(SLOWEST),
                _ => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests;
