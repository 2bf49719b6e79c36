//! Users and sessions in memory, fed by watches.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher::watcher};
use lib_drain::Drain;
use lib_telemetry::chain;
use tokio::sync::watch;

use crate::session::Stored;
use crate::token::TokenHash;
use crate::user::Record;
use crate::{Error, Unauthenticated, secrets};

/// How long the first lists may take.
const LOAD: Duration = Duration::from_secs(30);
/// How long what was written here may take to come back in a list.
const ECHO: Duration = Duration::from_secs(60);

/// What is known. Changes are announced.
pub(crate) struct Index {
    tables: RwLock<Tables>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Tables {
    users: HashMap<String, (Record, Instant)>,
    sessions: HashMap<TokenHash, (Stored, Instant)>,
    /// Sessions that were ended here: a late event does not bring them back.
    revoked: HashMap<TokenHash, Instant>,
}

impl Tables {
    fn holder(&self, stored: &Stored, now: Timestamp) -> Result<&Record, Unauthenticated> {
        if stored.expires <= now {
            return Err(Unauthenticated("the session has expired"));
        }
        let (record, _) = self.users.get(&stored.username).ok_or(Unauthenticated("the user is gone"))?;
        if record.disabled || record.user.uid != stored.user_uid || record.fingerprint() != stored.password {
            return Err(Unauthenticated("the user was disabled or has another password"));
        }
        Ok(record)
    }

    /// Removes the session that was kept in this Secret, whatever the Secret says now.
    fn forget_session(&mut self, secret: &Secret) {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        self.sessions.retain(|hash, _| secrets::session_secret(hash) != name);
    }
}

impl Index {
    pub(crate) async fn start(client: &Client, drain: &Drain) -> Result<Arc<Self>, Error> {
        let index = Arc::new(Self { tables: RwLock::default(), changed: watch::Sender::new(0) });
        let (users_ready, mut users_loaded) = watch::channel(false);
        let (sessions_ready, mut sessions_loaded) = watch::channel(false);
        drain.spawn(follow(client, drain, secrets::USER_LABEL, users_ready, index.clone(), Self::apply_user));
        drain.spawn(follow(client, drain, secrets::SESSION_LABEL, sessions_ready, index.clone(), Self::apply_session));
        let loaded = async {
            users_loaded.wait_for(|ready| *ready).await.is_ok()
                && sessions_loaded.wait_for(|ready| *ready).await.is_ok()
        };
        match tokio::time::timeout(LOAD, loaded).await {
            Ok(true) => Ok(index),
            _ => Err(Error::Load),
        }
    }

    pub(crate) fn user(&self, name: &str) -> Option<Record> {
        self.read().users.get(name).map(|(record, _)| record.clone())
    }

    /// A session that holds, and whose it is.
    pub(crate) fn holder(&self, hash: &TokenHash, now: Timestamp) -> Result<(Stored, Record), Unauthenticated> {
        let tables = self.read();
        let session = tables.sessions.get(hash).filter(|_| !tables.revoked.contains_key(hash));
        let (stored, _) = session.ok_or(Unauthenticated("there is no such session"))?;
        let record = tables.holder(stored, now)?;
        Ok((stored.clone(), record.clone()))
    }

    pub(crate) fn put_user(&self, record: Record) {
        self.write().users.insert(record.user.name.to_string(), (record, Instant::now()));
    }

    pub(crate) fn put_session(&self, stored: Stored) {
        self.write().sessions.insert(stored.hash, (stored, Instant::now()));
    }

    pub(crate) fn revoke(&self, hash: &TokenHash) {
        let mut tables = self.write();
        let now = Instant::now();
        tables.revoked.retain(|_, at| now.duration_since(*at) < ECHO);
        tables.revoked.insert(*hash, now);
        tables.sessions.remove(hash);
        drop(tables);
        self.announce();
    }

    /// Sessions that hold no more. A young one may only be ahead of what it depends on: another replica has made it.
    pub(crate) fn over(&self, now: Timestamp) -> Vec<TokenHash> {
        let tables = self.read();
        let old = tables.sessions.values().filter(|(_, at)| at.elapsed() >= ECHO);
        old.filter(|(stored, _)| tables.holder(stored, now).is_err()).map(|(stored, _)| stored.hash).collect()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn apply_user(&self, change: Change<'_>) {
        let mut tables = self.write();
        match change {
            Change::Put(secret) => {
                if let Some(record) = secrets::read_user(secret) {
                    tables.users.insert(record.user.name.to_string(), (record, Instant::now()));
                } else {
                    tracing::warn!(secret = ?secret.metadata.name, "a stored user is not usable");
                    // What it said before no longer holds either.
                    let uid = secret.metadata.uid.clone().unwrap_or_default();
                    tables.users.retain(|_, (record, _)| record.user.uid != uid);
                }
            }
            Change::Gone(secret) => {
                let uid = secret.metadata.uid.clone().unwrap_or_default();
                tables.users.retain(|_, (record, _)| record.user.uid != uid);
            }
            Change::Listed { began, .. } => tables.users.retain(|_, (_, at)| kept(*at, began)),
        }
        drop(tables);
        self.announce();
    }

    fn apply_session(&self, change: Change<'_>) {
        let mut tables = self.write();
        match change {
            Change::Put(secret) => {
                if let Some(stored) = secrets::read_session(secret) {
                    tables.sessions.insert(stored.hash, (stored, Instant::now()));
                } else {
                    tracing::warn!(secret = ?secret.metadata.name, "a stored session is not usable");
                    tables.forget_session(secret);
                }
            }
            Change::Gone(secret) => match secrets::read_session(secret) {
                Some(stored) => drop(tables.sessions.remove(&stored.hash)),
                None => tables.forget_session(secret),
            },
            Change::Listed { began, .. } => tables.sessions.retain(|_, (_, at)| kept(*at, began)),
        }
        drop(tables);
        self.announce();
    }

    fn announce(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        // Every change is one insertion or removal: a panic leaves nothing half done.
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an entry outlives a new list: what the list named is newer than its beginning, and so is what was written here
/// meanwhile.
fn kept(at: Instant, began: Instant) -> bool {
    at >= began
}

enum Change<'a> {
    Put(&'a Secret),
    Gone(&'a Secret),
    /// A new list is complete; what it did not name is gone.
    Listed {
        began: Instant,
    },
}

fn follow(
    client: &Client,
    drain: &Drain,
    label: &'static str,
    ready: watch::Sender<bool>,
    index: Arc<Index>,
    apply: fn(&Index, Change<'_>),
) -> impl Future<Output = ()> + Send + 'static {
    let events = watcher(secrets::api(client), watcher::Config::default().labels(label)).default_backoff();
    let finishing = drain.token().clone();
    async move {
        let feed = feed(events.boxed(), ready, &index, apply);
        tokio::select! {
            () = feed => {}
            () = finishing.cancelled() => {}
        }
    }
}

async fn feed(
    mut events: impl Stream<Item = Result<Event<Secret>, watcher::Error>> + Unpin,
    ready: watch::Sender<bool>,
    index: &Index,
    apply: fn(&Index, Change<'_>),
) {
    let mut began = Instant::now();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => began = Instant::now(),
            Ok(Event::Apply(secret) | Event::InitApply(secret)) => apply(index, Change::Put(&secret)),
            Ok(Event::Delete(secret)) => apply(index, Change::Gone(&secret)),
            Ok(Event::InitDone) => {
                apply(index, Change::Listed { began });
                ready.send_replace(true);
            }
            Err(error) => tracing::warn!(error = %chain(&error), "could not follow users and sessions"),
        }
    }
}
