//! The way of a sign-in, in the order in which it goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_types::auth::{LOCAL, SecondFactorPolicy, SecurityPolicySpec, User as UserObject};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::audit::{Action, Entry, Origin};
use crate::index::DISABLED;
use crate::locks::Lock;
use crate::objects::{self, Credentials, users};
use crate::password::weaknesses;
use crate::session::{Kind, Provider, Session, Stored};
use crate::standing::is_local;
use crate::throttle::{self, Attempt, Limits, Throttled};
use crate::token::TokenHash;
use crate::totp::{self, Enrolment};
use crate::user::md5_hex;
use crate::{Error, Identity, Inner, LoginError, Token};

/// How old what is written of the last sign-in may be.
const LAST_LOGIN: SignedDuration = SignedDuration::from_hours(1);

/// What somebody says to be let in.
pub struct Given<'a> {
    /// The name, or the e-mail.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
    /// The provider; local without.
    pub provider: Option<&'a str>,
    /// The second factor's code.
    pub code: Option<&'a str>,
}

/// Somebody who has just signed in.
#[derive(Debug)]
pub struct Login {
    /// The session's token, said once.
    pub token: Token,
    /// The session.
    pub session: Session,
}

/// A session to begin.
pub(crate) struct Wanted {
    pub(crate) token: TokenHash,
    pub(crate) token_md5: Option<String>,
    pub(crate) provider: Provider,
    pub(crate) kind: Kind,
    /// The provider wants it to end then.
    pub(crate) until: Option<Timestamp>,
}

/// Somebody who has shown all that is asked for.
struct Cleared {
    user: Arc<UserObject>,
    provider: Provider,
    second_factor: bool,
}

/// Somebody whose password was right.
struct Proven {
    user: Arc<UserObject>,
    provider: Provider,
    attempt: Attempt,
}

impl Identity {
    /// Signs somebody in with a password. `client` is what the session is listed as: `console`, `ac` or `api`.
    pub async fn login(&self, origin: &Origin, client: &str, given: &Given<'_>) -> Result<Login, LoginError> {
        let inner = &*self.inner;
        let done = inner.login(origin, client, given).await;
        let who = given.username;
        inner.record(Action::SignIn, who, given.provider.unwrap_or(LOCAL), origin, done.as_ref().err()).await?;
        done
    }

    /// Gives somebody who knows the old password a new one. Sessions that began with the old one are over.
    pub async fn change_password(&self, origin: &Origin, given: &Given<'_>, new: &str) -> Result<(), LoginError> {
        let inner = &*self.inner;
        let done = inner.change_password(origin, given, new).await;
        inner.record(Action::ChangePassword, given.username, given.username, origin, done.as_ref().err()).await?;
        done
    }

    /// Gives somebody who knows the password a second factor, which counts once [`Identity::confirm_factor`] has seen a
    /// code of it. Whoever has one already does not get another.
    pub async fn enrol_factor(&self, origin: &Origin, given: &Given<'_>) -> Result<Enrolment, LoginError> {
        let inner = &*self.inner;
        let done = inner.enrol_factor(origin, given).await;
        inner.record(Action::Enrol, given.username, given.username, origin, done.as_ref().err()).await?;
        done
    }

    /// Lets a second factor count.
    pub async fn confirm_factor(&self, origin: &Origin, given: &Given<'_>) -> Result<(), LoginError> {
        let inner = &*self.inner;
        let done = inner.confirm_factor(origin, given).await;
        inner.record(Action::ConfirmFactor, given.username, given.username, origin, done.as_ref().err()).await?;
        done
    }
}

impl Inner {
    async fn login(&self, origin: &Origin, client: &str, given: &Given<'_>) -> Result<Login, LoginError> {
        let Cleared { user, provider, second_factor } = self.clear(origin, given).await?;
        let kind = Kind::SignIn { client: client.to_owned(), second_factor };
        self.open(&user, provider, kind, origin).await
    }

