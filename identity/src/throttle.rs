//! Who may try a password, and how often. Pure but for its lock.
//!
//! Failures are counted by the address that the connection really comes from (a /64 for IPv6) and by account. An address
//! with many failures waits. An account with many failures does *not* lock its owner out: then only addresses that have
//! failed before wait for it, so whoever comes with the right password gets in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Over how long failures count.
const WINDOW: Duration = Duration::from_secs(60);
/// Failures of one address, over all accounts.
const PER_PEER: u32 = 10;
/// Failures of one account, over all addresses, from which on addresses are looked at more closely.
const PER_ACCOUNT: u32 = 30;
/// Failures of one address while an account is under attack.
const PER_PEER_UNDER_ATTACK: u32 = 2;
/// How many addresses and accounts are remembered. Beyond that, strangers share one counter.
const REMEMBERED: usize = 10_000;
/// How often what is over is forgotten, at most.
const PRUNE: Duration = Duration::from_secs(1);

/// Too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts")]
pub struct Throttled {
    /// When to try again.
    pub retry_after: Duration,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Peer(IpAddr),
    Account(String),
    /// Everybody who came when the memory was full.
    Stranger,
}

#[derive(Clone, Copy)]
struct Count {
    since: Instant,
    failures: u32,
}

#[derive(Default)]
struct Counts {
    counts: HashMap<Key, Count>,
    /// When what is over was last forgotten.
    pruned: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Throttle {
    counts: Arc<Mutex<Counts>>,
}

/// An attempt that counts as failed until it is said to have succeeded.
pub(crate) struct Attempt {
    counts: Arc<Mutex<Counts>>,
    keys: [Key; 2],
}

impl Throttle {
    pub(crate) fn attempt(&self, peer: IpAddr, account: &str, now: Instant) -> Result<Attempt, Throttled> {
        let mut all = lock(&self.counts);
        all.prune(now);
        let counts = &mut all.counts;
        let room = counts.len() < REMEMBERED;
        let remembered = |key: Key| if room || counts.contains_key(&key) { key } else { Key::Stranger };
        // Names are bounded, or an attacker chooses how much is remembered.
        let account: String = account.chars().take(64).collect::<String>().to_lowercase();
        let keys = [remembered(Key::Peer(network(peer))), remembered(Key::Account(account))];
        let [of_peer, of_account] = [&keys[0], &keys[1]].map(|key| current(counts, key, now));
        let limit = if of_account.failures >= PER_ACCOUNT { PER_PEER_UNDER_ATTACK } else { PER_PEER };
        if of_peer.failures >= limit {
            let retry_after = (of_peer.since + WINDOW).duration_since(now).max(Duration::from_secs(1));
            return Err(Throttled { retry_after });
        }
        for (key, count) in [(&keys[0], of_peer), (&keys[1], of_account)] {
            counts.insert(key.clone(), Count { failures: count.failures.saturating_add(1), ..count });
        }
        Ok(Attempt { counts: self.counts.clone(), keys })
    }
}

impl Counts {
    /// Looks at everything, so not at every attempt.
    fn prune(&mut self, now: Instant) {
        let lately = self.pruned.is_some_and(|last| now.duration_since(last) < PRUNE);
        if self.counts.len() >= REMEMBERED && !lately {
            self.counts.retain(|_, count| now.duration_since(count.since) < WINDOW);
            self.pruned = Some(now);
        }
    }
}

impl Attempt {
    /// Takes back this attempt, and only this one: who knows one password must not get more guesses at others.
    pub(crate) fn succeeded(self) {
        let mut counts = lock(&self.counts);
        for key in &self.keys {
            if let Some(count) = counts.counts.get_mut(key) {
                count.failures = count.failures.saturating_sub(1);
            }
        }
    }
}

fn current(counts: &HashMap<Key, Count>, key: &Key, now: Instant) -> Count {
    let fresh = counts.get(key).filter(|count| now.duration_since(count.since) < WINDOW);
    fresh.copied().unwrap_or(Count { since: now, failures: 0 })
}

/// The network that one party holds.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    // Every change is an insertion or an assignment: a panic leaves nothing half done.
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n))
    }

    #[test]
    fn case_43_an_address_waits_after_its_failures() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..PER_PEER {
            assert!(throttle.attempt(address(1), "admin", now).is_ok());
        }
        let refused = throttle.attempt(address(1), "other", now).err().unwrap();
        assert!(refused.retry_after <= WINDOW && refused.retry_after > Duration::ZERO);
        assert!(throttle.attempt(address(1), "admin", now + WINDOW).is_ok());
    }

    #[test]
    fn case_43_strangers_do_not_lock_the_owner_out() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let tried = (0..1000).map(|n| throttle.attempt(address(n % 100), "admin", now).is_ok());
        assert!(tried.filter(|ok| *ok).count() < 300);
        throttle.attempt(address(5000), "admin", now).unwrap().succeeded();
        throttle.attempt(address(5000), "admin", now).unwrap().succeeded();
    }

    #[test]
    fn a_success_does_not_buy_more_guesses() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let mut guesses = 0;
        for _ in 0..50 {
            if let Ok(own) = throttle.attempt(address(1), "mallory", now) {
                own.succeeded();
            }
            guesses += u32::from(throttle.attempt(address(1), "admin", now).is_ok());
        }
        assert_eq!(guesses, PER_PEER);
    }

    #[test]
    fn memory_is_bounded() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..30_000 {
            let _ = throttle.attempt(address(n), &format!("user-{n}"), now);
        }
        assert!(lock(&throttle.counts).counts.len() <= REMEMBERED + 2);
    }

    #[test]
    fn neighbours_in_ipv6_are_one_party() {
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff".parse().unwrap()));
        assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), network("10.0.0.1".parse().unwrap()));
    }
}
