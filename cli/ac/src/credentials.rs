//! Tokens: kept in a private cache beside the kubeconfig, handed out by `ac get-token`.
//!
//! A kubeconfig is copied, mailed and checked in; a token in it goes along. So the kubeconfig only says whom to ask.
//! Two kubeconfigs may use one session name for different users or platforms, so a token is kept under all three.
//!
//! A token of the platform lasts as long as the session. One of its issuer lasts minutes, and with it comes what gets
//! the next, once; `renewal` spends that.

mod cache;
mod renewal;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::connect::Connector;
use crate::env::Environment;
use crate::error::{Error, Exit, Result};
use crate::session::{Session, Trust};
use crate::text::Text;

pub use cache::{forget, load, store};
pub use renewal::{current, revoke};

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The session's name.
    pub session: String,
    /// The platform that issued the token; it is never sent anywhere else.
    pub platform_url: String,
    /// The user's name on the platform.
    pub username: String,
}

impl Owner {
    /// The owner of a session's token.
    pub fn of(session: &Session) -> Self {
        Self {
            session: session.name.clone(),
            platform_url: session.platform_url.clone(),
            username: session.username.clone(),
        }
    }
}

/// A token with what is needed to use it safely.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedToken {
    /// Whose it is.
    #[serde(flatten)]
    pub owner: Owner,
    /// The bearer token.
    pub token: String,
    /// When it ends, if the platform said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_timestamp: Option<Timestamp>,
    /// What gets the next one, where the token is an issuer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
}

/// How the next access token is had, without the person and without a kubeconfig.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// Worth one renewal; the answer brings the next.
    pub refresh_token: String,
    /// Where it is taken.
    pub token_endpoint: String,
    /// Whom it was given to.
    pub client_id: String,
    /// How the platform's certificate was checked at sign-in, and is from then on.
    #[serde(default)]
    pub trust: Trust,
}

impl std::fmt::Debug for CachedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedToken").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// The one line that tells how to get back in.
pub fn expired(session: &str, platform_url: &str) -> Error {
    Error::told(Text::SessionExpired { session: session.to_owned(), url: platform_url.to_owned() })
        .exit(Exit::NeedsLogin)
}

/// A token to use now.
pub struct Bearer {
    /// The token.
    pub token: String,
    /// When another is needed, where one can be had.
    pub renewed_at: Option<Timestamp>,
}

/// The token to use for a session, from its user entry or from the cache, fresh.
pub async fn bearer_for(connector: &Connector, session: &Session, user: &Value, now: Timestamp) -> Result<Bearer> {
    if let Some(token) = user["token"].as_str().filter(|token| !token.is_empty()) {
        return Ok(Bearer { token: token.to_owned(), renewed_at: None });
    }
    bearer_of(connector, &Owner::of(session), now).await
}

/// The cached token of an owner, fresh.
pub async fn bearer_of(connector: &Connector, owner: &Owner, now: Timestamp) -> Result<Bearer> {
    let cached = current(connector, owner, now).await?;
    Ok(Bearer { renewed_at: cached.renewed_at(), token: cached.token })
}

impl CachedToken {
    /// Whether it can be used; an empty token never can.
    fn is_usable(&self, now: Timestamp) -> bool {
        self.expiration_timestamp.is_none_or(|end| end > now) && !self.token.trim().is_empty()
    }

    /// When the next one is to be had, where one can be.
    fn renewed_at(&self) -> Option<Timestamp> {
        self.renewal.as_ref()?;
        Some(self.expiration_timestamp?.checked_sub(renewal::MARGIN).unwrap_or(Timestamp::MIN))
    }
}

/// The user entry's credentials: ask us.
pub fn exec_entry(env: &Environment, owner: &Owner) -> Value {
    // The bare name survives an upgrade that moves the binary; the full path is for a binary outside PATH.
    let here = std::fs::canonicalize(&env.executable).unwrap_or_else(|_| env.executable.clone());
    let on_path = env.find_program("ac").and_then(|found| std::fs::canonicalize(found).ok());
    let command = if on_path.as_ref() == Some(&here) { "ac".to_owned() } else { here.to_string_lossy().into_owned() };
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
        "args": ["get-token", "--session", owner.session, "--platform-url", owner.platform_url,
            "--username", owner.username],
        "interactiveMode": "Never",
        "provideClusterInfo": true,
        "installHint": "Install ac, the ACP command line, and put it on PATH.",
    }})
}

/// The answer to `ac get-token`: an ExecCredential on one line.
///
/// `request` is what the caller put into `KUBERNETES_EXEC_INFO`. A server outside the token's platform gets nothing.
pub async fn exec_credential(
    connector: &Connector,
    owner: &Owner,
    request: Option<&str>,
    now: Timestamp,
) -> Result<String> {
    if let Some(server) = request
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .and_then(|info| info["spec"]["cluster"]["server"].as_str().map(str::to_owned))
    {
        only_to_platform(owner, &server)?;
    }
    let cached = current(connector, owner, now).await?;
    let mut status = json!({"token": cached.token});
    if let Some(end) = cached.expiration_timestamp {
        status["expirationTimestamp"] = end.to_string().into();
    }
    Ok(json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}).to_string())
}

/// Refuses a server outside the token's platform.
pub fn only_to_platform(owner: &Owner, server: &str) -> Result<()> {
    match same_origin(server, &owner.platform_url) {
        true => Ok(()),
        false => {
            Err(Error::told(Text::TokenForOtherServer { session: owner.session.clone(), server: server.to_owned() }))
        }
    }
}

/// Whether two addresses have the same scheme, host and port.
fn same_origin(a: &str, b: &str) -> bool {
    match (url::Url::parse(a), url::Url::parse(b)) {
        (Ok(a), Ok(b)) => a.origin() == b.origin() && a.origin().is_tuple(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