    /// Signs somebody in under a token that follows from what they sent, and that nobody has: whoever sends the same again,
    /// to whichever replica, is refused as with a wrong password for as long as the session is there.
    pub(crate) async fn login_once(
        &self,
        origin: &Origin,
        client: &str,
        given: &Given<'_>,
        token: &Token,
        until: Option<Timestamp>,
    ) -> Result<Session, LoginError> {
        let done = async {
            let Cleared { user, provider, second_factor } = self.clear(origin, given).await?;
            let kind = Kind::SignIn { client: client.to_owned(), second_factor };
            let wanted = Wanted { token: token.hash(), token_md5: None, provider, kind, until };
            self.open_as(wanted, &user, origin).await?.ok_or(LoginError::Wrong)
        };
        let done = done.await;
        let provider = given.provider.unwrap_or(LOCAL);
        self.record(Action::SignIn, given.username, provider, origin, done.as_ref().err()).await?;
        done
    }

    async fn clear(&self, origin: &Origin, given: &Given<'_>) -> Result<Cleared, LoginError> {
        let Proven { user, provider, attempt } = self.prove(origin, given).await?;
        let now = Timestamp::now();
        let policy = self.index.policy();
        // Only whoever knows the password is told more.
        self.index.standing(&user, now).map_err(LoginError::Barred)?;
        let credentials = self.index.credentials(&user.spec.email);
        if is_local(&user.spec) && credentials.as_ref().is_some_and(|known| is_due(known, &policy, now)) {
            attempt.succeeded();
            return Err(LoginError::PasswordChangeRequired);
        }
        let second_factor = self.second_factor(&user, credentials.as_ref(), &policy, given.code, now).await;
        // A wrong code counts as a wrong password does; everything else is no guess.
        match &second_factor {
            Err(LoginError::WrongCode) => self.failed(&attempt, given.username, origin).await,
            _ => attempt.succeeded(),
        }
        Ok(Cleared { user, provider, second_factor: second_factor? })
    }

    /// Whose password this is. Counts the attempt before it looks, so that attempts at the same time do not slip through.
    async fn prove(&self, origin: &Origin, given: &Given<'_>) -> Result<Proven, LoginError> {
        let limits = Limits::of(&self.index.policy().lock);
        let id = given.provider.filter(|id| !id.is_empty()).unwrap_or(LOCAL);
        let account = format!("{id}/{}", given.username.trim());
        let now = Timestamp::now();
        let (network, bounded) = throttle::pair(origin.address, &account);
        if let Some(until) = self.index.locked(&Lock::new(network, &bounded), now) {
            let retry_after = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            return Err(Throttled { retry_after, locked: true }.into());
        }
        let attempt = self.throttle.attempt(origin.address, &account, limits, Instant::now())?;
        let proven = match id {
            LOCAL => self.prove_locally(given).await,
            id => self.prove_at_provider(id, given).await,
        };
        match proven {
            Ok((user, provider)) => Ok(Proven { user, provider, attempt }),
            Err(error) => {
                if matches!(error, LoginError::Wrong) {
                    self.failed(&attempt, given.username, origin).await;
                }
                // Nobody's fault but the provider's.
                if matches!(error, LoginError::ProviderUnavailable(_) | LoginError::Failed(_)) {
                    attempt.succeeded();
                }
                Err(error)
            }
        }
    }

    async fn prove_locally(&self, given: &Given<'_>) -> Result<(Arc<UserObject>, Provider), LoginError> {
        let user = self.index.local_user(given.username);
        let credentials = user.as_ref().and_then(|user| self.index.credentials(&user.spec.email));
        let stored = credentials.and_then(|credentials| credentials.password);
        let right = self.passwords.verify(stored, given.password.to_owned()).await?;
        match user {
            Some(user) if right => Ok((user, Provider::local())),
            _ => Err(LoginError::Wrong),
        }
    }

