//! People: who they are, who vouches for them, their sessions and tokens.
//!
//! Users, groups, providers and rules are objects on the hub; passwords and sessions are Secrets beside them. The process
//! keeps an index of all of it, fed by watches, so that a request is authenticated without asking the API server.
//! Passwords are kept as argon2id hashes, tokens as SHA-256 hashes: what is stored cannot be used to sign in.
//!
//! # Guarantees
//!
//! - Nobody becomes a user or member of a group that Kubernetes or the hub keeps for itself, whatever a provider says.
//! - A session ends with its time, its logout, and with the removal, disabling or new password of its user, with the
//!   removal or disabling of its provider. Its streams are closed at that moment, and so they are when its user loses a
//!   group. What ended with the disabling of its user stays over when the user is enabled again, also at once.
//! - A wrong name and a wrong password cannot be told apart, by answer or by time.
//! - An account of one provider never signs in as the user of another without an administrator's word.
//! - Whoever signs in is on the audit record, or does not sign in.

pub mod api;
pub mod audit;
mod credentials;
mod groups;
mod index;
mod issuer;
mod keys;
mod locks;
mod login;
mod objects;
mod password;
mod password_key;
mod providers;
mod report;
mod seal;
mod session;
mod standing;
mod throttle;
mod token;
mod totp;
mod user;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use api_types::auth::{Activity, LOCAL, UserSpec};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::api::PostParams;
use lib_drain::Drain;

use crate::audit::{Audit, Sink};
use crate::credentials::Bearer;
use crate::index::Index;
use crate::issuer::Issuer;
use crate::locks::Sharing;
use crate::objects::Credentials;
use crate::password::{Passwords, Weakness};
use crate::providers::{Built, Seen};
use crate::standing::Barred;
use crate::throttle::Throttle;

pub use crate::audit::Origin;
pub use crate::credentials::{COOKIE, Presented};
pub use crate::login::{Given, Login};
pub use crate::providers::Allowed;
pub use crate::session::Session;
pub use crate::throttle::Throttled;
pub use crate::token::Token;
pub use crate::totp::Enrolment;
pub use crate::user::User;

/// The first administrator's name.
pub const FIRST_ADMINISTRATOR: &str = "admin@cpaas.io";

/// How often what time alone changes is looked at.
const TICK: Duration = Duration::from_secs(5);
/// How old what is written of a session's last use may be.
const USED: Duration = Duration::from_secs(120);

/// What an operator decides.
#[derive(Clone)]
pub struct Config {
    /// The most that a session lasts, whatever the policy says.
    pub session: Option<SignedDuration>,
    /// Under which address people reach the platform: `https://host:port`.
    pub address: String,
    /// Where the audit record goes.
    pub audit: Arc<dyn Sink>,
    /// At which addresses providers may be.
    pub providers: Allowed,
    /// How often a provider that can be asked is asked whether somebody is still there.
    pub ask_providers: SignedDuration,
}

