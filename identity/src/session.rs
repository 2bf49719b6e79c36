//! Sessions: what is kept of them, and what holds of them now.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use api_types::auth::TokenScope;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::token::TokenHash;
use crate::user::User;

/// A session as it is stored. Nothing in it can be used to sign in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stored {
    /// Of the token that belongs to it; its first half is the identifier.
    pub(crate) token: TokenHash,
    pub(crate) kind: Kind,
    pub(crate) username: String,
    pub(crate) user_uid: String,
    /// The fingerprint of the password with which it began, if it began with one that the platform keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    pub(crate) provider: Provider,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) last_seen: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_agent: Option<String>,
    /// The MD5 of the token's text, by which a `DisableToken` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_md5: Option<String>,
}

/// What a session is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Kind {
    /// Somebody signed in at the door.
    SignIn {
        /// `console`, `ac` or `api`, as it says of itself; a client of the issuer that passes on a password.
        client: String,
        second_factor: bool,
    },
    /// A client of the issuer was given tokens.
    Grant {
        client: String,
        scopes: Vec<String>,
        /// How often the refresh token was used.
        generation: u64,
        /// Whether a refresh token was given at all.
        refreshable: bool,
        second_factor: bool,
        /// The session at the door in which the person agreed. Ended together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<String>,
    },
    /// Somebody made a token for a program.
    ApiToken { description: String, scope: TokenScope },
}

/// Who vouched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provider {
    /// Its identifier.
    pub(crate) id: String,
    /// The name that people see.
    pub(crate) name: String,
    /// `local`, `ldap`, `oidc` or `saml`.
    #[serde(rename = "type")]
    pub(crate) type_: String,
    /// How the provider knows the session, for its word that it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    /// As whom the provider knows the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// What the provider wants to see again when somebody signs out, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// When it was asked last whether the person is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<Timestamp>,
}

impl Stored {
    /// Names the session to people. It does not authenticate.
    pub(crate) fn id(&self) -> String {
        self.token.id()
    }

    /// When the provider last said that the person is there.
    pub(crate) fn asked(&self) -> Timestamp {
        self.provider.asked.unwrap_or(self.created)
    }

    /// Which kind of client it belongs to.
    pub(crate) fn client(&self) -> &str {
        match &self.kind {
            Kind::SignIn { client, .. } | Kind::Grant { client, .. } => client,
            Kind::ApiToken { .. } => "token",
        }
    }

    pub(crate) fn second_factor(&self) -> bool {
        match self.kind {
            Kind::SignIn { second_factor, .. } | Kind::Grant { second_factor, .. } => second_factor,
            Kind::ApiToken { .. } => false,
        }
    }
}

/// A session and what holds of it at this moment. When something of it no longer holds, `ended` says so and another
/// grant takes its place, or none.
pub(crate) struct Grant {
    pub(crate) user: User,
    pub(crate) stored: Arc<Stored>,
    /// Not from then on.
    pub(crate) until: Timestamp,
    /// When it was last used, in seconds; shared by all grants of the session.
    pub(crate) seen: Arc<AtomicI64>,
    pub(crate) ended: CancellationToken,
}

/// Somebody who is signed in.
#[derive(Clone)]
pub struct Session {
    pub(crate) grant: Arc<Grant>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).field("user", &self.grant.user.name).finish_non_exhaustive()
    }
}

impl Session {
    /// Who.
    pub fn user(&self) -> &User {
        &self.grant.user
    }

    /// Names the session to people.
    pub fn id(&self) -> String {
        self.grant.stored.id()
    }

    /// Until when, if nothing ends it before.
    pub fn expires(&self) -> Timestamp {
        self.grant.until
    }

    /// What it is good for, when that is less than what its user may.
    pub fn scope(&self) -> Option<&TokenScope> {
        match &self.grant.stored.kind {
            Kind::ApiToken { scope, .. } => Some(scope),
            _ => None,
        }
    }

    /// Whether it still holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        !self.grant.ended.is_cancelled() && now < self.grant.until
    }

    /// Completes when it no longer holds, or no longer for the same groups.
    pub async fn ended(&self) {
        loop {
            let left = self.grant.until.duration_since(Timestamp::now());
            let left = std::time::Duration::try_from(left).unwrap_or_default();
            tokio::select! {
                () = self.grant.ended.cancelled() => return,
                () = tokio::time::sleep(left) => {}
            }
            if Timestamp::now() >= self.grant.until {
                return;
            }
        }
    }
}

impl Grant {
    pub(crate) fn touch(&self, now: Timestamp) {
        self.seen.fetch_max(now.as_second(), Ordering::Relaxed);
    }
}
