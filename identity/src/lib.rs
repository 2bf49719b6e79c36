//! People: local users, passwords and sessions.
//!
//! Users and sessions are Secrets in `cpaas-system` on the hub; the process keeps an index of both, fed by watches, so
//! that a request is authenticated without asking the API server. Passwords are kept as argon2id hashes, session tokens
//! as SHA-256 hashes: what is stored cannot be used to sign in.
//!
//! # Guarantees
//!
//! - Nobody becomes a user or member of a group that Kubernetes or the hub keeps for itself.
//! - A session ends with its time, its logout, and with the removal, disabling or new password of its user.
//! - A wrong name and a wrong password cannot be told apart, by answer or by time.

mod credentials;
mod index;
mod password;
mod secrets;
mod session;
mod throttle;
mod token;
mod user;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use jiff::Timestamp;
use kube::Client;
use lib_drain::Drain;
use lib_names::{GroupName, UserName};

use crate::index::Index;
use crate::password::Passwords;
use crate::throttle::Throttle;
use crate::token::TokenHash;

pub use crate::credentials::{COOKIE, Presented};
pub use crate::session::Session;
pub use crate::throttle::Throttled;
pub use crate::token::Token;
pub use crate::user::User;

/// The first administrator's name.
pub const FIRST_ADMINISTRATOR: &str = "admin@cpaas.io";

/// The first administrator's group, which is bound to `cluster-admin` on every cluster.
const ADMINISTRATORS: &str = "cpaas:platform-admins";

/// What an operator decides.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a session lasts.
    pub session: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { session: Duration::from_secs(12 * 60 * 60) }
    }
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
    #[error("wrong user name or password")]
    Wrong,
    /// Too many attempts.
    #[error("too many attempts")]
    Throttled(#[from] Throttled),
    /// It is our fault.
    #[error("could not sign in")]
    Failed(#[from] Error),
}

/// A credential was refused. Why is for the log, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential was refused: {0}")]
pub struct Unauthenticated(pub &'static str);

/// Somebody who has just signed in.
#[derive(Debug)]
pub struct Login {
    /// The session's token, said once.
    pub token: Token,
    /// The session.
    pub session: Session,
}

/// Who is who. Clones share everything.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    config: Config,
    index: Arc<Index>,
    passwords: Passwords,
    throttle: Throttle,
}

impl Identity {
    /// Loads users and sessions, and follows them until `drain` finishes.
    pub async fn start(client: Client, config: Config, drain: &Drain) -> Result<Self, Error> {
        secrets::ensure_namespace(&client).await?;
        let index = Index::start(&client, drain).await?;
        let passwords = Passwords::new().await?;
        let inner = Arc::new(Inner { client, config, index, passwords, throttle: Throttle::default() });
        let (sweeper, owner) = (inner.clone(), drain.clone());
        drain.spawn(async move { sweeper.sweep(&owner).await });
        Ok(Self { inner })
    }

    /// A password for the first administrator, if there is no user of that name. Whoever starts the platform keeps it
    /// where people find it, and only then makes the user: dying in between leaves a password of nobody, and not an
    /// administrator whom nobody can be.
    pub fn propose_first_administrator(&self) -> Result<Option<String>, Error> {
        match self.inner.index.user(FIRST_ADMINISTRATOR) {
            Some(_) => Ok(None),
            None => token::password().map(Some),
        }
    }

    /// Makes the first administrator with this password. False if another replica was first, and has told its own.
    pub async fn create_first_administrator(&self, password: &str) -> Result<bool, Error> {
        let Inner { client, index, passwords, .. } = &*self.inner;
        let user = User {
            name: FIRST_ADMINISTRATOR.parse::<UserName>().expect("the first administrator's name is one"),
            groups: vec![ADMINISTRATORS.parse::<GroupName>().expect("the administrators' group is one")],
            uid: String::new(),
        };
        let hash = passwords.hash(password.to_owned()).await?;
        let created = secrets::create_user(client, &user, &hash).await?;
        let was_first = created.is_some();
        if let Some(record) = created {
            index.put_user(record);
        }
        Ok(was_first)
    }

    /// Signs somebody in. `peer` is the address that the connection really comes from.
    pub async fn login(&self, peer: IpAddr, username: &str, password: &str) -> Result<Login, LoginError> {
        let inner = &*self.inner;
        // Counted before the password is looked at, so that attempts at the same time do not slip through.
        let attempt = inner.throttle.attempt(peer, username, Instant::now())?;
        let record = username.parse::<UserName>().ok().and_then(|name| inner.index.user(name.as_str()));
        let stored = record.as_ref().filter(|record| !record.disabled).map(|record| record.password.clone());
        let right = inner.passwords.verify(stored, password.to_owned()).await?;
        let Some(record) = record.filter(|_| right) else {
            tracing::info!(peer = %peer, "a sign-in was refused");
            return Err(LoginError::Wrong);
        };
        attempt.succeeded();
        let token = Token::generate()?;
        let expires = Timestamp::now()
            .checked_add(jiff::SignedDuration::try_from(inner.config.session).unwrap_or(jiff::SignedDuration::ZERO))
            .unwrap_or(Timestamp::MAX);
        let stored = secrets::create_session(&inner.client, &token.hash(), &record, expires).await?;
        inner.index.put_session(stored);
        let session = Session { user: record.user.clone(), expires, hash: token.hash() };
        tracing::info!(user = %session.user.name, peer = %peer, "signed in");
        Ok(Login { token, session })
    }

    /// Ends a session, here at once and everywhere soon.
    pub async fn logout(&self, session: &Session) -> Result<(), Error> {
        self.inner.index.revoke(&session.hash);
        secrets::delete_session(&self.inner.client, &session.hash).await
    }

    /// Who sends a request with these headers; `None` if they carry no credential of ours.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Option<(Session, Presented)>, Unauthenticated> {
        let Some((token, presented)) = credentials::read(headers)? else { return Ok(None) };
        self.session(&token).map(|session| Some((session, presented)))
    }

    fn session(&self, token: &Token) -> Result<Session, Unauthenticated> {
        let hash: TokenHash = token.hash();
        let (stored, record) = self.inner.index.holder(&hash, Timestamp::now())?;
        Ok(Session { user: record.user, expires: stored.expires, hash })
    }

    /// Whether a session still holds: for streams that outlive a request.
    pub fn is_valid(&self, session: &Session) -> bool {
        self.inner.index.holder(&session.hash, Timestamp::now()).is_ok()
    }

    /// Completes when a session no longer holds.
    pub async fn ended(&self, session: &Session) {
        let mut changes = self.inner.index.changes();
        while self.is_valid(session) {
            let left = session.expires.duration_since(Timestamp::now());
            let left = Duration::try_from(left).unwrap_or_default();
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(left) => {}
            }
        }
    }
}

impl Inner {
    /// Deletes sessions that are over, so that they do not come back with a user who is enabled again.
    async fn sweep(&self, drain: &Drain) {
        let mut tick = tokio::time::interval(Duration::from_secs(300));
        loop {
            tokio::select! {
                () = drain.finishing() => return,
                _ = tick.tick() => {}
            }
            for hash in self.index.over(Timestamp::now()) {
                if let Err(error) = secrets::delete_session(&self.client, &hash).await {
                    tracing::warn!(error = %lib_telemetry::chain(&error), "could not delete a session that is over");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
