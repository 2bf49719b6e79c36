//! How long to wait before the next attempt. Pure: the caller brings chance and sleeps.

use std::io;
use std::time::Duration;

/// How the last attempt, or the last connection, ended; first those after which it is worth to come back soonest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// Somebody is there and hangs up at once, as a machine does while the hub on it restarts: for all agents.
    Refused,
    /// Nobody answers, or no way leads there. It may be back any moment.
    Unreachable,
    /// The hub said goodbye to a connection that had held: to all agents, most likely.
    Closed,
    /// Another process with our key has the tunnel. It is about to take our place for good, most likely.
    Replaced,
    /// The hub was reached and one of us refused the other. That takes a person to repair.
    Denied,
}

impl Failure {
    /// What an error on the way says.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            // An alert, or a bad certificate. A connection that breaks meanwhile is neither.
            io::ErrorKind::InvalidData => Self::Denied,
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Refused,
            _ => Self::Unreachable,
        }
    }
}

/// Grows from fast to patient, and starts again after success.
#[derive(Clone, Debug)]
pub(crate) struct Backoff(lib_backoff::Backoff);

impl Default for Backoff {
    fn default() -> Self {
        Self(lib_backoff::Backoff::new(Self::FIRST))
    }
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    /// A thousand agents come back to a hub that restarts within this time, and not together. With handshakes and a look
    /// at the member, whoever was refused on the way is ready within 3 seconds.
    const SPREAD: Duration = Duration::from_millis(2500);
    /// A way that is back is used within this time.
    const UNREACHABLE: Duration = Duration::from_secs(1);
    const DENIED: Duration = Duration::from_secs(15);
    /// By then a Pod that was to go has gone. If it is the other one that has failed, its cluster is back within this time.
    const REPLACED: Duration = Duration::from_secs(30);

    /// The wait after a failure. `chance` lies between 0 and 1.
    pub(crate) fn after(&mut self, failure: Failure, chance: f64) -> Duration {
        match failure {
            Failure::Refused => self.0.anywhere(Self::SPREAD, chance),
            Failure::Unreachable => self.0.after(Self::UNREACHABLE, chance),
            // Nothing has failed yet, and whoever takes over is to be met by few at a time.
            Failure::Closed => lib_backoff::Backoff::new(Self::SPREAD).anywhere(Self::SPREAD, chance),
            Failure::Denied => self.0.after(Self::DENIED, chance),
            // However long ours has held: two that take it from each other would both be of no use.
            Failure::Replaced => lib_backoff::Backoff::new(Self::REPLACED).after(Self::REPLACED, chance),
        }
    }

    /// The next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(failure: Failure, expect: &[u128]) {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = expect.iter().map(|_| backoff.after(failure, 0.0).as_millis()).collect();
        assert_eq!(waits, expect);
        backoff.reset();
        assert_eq!(backoff.after(failure, 0.0).as_millis(), expect[0]);
    }

    #[test]
    fn each_kind_has_its_pace() {
        check(Failure::Refused, &[100, 200, 400, 800, 1600, 2500, 2500]);
        check(Failure::Unreachable, &[100, 200, 400, 800, 1000, 1000]);
        check(Failure::Closed, &[2500, 2500]);
        check(Failure::Replaced, &[30_000, 30_000]);
        check(Failure::Denied, &[100, 200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000]);
    }

    /// A thousand agents, who were all refused since the hub died, by the time at which each finds it back.
    #[track_caller]
    fn back_after(down: Duration) -> Vec<Duration> {
        let mut state = 1u64;
        let mut chance = move || {
            // A linear congruential generator (Knuth's MMIX): chance that is the same in each run.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut back: Vec<_> = (0..1000)
            .map(|_| {
                let (mut backoff, mut now) = (Backoff::default(), Duration::ZERO);
                while now < down {
                    now += backoff.after(Failure::Refused, chance());
                }
                now - down
            })
            .collect();
        back.sort();
        back
    }

    #[test]
    fn case_77_a_thousand_agents_come_back_one_after_another() {
        for down in [2, 5, 30, 600] {
            let back = back_after(Duration::from_secs(down));
            assert!(back[999] <= Backoff::SPREAD, "{:?}", back[999]);
            // In no tenth of a second more than a tenth.
            for window in back.windows(100) {
                assert!(window[99] - window[0] >= Duration::from_millis(100), "{down} s: {window:?}");
            }
        }
    }

    #[test]
    fn case_77_a_thousand_agents_that_are_told_goodbye_come_back_one_after_another() {
        let mut waits: Vec<_> =
            (0..1000).map(|n| Backoff::default().after(Failure::Closed, f64::from(n) / 1000.0)).collect();
        waits.sort();
        assert!(waits.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(2)));
    }

    proptest! {
        #[test]
        fn always_within_bounds(attempts in 0..100, chance: f64) {
            for (failure, longest) in [
                (Failure::Refused, Backoff::SPREAD),
                (Failure::Unreachable, Backoff::UNREACHABLE),
                (Failure::Closed, Backoff::SPREAD),
                (Failure::Replaced, Backoff::REPLACED),
                (Failure::Denied, Backoff::DENIED),
            ] {
                let mut backoff = Backoff::default();
                for _ in 0..attempts {
                    backoff.after(failure, chance);
                }
                prop_assert!(backoff.after(failure, chance) <= longest);
            }
        }
    }
}
