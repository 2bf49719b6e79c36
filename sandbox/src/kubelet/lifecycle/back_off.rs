//! How long something that fails again and again waits (upstream: `flowcontrol.Backoff`).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// No wait is longer.
const LIMIT: Duration = Duration::from_secs(300);
/// What has gone well for longer than this begins anew.
const FORGETS: SignedDuration = SignedDuration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BackOff {
    wait: Duration,
    updated: Timestamp,
}

impl BackOff {
    /// Another attempt begins, after one that failed at `failed`.
    pub(super) fn next(before: Option<Self>, first: Duration, failed: Timestamp, now: Timestamp) -> Self {
        let wait = match before {
            Some(before) if !before.is_forgotten(failed) => before.wait.saturating_mul(2).min(LIMIT),
            _ => first.min(LIMIT),
        };
        Self { wait, updated: now }
    }

    /// How long the attempt after that failure waits in all.
    pub(super) fn wait(&self, failed: Timestamp) -> Option<Duration> {
        (!self.is_forgotten(failed)).then_some(self.wait)
    }

    fn is_forgotten(&self, failed: Timestamp) -> bool {
        failed.duration_since(self.updated) > FORGETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_five_minutes_and_forgets_after_ten() {
        let first = Duration::from_secs(10);
        let mut now: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let mut last = BackOff::next(None, first, now, now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            waits.push(last.wait(now).unwrap().as_secs());
            last = BackOff::next(Some(last), first, now, now);
            now += SignedDuration::from_secs(1);
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        now += SignedDuration::from_secs(601);
        assert_eq!(last.wait(now), None);
        assert_eq!(BackOff::next(Some(last), first, now, now).wait(now), Some(first));
    }
}
