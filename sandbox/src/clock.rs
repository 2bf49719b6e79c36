//! The time in which a simulated cluster lives: the machine's, or a faster one.
//!
//! Workloads, scheduler and kubelets read this clock and wait by it, so that hours can pass in seconds: probes, grace
//! periods, back-offs, deadlines and schedules all shrink alike.
//!
//! # Caveats
//!
//! The API server stamps objects (`creationTimestamp`, `deletionTimestamp`) by the machine's time, and so do the
//! controllers that deal in its stamps alone: accounts, certificates, namespaces, quotas, garbage. To an accelerated
//! cluster such a stamp lies in the past. A person at a terminal in a container stays in the machine's time as well.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use crate::meta::seconds;

/// A clock; cheap to clone. [`Clock::default`] is the machine's.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Accelerated>);

#[derive(Clone, Debug)]
struct Accelerated {
    speed: u32,
    began: Instant,
    at: Timestamp,
}

impl Clock {
    /// A clock that shows the present now, and runs `speed` times as fast as the machine's.
    pub fn accelerated(speed: u32) -> Self {
        Self((speed > 1).then(|| Accelerated { speed, began: Instant::now(), at: Timestamp::now() }))
    }

    /// The cluster's present.
    pub fn now(&self) -> Timestamp {
        let Some(fast) = &self.0 else { return Timestamp::now() };
        let passed = fast.began.elapsed().saturating_mul(fast.speed);
        SignedDuration::try_from(passed).ok().and_then(|passed| fast.at.checked_add(passed).ok()).unwrap_or(fast.at)
    }

    /// The cluster's present in whole seconds, as upstream writes times.
    pub(crate) fn time(&self) -> Time {
        Time(seconds(self.now()))
    }

    /// How long the machine takes for that much of the cluster's time.
    pub(crate) fn real(&self, wait: Duration) -> Duration {
        match &self.0 {
            Some(fast) => wait / fast.speed,
            None => wait,
        }
    }

    /// A wait that a busy machine can keep however fast the clock: where it runs fast, no shorter than `least` of the
    /// machine's time.
    pub(crate) fn bearable(&self, wait: Duration, least: Duration) -> Duration {
        match &self.0 {
            Some(fast) => wait.max(least * fast.speed),
            None => wait,
        }
    }

    /// Waits for that much of the cluster's time.
    pub(crate) async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(self.real(wait)).await;
    }
}

/// How much is left at `now` of a wait that began at `since`; nothing when it is over. The sum of the two may lie beyond
/// what a timestamp holds, as people may write any number of seconds, so it is never made.
pub(crate) fn left(since: Timestamp, wait: SignedDuration, now: Timestamp) -> Duration {
    Duration::try_from(wait.saturating_sub(now.duration_since(since))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_accelerated_clock_runs_fast_and_waits_short() {
        let clock = Clock::accelerated(60);
        let (before, began) = (clock.now(), Instant::now());
        clock.sleep(Duration::from_secs(600)).await;
        assert_eq!(began.elapsed().as_secs(), 10);
        assert_eq!(clock.now().duration_since(before).as_secs(), 600);
    }

    #[tokio::test(start_paused = true)]
    async fn the_default_is_the_machines_time() {
        for clock in [Clock::default(), Clock::accelerated(1)] {
            assert_eq!(clock.real(Duration::from_secs(7)), Duration::from_secs(7));
            assert!(Timestamp::now().duration_since(clock.now()).abs() < SignedDuration::from_secs(1));
        }
    }

    #[test]
    fn what_is_left_of_a_wait() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let check = |since: Timestamp, wait: i64, expect: Duration| {
            assert_eq!(left(since, SignedDuration::from_secs(wait), at(100)), expect);
        };
        check(at(90), 30, Duration::from_secs(20));
        check(at(120), 30, Duration::from_secs(50));
        check(at(60), 40, Duration::ZERO);
        check(at(60), -1, Duration::ZERO);
        check(at(100), i64::MAX, Duration::from_secs(i64::MAX.unsigned_abs()));
        check(Timestamp::MAX, i64::MAX, Duration::try_from(SignedDuration::MAX).unwrap());
        check(Timestamp::MIN, i64::MIN, Duration::ZERO);
    }

    #[test]
    fn a_fast_clock_leaves_the_machine_time() {
        let (wait, least) = (Duration::from_secs(10), Duration::from_millis(100));
        for (clock, expect) in [(Clock::default(), 10), (Clock::accelerated(10), 10), (Clock::accelerated(3600), 360)] {
            assert_eq!(clock.bearable(wait, least), Duration::from_secs(expect));
        }
        assert_eq!(Clock::default().bearable(least, wait), least);
    }
}
