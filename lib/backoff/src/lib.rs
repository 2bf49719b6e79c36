//! How long to wait before the next attempt: twice as long after each failure, up to a bound, and less by chance. The
//! caller sleeps, and may bring chance of its own.
//!
//! How long the first wait and the longest are is the caller's affair, and stands where it is waited.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// Grows with each failure, and starts again after success.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    failures: u32,
}

impl Backoff {
    /// Begins with this wait.
    pub const fn new(first: Duration) -> Self {
        Self { first, failures: 0 }
    }

    /// The wait after a failure, `longest` at most. `chance` lies between 0 and 1 and takes away up to half, so that those
    /// who failed together do not come back in step.
    pub fn after(&mut self, longest: Duration, chance: f64) -> Duration {
        self.whole(longest).mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }

    /// The same where very many fail at one moment: `chance` takes away anything up to the whole wait.
    pub fn anywhere(&mut self, longest: Duration, chance: f64) -> Duration {
        self.whole(longest).mul_f64(1.0 - chance.clamp(0.0, 1.0))
    }

    fn whole(&mut self, longest: Duration) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(10)).min(longest);
        self.failures = self.failures.saturating_add(1);
        whole
    }

    /// The next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number between 0 and 1 for [`Backoff::after`]. Nothing that must not be guessed comes from it.
pub fn chance() -> f64 {
    // Each state has keys of its own.
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest_and_starts_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        let waits: Vec<_> = (0..5).map(|_| backoff.after(Duration::from_secs(6), 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 6, 6]);
        backoff.reset();
        assert_eq!(backoff.after(Duration::from_secs(6), 1.0), Duration::from_millis(500));
    }

    #[test]
    fn chances_differ_and_lie_between_0_and_1() {
        let chances: Vec<_> = (0..100).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(chances.windows(2).any(|pair| pair[0] != pair[1]));
    }

    proptest! {
        #[test]
        fn it_is_within_its_bounds(first in 1..10_000u64, longest in 1..1_000_000u64, failures: u32, chance: f64) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let wait = Backoff { first, failures }.after(longest, chance);
            prop_assert!(wait >= longest.min(first) / 2 && wait <= longest);
            let wait = Backoff { first, failures }.anywhere(longest, chance);
            prop_assert!(wait <= longest);
        }
    }
}
