//! Who may try a password, and how often, as one process sees it. Pure but for its lock. What is locked, all replicas know
//! from [`locks`](crate::locks).
//!
//! Failures are counted by the address that the connection really comes from (a /64 for IPv6) and by account. An address
//! with many failures waits. An account that fails again and again is locked *for the addresses that failed*, for as long
//! as the policy says: a stranger locks out the stranger, and its owner, who comes from elsewhere, gets in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api_types::auth::LockPolicy;

use crate::locks::Lock;

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

/// How many pairs of an address and an account are remembered. The oldest of those that are not locked go first.
const PAIRS: usize = 50_000;

/// Too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts")]
pub struct Throttled {
    /// When to try again.
    pub retry_after: Duration,
    /// Whether the account is locked, for whoever comes from there.
    pub locked: bool,
}

impl Throttled {
    pub(crate) fn busy(retry_after: Duration) -> Self {
        Self { retry_after, locked: false }
    }
}

/// When failures lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) failures: u32,
    pub(crate) window: Duration,
    pub(crate) lock: Duration,
}

impl Limits {
    pub(crate) fn of(policy: &LockPolicy) -> Self {
        let part = |number: i32, seconds: u64| Duration::from_secs(u64::try_from(number).unwrap_or(1).max(1) * seconds);
        Self {
            failures: u32::try_from(policy.failures).unwrap_or(1).max(1),
            window: part(policy.window_hours, 3600),
            lock: part(policy.minutes, 60),
        }
    }
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

/// The failures of one address with one account.
#[derive(Clone, Copy)]
struct Pair {
    since: Instant,
    failures: u32,
    locked_until: Option<Instant>,
}

#[derive(Default)]
struct Counts {
    counts: HashMap<Key, Count>,
    pairs: HashMap<(IpAddr, String), Pair>,
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
    pair: (IpAddr, String),
    /// This one locks the account, if it fails.
    locks: bool,
}

/// The network of an address, and an account, as attempts are counted.
pub(crate) fn pair(peer: IpAddr, account: &str) -> (IpAddr, String) {
    (network(peer), bounded(account))
}

impl Throttle {
    pub(crate) fn attempt(
        &self,
        peer: IpAddr,
        account: &str,
        limits: Limits,
        now: Instant,
    ) -> Result<Attempt, Throttled> {
        let mut all = lock(&self.counts);
        all.prune(now, limits);
        let pair = pair(peer, account);
        let known = all.pairs.get(&pair).copied();
        if let Some(until) = known.and_then(|known| known.locked_until).filter(|until| *until > now) {
            return Err(Throttled { retry_after: until.duration_since(now), locked: true });
        }
        let counts = &mut all.counts;
        let room = counts.len() < REMEMBERED;
        let remembered = |key: Key| if room || counts.contains_key(&key) { key } else { Key::Stranger };
        let keys = [remembered(Key::Peer(pair.0)), remembered(Key::Account(pair.1.clone()))];
        let [of_peer, of_account] = [&keys[0], &keys[1]].map(|key| current(counts, key, now));
        let limit = if of_account.failures >= PER_ACCOUNT { PER_PEER_UNDER_ATTACK } else { PER_PEER };
        if of_peer.failures >= limit {
            let retry_after = (of_peer.since + WINDOW).duration_since(now).max(Duration::from_secs(1));
            return Err(Throttled::busy(retry_after));
        }
        for (key, count) in [(&keys[0], of_peer), (&keys[1], of_account)] {
            counts.insert(key.clone(), Count { failures: count.failures.saturating_add(1), ..count });
        }
        let fresh =
            known.filter(|known| now.duration_since(known.since) < limits.window && known.locked_until.is_none());
        let mut count = fresh.unwrap_or(Pair { since: now, failures: 0, locked_until: None });
        count.failures += 1;
        let locks = count.failures >= limits.failures;
        count.locked_until = locks.then(|| now + limits.lock);
        if known.is_some() || all.pairs.len() < PAIRS {
            all.pairs.insert(pair.clone(), count);
        }
        Ok(Attempt { counts: self.counts.clone(), keys, pair, locks })
    }

    /// Forgets the failures of an account, wherever they came from.
    pub(crate) fn unlock(&self, account: &str) {
        let account = bounded(account);
        lock(&self.counts).pairs.retain(|(_, name), _| *name != account);
    }
}

/// Names are bounded, or an attacker chooses how much is remembered.
pub(crate) fn bounded(account: &str) -> String {
    account.chars().take(64).collect::<String>().to_lowercase()
}

impl Counts {
    /// Looks at everything, so not at every attempt.
    fn prune(&mut self, now: Instant, limits: Limits) {
        let lately = self.pruned.is_some_and(|last| now.duration_since(last) < PRUNE);
        if self.counts.len() >= REMEMBERED && !lately {
            self.counts.retain(|_, count| now.duration_since(count.since) < WINDOW);
            self.pruned = Some(now);
        }
        if self.pairs.len() >= PAIRS && !lately {
            let locked = |pair: &Pair| pair.locked_until.is_some_and(|until| until > now);
            self.pairs.retain(|_, pair| locked(pair) || now.duration_since(pair.since) < limits.window);
            if self.pairs.len() >= PAIRS {
                self.pairs.retain(|_, pair| locked(pair) || now.duration_since(pair.since) < WINDOW);
            }
            self.pruned = Some(now);
        }
    }
}

impl Attempt {
    /// What is locked now that it has failed.
    pub(crate) fn locked(&self) -> Option<Lock> {
        self.locks.then(|| Lock::new(self.pair.0, &self.pair.1))
    }

