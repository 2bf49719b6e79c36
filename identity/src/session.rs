//! Sessions: what is kept of them, and what holds of them now.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use api_types::auth::TokenScope;
use jiff::{SignedDuration, Timestamp};
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
    /// The user's [`DISABLED`](crate::index::DISABLED) mark when it began. With another one the user was disabled since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disabled: Option<String>,
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
        /// Counts the refresh tokens; the one of this number is good.
        generation: u64,
        /// The one that it was given for, which is good for a moment more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous: Option<Previous>,
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

/// How long a refresh token that was used is good once more: an answer that is lost is asked for again within it.
const RETRY: SignedDuration = SignedDuration::from_secs(60);

/// A refresh token that was used, and whose successor was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Previous {
    generation: u64,
    /// Since when.
    used: Timestamp,
}

/// What a refresh token that is presented is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// There is a new one in its place.
    Rotated,
    /// It was used before: the thief or the owner has it, and which one cannot be told.
    Reused,
    /// The session is another client's, or has no refresh tokens.
    Foreign,
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

    /// Puts another refresh token in the place of the one that a client presents.
    ///
    /// A client whose answer was lost presents the old one again, and gets yet another: the successor that nobody has used
    /// is good for nothing from then on (RFC 9700 section 4.14.2). Of two who have the old one, a thief and the owner, only
    /// one can go on, and the other's next word ends the session.
    pub(crate) fn refresh(&mut self, client: &str, presented: u64, now: Timestamp) -> Refresh {
        let Kind::Grant { client: of, generation, previous, refreshable: true, .. } = &mut self.kind else {
            return Refresh::Foreign;
        };
        if of != client {
            return Refresh::Foreign;
        }
        let again =
            previous.as_ref().is_some_and(|last| last.generation == presented && now.duration_since(last.used) < RETRY);
        if presented == *generation {
            *previous = Some(Previous { generation: presented, used: now });
        } else if !again {
            return Refresh::Reused;
        }
        *generation += 1;
        self.last_seen = self.last_seen.max(now);
        Refresh::Rotated
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Token;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn session() -> Stored {
        Stored {
            token: Token::generate().unwrap().hash(),
            kind: Kind::Grant {
                client: "ac".into(),
                scopes: Vec::new(),
                generation: 0,
                previous: None,
                refreshable: true,
                second_factor: false,
                parent: None,
            },
            username: "ann@corp.io".into(),
            user_uid: "1".into(),
            password: None,
            disabled: None,
            provider: Provider::default(),
            created: at(0),
            expires: at(1000),
            last_seen: at(0),
            address: None,
            user_agent: None,
            token_md5: None,
        }
    }

    /// Tokens that are presented one after the other, each at its second, and what becomes of them.
    #[track_caller]
    fn check(presented: &[(u64, i64, Refresh)]) {
        let mut stored = session();
        for (generation, second, expected) in presented {
            assert_eq!(stored.refresh("ac", *generation, at(*second)), *expected, "{generation} at {second}");
        }
    }

    #[test]
    fn a_refresh_token_is_good_again_while_its_successor_waits() {
        use Refresh::{Reused, Rotated};
        check(&[(0, 0, Rotated), (0, 59, Rotated), (2, 70, Rotated), (3, 600, Rotated)]);
        check(&[(0, 0, Rotated), (0, 60, Reused)]);
        // Asking again does not buy more time.
        check(&[(0, 0, Rotated), (0, 40, Rotated), (0, 80, Reused)]);
    }

    #[test]
    fn a_thief_and_the_owner_do_not_both_go_on() {
        use Refresh::{Reused, Rotated};
        // The successor was used.
        check(&[(0, 0, Rotated), (1, 1, Rotated), (0, 2, Reused)]);
        // The successor was replaced.
        check(&[(0, 0, Rotated), (0, 1, Rotated), (1, 2, Reused)]);
        check(&[(0, 0, Rotated), (0, 1, Rotated), (2, 2, Rotated), (1, 3, Reused)]);
        check(&[(1, 0, Reused)]);
    }

    #[test]
    fn a_refresh_token_is_for_its_client() {
        let mut stored = session();
        assert_eq!(stored.refresh("other", 0, at(0)), Refresh::Foreign);
        if let Kind::Grant { refreshable, .. } = &mut stored.kind {
            *refreshable = false;
        }
        assert_eq!(stored.refresh("ac", 0, at(0)), Refresh::Foreign);
    }

    #[test]
    fn a_session_of_an_earlier_version_is_read() {
        let mut text = serde_json::to_value(session()).unwrap();
        assert!(text["kind"].get("previous").is_none());
        text["kind"]["generation"] = 7.into();
        let mut stored: Stored = serde_json::from_value(text).unwrap();
        assert_eq!(stored.refresh("ac", 7, at(0)), Refresh::Rotated);
        let text = serde_json::to_value(&stored).unwrap();
        assert_eq!(serde_json::from_value::<Stored>(text).unwrap(), stored);
    }
}