    /// The second factor, where one is asked for. True if one was shown.
    async fn second_factor(
        &self,
        user: &UserObject,
        credentials: Option<&Credentials>,
        policy: &SecurityPolicySpec,
        code: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, LoginError> {
        let known = credentials.and_then(|known| known.second_factor().map(|factor| (known, factor)));
        match (policy.second_factor, known) {
            (SecondFactorPolicy::Off, _) | (SecondFactorPolicy::Optional, None) => Ok(false),
            (SecondFactorPolicy::Required, None) => Err(LoginError::SecondFactorSetupRequired),
            (_, Some((known, factor))) => {
                let Some(code) = code.filter(|code| !code.is_empty()) else {
                    return Err(LoginError::SecondFactorRequired);
                };
                let step = totp::check(&factor.secret, code, factor.last_step, now).ok_or(LoginError::WrongCode)?;
                let mut used = known.clone();
                if let Some(factor) = &mut used.totp {
                    factor.last_step = step;
                }
                // Whoever loses the race to write has shown a code that somebody else has just used.
                let stored = objects::put_credentials(&self.client, user, &used).await?.ok_or(LoginError::WrongCode)?;
                self.index.put_credentials(stored);
                Ok(true)
            }
        }
    }

    /// Whether this is the password of that user.
    pub(crate) async fn confirm_password(
        &self,
        origin: &Origin,
        given: &Given<'_>,
        user: &UserObject,
    ) -> Result<(), LoginError> {
        let proven = self.prove(origin, given).await?;
        if proven.user.spec.email != user.spec.email {
            return Err(LoginError::Wrong);
        }
        proven.attempt.succeeded();
        Ok(())
    }

    /// Begins a session.
    pub(crate) async fn open(
        &self,
        user: &UserObject,
        provider: Provider,
        kind: Kind,
        origin: &Origin,
    ) -> Result<Login, LoginError> {
        self.open_until(user, provider, kind, origin, None).await
    }

    /// Begins a session that a provider may want to end earlier than the policy does.
    pub(crate) async fn open_until(
        &self,
        user: &UserObject,
        provider: Provider,
        kind: Kind,
        origin: &Origin,
        until: Option<Timestamp>,
    ) -> Result<Login, LoginError> {
        let token = Token::generate()?;
        let md5 = Some(md5_hex(token.reveal().as_bytes()));
        let wanted = Wanted { token: token.hash(), token_md5: md5, provider, kind, until };
        let session = self.open_as(wanted, user, origin).await?.ok_or(Error::Random)?;
        Ok(Login { session, token })
    }

    /// Begins a session under a chosen token; `None` if there is one of it already.
    pub(crate) async fn open_as(
        &self,
        wanted: Wanted,
        user: &UserObject,
        origin: &Origin,
    ) -> Result<Option<Session>, LoginError> {
        let Wanted { token, token_md5, provider, kind, until } = wanted;
        let now = Timestamp::now();
        let policy = self.index.policy();
        let spec = &user.spec;
        self.index.standing(user, now).map_err(LoginError::Barred)?;
        let client = match &kind {
            Kind::SignIn { client, .. } | Kind::Grant { client, .. } => client.clone(),
            Kind::ApiToken { .. } => String::new(),
        };
        let parent = match &kind {
            Kind::Grant { parent, .. } => parent.clone(),
            _ => None,
        };
        let most = policy.sessions.max_online_users;
        let counts = most > 0 || policy.sessions.single_per_client;
        let own = if counts { self.index.sessions(Some(&spec.email), now) } else { Vec::new() };
        if most > 0 && own.is_empty() && !spec.is_admin && self.online(now) >= most {
            return Err(LoginError::TooManyOnline);
        }
        let lifetime = SignedDuration::from_hours(i64::from(policy.sessions.lifetime_hours.max(1)));
        let lifetime = self.config.session.map_or(lifetime, |fixed| fixed.min(lifetime));
        let credentials = self.index.credentials(&spec.email).filter(|_| provider.id == LOCAL);
        let stored = Stored {
            token,
            kind,
            username: spec.email.clone(),
            user_uid: user.uid().unwrap_or_default(),
            password: credentials.and_then(|credentials| credentials.fingerprint()),
            disabled: user.annotations().get(DISABLED).cloned(),
            provider,
            created: now,
            expires: now.checked_add(lifetime).unwrap_or(Timestamp::MAX).min(until.unwrap_or(Timestamp::MAX)),
            last_seen: now,
            address: Some(origin.address.to_string()),
            user_agent: origin.user_agent.as_deref().map(|text| text.chars().take(256).collect()),
            token_md5,
        };
        if !objects::create_session(&self.client, &stored).await? {
            return Ok(None);
        }
        let grant = self.index.put_session(stored, now).map_err(|_| LoginError::Wrong)?;
        if policy.sessions.single_per_client && !client.is_empty() {
            let replaced = |other: &Stored| other.client() == client && parent.as_ref() != Some(&other.id());
            for other in own.iter().filter(|other| replaced(&other.stored)) {
                self.end(&other.stored).await?;
            }
        }
        self.remember_login(user, now).await?;
        Ok(Some(Session { grant }))
    }

    fn online(&self, now: Timestamp) -> i32 {
        let sessions = self.index.sessions(None, now);
        let people: std::collections::HashSet<&str> =
            sessions.iter().map(|grant| grant.stored.username.as_str()).collect();
        i32::try_from(people.len()).unwrap_or(i32::MAX)
    }

    /// Ends a session, here at once and everywhere soon.
    pub(crate) async fn end(&self, stored: &Stored) -> Result<(), Error> {
        self.index.revoke(&stored.token);
        let done = objects::delete_session(&self.client, &stored.id()).await;
        self.index.deleted(stored, done.is_ok());
        done
    }

    /// For who is absent for long. Not written at each sign-in: an hour does not matter there.
    async fn remember_login(&self, user: &UserObject, now: Timestamp) -> Result<(), Error> {
        let last = user.spec.last_login_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |last| last.0);
        if now.duration_since(last) < LAST_LOGIN {
            return Ok(());
        }
        let patch = Patch::Merge(json!({"spec": {"last_login_time": now}}));
        match users(&self.client).patch(&user.name_any(), &PatchParams::default(), &patch).await {
            Ok(stored) => self.index.put_user(stored),
            // It went in this moment, and its session with it.
            Err(error) if objects::is(&error, 404) => {}
            Err(error) => return Err(Error::hub("write down a sign-in")(error)),
        }
        Ok(())
    }

