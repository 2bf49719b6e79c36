//! Locks that hold at every replica and after a restart: one Secret, which all of them follow.
//!
//! The counts of failures are each process's own: to share them would cost a write for each attempt. What they come to is
//! shared, for names that are nobody's as well, or a second replica would tell which names somebody has. Names are kept as
//! hashes: people type passwords where a name belongs. There are so many and no more, and of many locks at once all are
//! written together, so an attacker with many addresses makes neither the Secret nor the work grow.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use kube::api::PostParams;
use kube::{Client, ResourceExt};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::objects::{self, RACES, is, secrets};

/// The Secret.
pub(crate) const NAME: &str = "sign-in-locks";
/// Its label.
pub(crate) const LABEL: &str = "auth.cpaas.io/locks";
/// How many there are at once. Beyond that, those that end first hold only where they were made.
const MOST: usize = 1_000;

/// What is locked, and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Locks {
    until: BTreeMap<String, Timestamp>,
    /// The object's version.
    #[serde(skip)]
    pub(crate) version: Option<String>,
}

/// One account for one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lock(String);

impl Lock {
    pub(crate) fn new(network: IpAddr, account: &str) -> Self {
        Self(format!("{}{network}", prefix(account)))
    }
}

/// What the keys of an account begin with.
fn prefix(account: &str) -> String {
    let hash = digest(&SHA256, account.as_bytes());
    let hash: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{hash}/")
}

impl Locks {
    pub(crate) fn until(&self, key: &Lock, now: Timestamp) -> Option<Timestamp> {
        self.until.get(&key.0).copied().filter(|until| *until > now)
    }

    fn add(&mut self, new: &[(Lock, Timestamp)], now: Timestamp) {
        for (key, until) in new {
            let known = self.until.entry(key.0.clone()).or_insert(*until);
            *known = (*known).max(*until);
        }
        self.until.retain(|_, until| *until > now);
        let Some(excess) = self.until.len().checked_sub(MOST).filter(|excess| *excess > 0) else { return };
        let mut ends: Vec<_> = self.until.iter().map(|(key, until)| (*until, key.clone())).collect();
        ends.sort_unstable();
        for (_, key) in ends.into_iter().take(excess) {
            self.until.remove(&key);
        }
    }

    fn forget(&mut self, accounts: &[String]) {
        for account in accounts {
            let prefix = prefix(account);
            self.until.retain(|key, _| !key.starts_with(&prefix));
        }
    }
}

/// What this process has to write.
#[derive(Default)]
pub(crate) struct Sharing {
    new: Mutex<Vec<(Lock, Timestamp)>>,
    /// Held by whoever writes, for all who wait for it.
    turn: tokio::sync::Mutex<()>,
}

impl Sharing {
    /// Lets every replica know of a lock; what is stored then. `None` if somebody else has written it in the meantime.
    pub(crate) async fn lock(
        &self,
        client: &Client,
        key: Lock,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Locks>, Error> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push((key, until));
        let _turn = self.turn.lock().await;
        let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        if new.is_empty() {
            return Ok(None);
        }
        change(client, |locks| locks.add(&new, now)).await.map(Some)
    }
}

/// Forgets the locks of these accounts, for all networks.
pub(crate) async fn unlock(client: &Client, accounts: &[String]) -> Result<Locks, Error> {
    change(client, |locks| locks.forget(accounts)).await
}

pub(crate) fn read(secret: &k8s_openapi::api::core::v1::Secret) -> Option<Locks> {
    let locks: Locks = objects::read(secret).filter(|_| secret.metadata.name.as_deref() == Some(NAME))?;
    Some(Locks { version: secret.resource_version(), ..locks })
}

async fn change(client: &Client, change: impl Fn(&mut Locks)) -> Result<Locks, Error> {
    let api = secrets(client);
    for _ in 0..RACES {
        let present = api.get_opt(NAME).await.map_err(Error::hub("read who is locked"))?;
        // What is not ours is written over.
        let old = present.as_ref().and_then(read).unwrap_or_default();
        let mut new = old.clone();
        change(&mut new);
        if new == old {
            return Ok(new);
        }
        let mut secret = objects::secret(NAME, LABEL, &new)?;
        let written = match present {
            None => api.create(&PostParams::default(), &secret).await,
            Some(present) => {
                secret.metadata.resource_version = present.resource_version();
                api.replace(NAME, &PostParams::default(), &secret).await
            }
        };
        match written {
            Ok(stored) => return Ok(Locks { version: stored.resource_version(), ..new }),
            Err(error) if is(&error, 409) || is(&error, 404) => {}
            Err(error) => return Err(Error::hub("store who is locked")(error)),
        }
    }
    Err(Error::Contended("who is locked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(n: u32, account: &str) -> Lock {
        Lock::new(IpAddr::V4(std::net::Ipv4Addr::from_bits(n)), account)
    }

    #[test]
    fn a_lock_is_of_an_account_and_a_network_and_ends() {
        let mut locks = Locks::default();
        locks.add(&[(key(1, "local/ann"), at(100))], at(0));
        assert_eq!(locks.until(&key(1, "local/ann"), at(99)), Some(at(100)));
        for (other, now) in [(key(2, "local/ann"), 0), (key(1, "local/bob"), 0), (key(1, "local/ann"), 100)] {
            assert_eq!(locks.until(&other, at(now)), None, "{other:?}");
        }
        locks.add(&[(key(1, "local/bob"), at(300))], at(100));
        assert_eq!(locks.until.len(), 1, "what is over is forgotten");
        // An older word does not shorten it.
        locks.add(&[(key(1, "local/bob"), at(200))], at(100));
        assert_eq!(locks.until(&key(1, "local/bob"), at(250)), Some(at(300)));
    }

    #[test]
    fn an_account_is_unlocked_everywhere() {
        let mut locks = Locks::default();
        locks.add(&[(key(1, "local/ann"), at(9)), (key(2, "local/ann"), at(9)), (key(1, "local/bob"), at(9))], at(0));
        locks.forget(&["local/ann".to_owned()]);
        assert_eq!(locks.until.len(), 1);
        assert!(locks.until(&key(1, "local/bob"), at(0)).is_some());
    }

    #[test]
    fn case_43_an_attacker_does_not_make_it_grow() {
        let mut locks = Locks::default();
        let all: Vec<_> = (0..3_000).map(|n| (key(n, "local/ann"), at(i64::from(n) + 1))).collect();
        locks.add(&all, at(0));
        assert_eq!(locks.until.len(), MOST);
        assert!(locks.until(&key(2_999, "local/ann"), at(0)).is_some());
        assert!(serde_json::to_vec(&locks).unwrap().len() < 64 * 1024);
    }

    #[test]
    fn no_name_is_stored() {
        let mut locks = Locks::default();
        locks.add(&[(key(1, "local/hunter2-hunter2"), at(9))], at(0));
        assert!(!serde_json::to_string(&locks).unwrap().contains("hunter2"));
    }
}