    /// Takes back this attempt, and only this one: who knows one password must not get more guesses at others.
    pub(crate) fn succeeded(self) {
        let mut counts = lock(&self.counts);
        for key in &self.keys {
            if let Some(count) = counts.counts.get_mut(key) {
                count.failures = count.failures.saturating_sub(1);
            }
        }
        // Its owner was here: what failed from there was the owner's mistake.
        counts.pairs.remove(&self.pair);
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

    /// So many failures that only what is counted otherwise matters.
    const LOOSE: Limits =
        Limits { failures: u32::MAX, window: Duration::from_secs(86_400), lock: Duration::from_secs(1200) };

    fn policy() -> Limits {
        Limits::of(&LockPolicy::default())
    }

    #[test]
    fn five_failures_lock_for_twenty_minutes() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let minute = Duration::from_secs(60);
        for n in 0..5 {
            let attempt = throttle.attempt(address(1), "ann", policy(), now + minute * n).unwrap();
            assert_eq!(attempt.locks, n == 4);
        }
        let refused = throttle.attempt(address(1), "Ann", policy(), now + minute * 5).err().unwrap();
        assert!(refused.locked);
        assert_eq!(refused.retry_after, minute * 19);
        assert!(throttle.attempt(address(1), "ann", policy(), now + minute * 24).is_ok());
        // The next lock takes five failures again.
        assert!(throttle.attempt(address(1), "ann", policy(), now + minute * 24).is_ok());
    }

    #[test]
    fn failures_of_long_ago_do_not_count() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let day = Duration::from_secs(86_400);
        for n in 0..4 {
            throttle.attempt(address(1), "ann", policy(), now + n * Duration::from_secs(60)).unwrap();
        }
        assert!(!throttle.attempt(address(1), "ann", policy(), now + day).unwrap().locks);
    }

    #[test]
    fn an_administrator_unlocks_and_a_success_forgets() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..5 {
            throttle.attempt(address(1), "ann", policy(), now).unwrap();
        }
        throttle.unlock("ANN");
        for _ in 0..4 {
            throttle.attempt(address(1), "ann", policy(), now).unwrap();
        }
        let later = now + WINDOW;
        throttle.attempt(address(1), "ann", policy(), later).unwrap().succeeded();
        assert!(!throttle.attempt(address(1), "ann", policy(), later).unwrap().locks);
    }

    #[test]
    fn case_43_a_stranger_locks_out_the_stranger() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..200 {
            let _ = throttle.attempt(address(n % 20), "admin", policy(), now);
        }
        assert!(throttle.attempt(address(3), "admin", policy(), now).is_err());
        throttle.attempt(address(999), "admin", policy(), now).unwrap().succeeded();
    }

    #[test]
    fn case_43_an_address_waits_after_its_failures() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..PER_PEER {
            assert!(throttle.attempt(address(1), "admin", LOOSE, now).is_ok());
        }
        let refused = throttle.attempt(address(1), "other", LOOSE, now).err().unwrap();
        assert!(refused.retry_after <= WINDOW && refused.retry_after > Duration::ZERO);
        assert!(throttle.attempt(address(1), "admin", LOOSE, now + WINDOW).is_ok());
    }

    #[test]
    fn case_43_strangers_do_not_lock_the_owner_out() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let tried = (0..1000).map(|n| throttle.attempt(address(n % 100), "admin", LOOSE, now).is_ok());
        assert!(tried.filter(|ok| *ok).count() < 300);
        throttle.attempt(address(5000), "admin", LOOSE, now).unwrap().succeeded();
        throttle.attempt(address(5000), "admin", LOOSE, now).unwrap().succeeded();
    }

    #[test]
    fn a_success_does_not_buy_more_guesses() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let mut guesses = 0;
        for _ in 0..50 {
            if let Ok(own) = throttle.attempt(address(1), "mallory", LOOSE, now) {
                own.succeeded();
            }
            guesses += u32::from(throttle.attempt(address(1), "admin", LOOSE, now).is_ok());
        }
        assert_eq!(guesses, PER_PEER);
    }

    #[test]
    fn memory_is_bounded() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..30_000 {
            let _ = throttle.attempt(address(n), &format!("user-{n}"), LOOSE, now);
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