    async fn change_password(&self, origin: &Origin, given: &Given<'_>, new: &str) -> Result<(), LoginError> {
        let local = Given { provider: None, ..*given };
        let Proven { user, attempt, .. } = self.prove(origin, &local).await?;
        let now = Timestamp::now();
        self.index.standing(&user, now).map_err(LoginError::Barred)?;
        let credentials = self.index.credentials(&user.spec.email).ok_or(LoginError::Wrong)?;
        if credentials.second_factor().is_some() {
            let policy = SecurityPolicySpec { second_factor: SecondFactorPolicy::Optional, ..self.index.policy() };
            let shown = self.second_factor(&user, Some(&credentials), &policy, given.code, now).await;
            if matches!(shown, Err(LoginError::WrongCode)) {
                self.failed(&attempt, given.username, origin).await;
            }
            shown?;
        }
        attempt.succeeded();
        self.set_password(&user, new, false).await
    }

    /// Stores a new password. `imposed` by somebody else, it has to be changed at the next sign-in.
    pub(crate) async fn set_password(&self, user: &UserObject, new: &str, imposed: bool) -> Result<(), LoginError> {
        let policy = self.index.policy().password;
        let mut weak = weaknesses(new, &user.spec.username, &policy);
        let known = self.index.credentials(&user.spec.email);
        let mut credentials =
            known.unwrap_or_else(|| Credentials { email: user.spec.email.clone(), ..Default::default() });
        let history = usize::try_from(policy.history).unwrap_or_default();
        let mut earlier: Vec<String> = credentials.password.iter().chain(&credentials.history).cloned().collect();
        earlier.truncate(history);
        if weak.is_empty() {
            for old in &earlier {
                if self.passwords.verify(Some(old.clone()), new.to_owned()).await? {
                    weak.push(crate::password::Weakness::Used(policy.history));
                    break;
                }
            }
        }
        if !weak.is_empty() {
            return Err(LoginError::Weak(weak));
        }
        credentials.password = Some(self.passwords.hash(new.to_owned()).await?);
        credentials.history = earlier;
        credentials.changed = Some(Timestamp::now());
        credentials.must_change = imposed;
        self.store(user, &credentials).await
    }

    async fn store(&self, user: &UserObject, credentials: &Credentials) -> Result<(), LoginError> {
        let stored = objects::put_credentials(&self.client, user, credentials).await?;
        self.index.put_credentials(stored.ok_or(LoginError::Conflict)?);
        Ok(())
    }

    async fn enrol_factor(&self, origin: &Origin, given: &Given<'_>) -> Result<Enrolment, LoginError> {
        let Proven { user, attempt, .. } = self.prove(origin, given).await?;
        self.index.standing(&user, Timestamp::now()).map_err(LoginError::Barred)?;
        attempt.succeeded();
        self.propose_factor(&user).await
    }