/// What can go wrong on our side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The hub's API refused or could not be reached.
    #[error("could not {doing}")]
    Hub {
        /// The step.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// The list of users and sessions did not arrive.
    #[error("could not load users and sessions in time")]
    Load,
    /// The system gives no randomness.
    #[error("could not draw random bytes")]
    Random,
    /// A password could not be hashed.
    #[error("could not hash a password")]
    Hash(#[source] argon2::password_hash::Error),
    /// The process ends while it was being hashed.
    #[error("the hashing of a password was given up")]
    Stopped(#[source] tokio::task::JoinError),
    /// A value could not be written as JSON.
    #[error("could not encode what is to be stored")]
    Encode(#[source] serde_json::Error),
    /// The issuer's key could not be made or read.
    #[error("could not make the issuer's key")]
    Key(#[source] lib_jose::InvalidKey),
    /// What is stored of the issuer's keys is nothing of ours.
    #[error(
        "the Secret {0} does not hold the issuer's keys: delete it to make new ones, which ends all sessions of clients"
    )]
    StoredKeys(&'static str),
    /// The key that passwords are encrypted to could not be made or read.
    #[error("could not make the key that passwords are encrypted to")]
    PasswordKey(#[source] password_key::InvalidPasswordKey),
    /// Others changed the same each time that it was tried.
    #[error("could not write {0}: others write it at the same time")]
    Contended(&'static str),
}

impl Error {
    pub(crate) fn hub(doing: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Hub { doing, source: Box::new(source) }
    }
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The name or the password is wrong; which one is not said.
    #[error("wrong user name or password: check both and try again")]
    Wrong,
    /// Too many attempts.
    #[error("too many attempts to sign in")]
    Throttled(#[from] Throttled),
    /// A second factor's code is asked for.
    #[error("the code of the second factor is needed")]
    SecondFactorRequired,
    /// It is wrong, or was used already.
    #[error("the code is wrong, or was used already: wait for the next one")]
    WrongCode,
    /// The policy asks for a second factor, and there is none.
    #[error("a second factor has to be set up first")]
    SecondFactorSetupRequired,
    /// There is a second factor already.
    #[error("there is a second factor already: remove it first")]
    FactorExists,
    /// The password has to be changed first.
    #[error("the password has to be changed first")]
    PasswordChangeRequired,
    /// The new password is not good enough.
    #[error("the new password {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Weak(Vec<Weakness>),
    /// The user may not sign in.
    #[error("{0}: an administrator can help")]
    Barred(Barred),
    /// There is a user of that e-mail, and the account is not one of its.
    #[error(
        "there is a user of this e-mail already, whom this account does not belong to: an administrator can add it to the user's ids"
    )]
    NotLinked,
    /// The provider says no e-mail that can be a name.
    #[error("the provider says no usable e-mail of this account: check its configuration")]
    MissingEmail,
    /// There are as many people here as may be.
    #[error("as many people are signed in as the security policy allows: try again later")]
    TooManyOnline,
    /// There is no such provider.
    #[error("there is no such provider: see GET /auth/v1/providers")]
    UnknownProvider,
    /// The provider does not answer, or cannot be spoken to.
    #[error("the provider {0} cannot be reached: try again later")]
    ProviderUnavailable(String),
    /// The provider, or what it says, is not as it has to be.
    #[error("what the provider {0} says cannot be trusted: its Connector and the hub's log say why")]
    ProviderRefused(String),
    /// The provider, or the person there, said no.
    #[error("the provider did not let you in")]
    AccessDenied,
    /// What was begun took too long, or was not begun here.
    #[error("the sign-in took too long, or was not begun in this browser: begin again")]
    FlowExpired,
    /// Somebody else changed the same thing.
    #[error("somebody else changed this at the same time: try again")]
    Conflict,
    /// The audit record cannot be written.
    #[error("the audit record cannot be written, so nobody is let in")]
    NoRecord,
    /// It is our fault.
    #[error("could not sign in")]
    Failed(#[from] Error),
}

impl LoginError {
    /// As HTTP says it.
    pub fn code(&self) -> u16 {
        match self {
            Self::Wrong | Self::SecondFactorRequired | Self::WrongCode => 401,
            Self::Throttled(_) => 429,
            Self::SecondFactorSetupRequired | Self::PasswordChangeRequired | Self::Barred(_) | Self::NotLinked => 403,
            Self::MissingEmail | Self::TooManyOnline | Self::AccessDenied | Self::ProviderRefused(_) => 403,
            Self::FlowExpired => 400,
            Self::UnknownProvider => 404,
            Self::FactorExists | Self::Conflict => 409,
            Self::Weak(_) => 422,
            Self::ProviderUnavailable(_) | Self::NoRecord => 503,
            Self::Failed(_) => 500,
        }
    }

    /// In one word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wrong => "Unauthorized",
            Self::SecondFactorRequired => "SecondFactorRequired",
            Self::WrongCode => "WrongCode",
            Self::Throttled(throttled) if throttled.locked => "Locked",
            Self::Throttled(_) => "TooManyRequests",
            Self::SecondFactorSetupRequired => "SecondFactorSetupRequired",
            Self::FactorExists => "AlreadyExists",
            Self::PasswordChangeRequired => "PasswordChangeRequired",
            Self::Weak(_) => "Invalid",
            Self::Barred(Barred::Disabled | Barred::Inactive) => "UserDisabled",
            Self::Barred(Barred::OutsideValidity) => "UserExpired",
            Self::Barred(_) => "UserInvalid",
            Self::NotLinked => "NotLinked",
            Self::MissingEmail => "MissingEmail",
            Self::TooManyOnline => "TooManyOnline",
            Self::UnknownProvider => "NotFound",
            Self::ProviderUnavailable(_) => "ProviderUnavailable",
            Self::ProviderRefused(_) => "ProviderRefused",
            Self::AccessDenied => "AccessDenied",
            Self::FlowExpired => "FlowExpired",
            Self::NoRecord => "ServiceUnavailable",
            Self::Conflict => "Conflict",
            Self::Failed(_) => "InternalError",
        }
    }
}

/// A credential was refused. Why is for the log, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential was refused: {0}")]
pub struct Unauthenticated(pub &'static str);

/// Who is who. Clones share everything.
#[derive(Clone)]
pub struct Identity {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) config: Config,
    pub(crate) index: Arc<Index>,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) sharing: Sharing,
    pub(crate) issuer: Issuer,
    pub(crate) audit: Audit,
    pub(crate) built: Built,
    pub(crate) seen: Seen,
}

impl Identity {
    /// Loads users and sessions, and follows them until `drain` finishes.
    pub async fn start(client: Client, config: Config, drain: &Drain) -> Result<Self, Error> {
        objects::ensure_namespace(&client).await?;
        let ((index, changed), passwords, keys) =
            tokio::try_join!(Index::start(&client, drain), Passwords::new(), keys::load(&client))?;
        let issuer = Issuer::new(&config.address, keys);
        let audit = Audit::new(config.audit.clone());
        let inner = Arc::new(Inner {
            client,
            config,
            index,
            passwords,
            throttle: Throttle::default(),
            sharing: Sharing::default(),
            issuer,
            audit,
            built: Built::default(),
            seen: Seen::default(),
        });
        let (reporter, owner) = (inner.clone(), drain.clone());
        drain.spawn(async move { report::keep(&reporter.client, &reporter.index, changed, &owner).await });
        inner.keep(drain);
        Ok(Self { inner })
    }

    /// A password for the first administrator, if there is no user of that name. Whoever starts the platform keeps it
    /// where people find it, and only then makes the user: dying in between leaves a password of nobody, and not an
    /// administrator whom nobody can be.
    pub fn propose_first_administrator(&self) -> Result<Option<String>, Error> {
        let index = &self.inner.index;
        match (index.user(FIRST_ADMINISTRATOR), index.credentials(FIRST_ADMINISTRATOR)) {
            (Some(_), Some(_)) => Ok(None),
            _ => token::password().map(Some),
        }
    }

    /// Makes the first administrator with this password. False if another replica was first, and has told its own.
    pub async fn create_first_administrator(&self, password: &str) -> Result<bool, Error> {
        let Inner { client, index, passwords, .. } = &*self.inner;
        let hash = passwords.hash(password.to_owned()).await?;
        let spec = UserSpec {
            email: FIRST_ADMINISTRATOR.into(),
            username: FIRST_ADMINISTRATOR.into(),
            connector_id: Some(LOCAL.into()),
            connector_name: LOCAL.into(),
            connector_type: LOCAL.into(),
            is_admin: true,
            state: Some(Activity::Active),
            valid: true,
            ..UserSpec::default()
        };
        let users = objects::users(client);
        let object = objects::user_object(spec);
        let user = match users.create(&PostParams::default(), &object).await {
            Ok(user) => user,
            Err(error) if objects::is(&error, 409) => {
                let name = object.metadata.name.unwrap_or_default();
                users.get(&name).await.map_err(Error::hub("read the first administrator"))?
            }
            Err(error) => return Err(Error::hub("store a user")(error)),
        };
        let credentials = Credentials {
            email: FIRST_ADMINISTRATOR.into(),
            password: Some(hash),
            changed: Some(Timestamp::now()),
            ..Credentials::default()
        };
        // Whose password is stored decides who was first: a user without one is of a start that ended in between.
        let stored = objects::put_credentials(client, &user, &credentials).await?;
        index.put_user(user);
        let was_first = stored.is_some();
        if let Some(stored) = stored {
            index.put_credentials(stored);
        }
        Ok(was_first)
    }

    /// Ends a session, here at once and everywhere soon.
    pub async fn logout(&self, session: &Session) -> Result<(), Error> {
        self.inner.end(&session.grant.stored).await
    }

    /// The groups that somebody is in, as their requests say it; none of nobody's.
    pub fn groups_of(&self, email: &str) -> Vec<lib_names::GroupName> {
        self.inner.index.groups_of(email)
    }

    /// Who sends a request with these headers; `None` if they carry no credential of ours.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Option<(Session, Presented)>, Unauthenticated> {
        let Some((bearer, presented)) = credentials::read(headers)? else { return Ok(None) };
        let now = Timestamp::now();
        let grant = match bearer {
            Bearer::Opaque(token) => {
                let grant = self.inner.index.grant(&token.hash(), now)?;
                // What a client of the issuer holds is a signed token. The hash of its session is of no token at all.
                if matches!(grant.stored.kind, session::Kind::Grant { .. }) {
                    return Err(Unauthenticated("a client's session is not used by its identifier"));
                }
                grant
            }
            Bearer::Signed(token) => self.inner.issuer.authenticate(&self.inner.index, &token, now)?,
        };
        Ok(Some((Session { grant }, presented)))
    }
}

impl Inner {
    /// What time alone does, and what others wrote where nobody waits for it. Each in a task of its own: a provider that
    /// does not answer, or a directory of many people, holds up nothing else.
    fn keep(self: &Arc<Self>, drain: &Drain) {
        self.every_tick(drain, |inner, now| async move { inner.end_what_is_over(now).await });
        self.every_tick(drain, |inner, _| async move { inner.write_down_uses().await });
        self.every_tick(drain, |inner, now| async move { inner.renew_keys(now).await });
        self.every_tick(drain, |inner, _| async move { inner.put_secrets_away().await });
        self.every_tick(drain, |inner, now| async move { inner.look_after_providers(now).await });
        self.every_tick(drain, |inner, now| async move { inner.ask_providers(now).await });
        let mut unlocked = HashMap::new();
        self.every_tick(drain, move |inner, _| {
            inner.follow_unlocking(&mut unlocked);
            std::future::ready(())
        });
    }

    fn every_tick<Work, Done>(self: &Arc<Self>, drain: &Drain, mut work: Work)
    where
        Work: FnMut(Arc<Self>, Timestamp) -> Done + Send + 'static,
        Done: Future<Output = ()> + Send,
    {
        let (inner, owner) = (self.clone(), drain.clone());
        drain.spawn(async move {
            let mut tick = tokio::time::interval(TICK);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = owner.finishing() => return,
                    _ = tick.tick() => {}
                }
                work(inner.clone(), Timestamp::now()).await;
            }
        });
    }

    async fn end_what_is_over(&self, now: Timestamp) {
        for stored in self.index.over(now) {
            if let Err(error) = self.end(&stored).await {
                tracing::warn!(error = %lib_telemetry::chain(&error), "could not delete a session that is over");
            }
        }
    }

    async fn write_down_uses(&self) {
        for (id, seen) in self.index.used(USED) {
            let used = objects::change_session(&self.client, &id, |stored| {
                let newer = seen > stored.last_seen;
                stored.last_seen = stored.last_seen.max(seen);
                newer
            });
            if let Err(error) = used.await {
                tracing::debug!(error = %lib_telemetry::chain(&error), "could not write down that a session was used");
            }
        }
    }

    async fn renew_keys(&self, now: Timestamp) {
        if let Err(error) = self.issuer.renew(&self.client, now).await {
            tracing::warn!(error = %lib_telemetry::chain(&error), "could not renew the issuer's keys");
        }
    }

    /// Asks providers whether those who came from them are still there.
    async fn ask_providers(&self, now: Timestamp) {
        // Each of them makes us wait once, however many people came from it.
        let mut silent = HashSet::new();
        for grant in self.index.sessions(None, now) {
            let provider = &grant.stored.provider.id;
            let is_due = now.duration_since(grant.stored.asked()) >= self.config.ask_providers;
            if !self.can_ask(&grant) || !is_due || silent.contains(provider) {
                continue;
            }
            // Whoever writes that it asks is who asks: a refresh token is good once.
            let id = grant.stored.id();
            let mine = objects::change_session(&self.client, &id, |stored| {
                let due = now.duration_since(stored.asked()) >= self.config.ask_providers;
                stored.provider.asked = Some(now);
                due
            });
            let there = match mine.await {
                Ok(Some(stored)) => self.still_there(&stored, now).await,
                Ok(None) => continue,
                Err(error) => Err(error.into()),
            };
            match there {
                Ok(true) => {}
                Ok(false) => {
                    tracing::info!(user = %grant.stored.username, "a provider no longer knows a session");
                    if let Err(error) = self.end(&grant.stored).await {
                        tracing::warn!(error = %lib_telemetry::chain(&error), "could not delete a session that is over");
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %lib_telemetry::chain(&error), "could not ask a provider for a session");
                    if matches!(error, LoginError::ProviderUnavailable(_)) {
                        silent.insert(provider.clone());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