    async fn confirm_factor(&self, origin: &Origin, given: &Given<'_>) -> Result<(), LoginError> {
        let Proven { user, attempt, .. } = self.prove(origin, given).await?;
        self.index.standing(&user, Timestamp::now()).map_err(LoginError::Barred)?;
        let accepted = self.accept_factor(&user, given.code.unwrap_or_default()).await;
        match &accepted {
            Err(LoginError::WrongCode) => self.failed(&attempt, given.username, origin).await,
            _ => attempt.succeeded(),
        }
        accepted
    }

    /// A second factor that does not count yet.
    pub(crate) async fn propose_factor(&self, user: &UserObject) -> Result<Enrolment, LoginError> {
        let known = self.index.credentials(&user.spec.email);
        let mut credentials =
            known.unwrap_or_else(|| Credentials { email: user.spec.email.clone(), ..Default::default() });
        if credentials.second_factor().is_some() {
            return Err(LoginError::FactorExists);
        }
        let enrolment = totp::enrol(&user.spec.email)?;
        credentials.totp =
            Some(objects::SecondFactor { secret: enrolment.secret.clone(), confirmed: false, last_step: 0 });
        self.store(user, &credentials).await?;
        Ok(enrolment)
    }

    /// From now on the second factor counts.
    pub(crate) async fn accept_factor(&self, user: &UserObject, code: &str) -> Result<(), LoginError> {
        let mut credentials = self.index.credentials(&user.spec.email).ok_or(LoginError::WrongCode)?;
        let factor = credentials.totp.as_mut().filter(|factor| !factor.confirmed).ok_or(LoginError::WrongCode)?;
        let step = totp::check(&factor.secret, code, factor.last_step, Timestamp::now());
        factor.last_step = step.ok_or(LoginError::WrongCode)?;
        factor.confirmed = true;
        self.store(user, &credentials).await
    }

    pub(crate) async fn remove_factor(&self, user: &UserObject) -> Result<(), LoginError> {
        let Some(mut credentials) = self.index.credentials(&user.spec.email) else { return Ok(()) };
        credentials.totp = None;
        self.store(user, &credentials).await
    }

    /// An attempt has failed. Where it was one too many, every replica is to know, and people are to see.
    async fn failed(&self, attempt: &Attempt, name: &str, origin: &Origin) {
        let Some(locked) = attempt.locked() else { return };
        let now = Timestamp::now();
        let until = now.checked_add(Limits::of(&self.index.policy().lock).lock).unwrap_or(Timestamp::MAX);
        match self.sharing.lock(&self.client, locked, until, now).await {
            Ok(locks) => locks.into_iter().for_each(|locks| self.index.put_locks(locks)),
            Err(error) => {
                tracing::warn!(error = %lib_telemetry::chain(&error), "a lock holds at this replica only");
            }
        }
        let Some(user) = self.index.local_user(name) else { return };
        let patch = Patch::Merge(json!({"status": {"lockedUntil": until}}));
        if let Err(error) = users(&self.client).patch_status(&user.name_any(), &PatchParams::default(), &patch).await {
            tracing::warn!(error = %lib_telemetry::chain(&error), "could not write down that a user is locked");
        }
        let entry = Entry {
            action: Action::Lock,
            user: "system:acp:identity",
            object: &user.spec.email,
            origin,
            code: 200,
            reason: "",
        };
        if self.audit.record(&entry).await.is_err() {
            tracing::error!("a lock is not on the audit record");
        }
    }

    /// Puts an action on record.
    pub(crate) async fn record(
        &self,
        action: Action,
        user: &str,
        object: &str,
        origin: &Origin,
        error: Option<&LoginError>,
    ) -> Result<(), LoginError> {
        let (code, reason) = error.map_or((200, ""), |error| (error.code(), error.reason()));
        let entry = Entry { action, user, object, origin, code, reason };
        self.audit.record(&entry).await.map_err(|_| LoginError::NoRecord)
    }
}

/// Whether a password has to be changed before anything else.
fn is_due(credentials: &Credentials, policy: &SecurityPolicySpec, now: Timestamp) -> bool {
    let days = i64::from(policy.password.max_age_days);
    let old = days > 0
        && credentials
            .changed
            .is_some_and(|changed| now.duration_since(changed) >= SignedDuration::from_hours(24 * days));
    credentials.must_change || old
}

impl Provider {
    pub(crate) fn local() -> Self {
        Self { id: LOCAL.into(), name: "Local".into(), type_: LOCAL.into(), ..Self::default() }
    }
}
