//! How long to wait before the next attempt. Pure: the caller brings chance and sleeps.

use std::time::Duration;

/// What kind of failure came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The hub was not reached, or the link broke. It may be back any moment.
    Link,
    /// The hub was reached and one of us refused the other. That takes a person to repair.
    Refusal,
}

/// Grows from fast to patient, and starts again after success.
#[derive(Clone, Debug)]
pub struct Backoff(lib_backoff::Backoff);

impl Default for Backoff {
    fn default() -> Self {
        Self(lib_backoff::Backoff::new(Self::FIRST))
    }
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    /// With the dial itself, which may have begun just before, a link that is back is used within 5 seconds.
    const LINK_CAP: Duration = Duration::from_millis(2500);
    const REFUSAL_CAP: Duration = Duration::from_secs(15);

    /// The wait after a failure. `chance` lies between 0 and 1 and takes away up to half, so that the agents of a hub
    /// that restarts do not come back in step.
    pub(crate) fn after(&mut self, failure: Failure, chance: f64) -> Duration {
        let cap = match failure {
            Failure::Link => Self::LINK_CAP,
            Failure::Refusal => Self::REFUSAL_CAP,
        };
        self.0.after(cap, chance)
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

    #[test]
    fn fast_first_and_patient_later() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.after(Failure::Link, 0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2500, 2500, 2500]);
        backoff.reset();
        assert_eq!(backoff.after(Failure::Link, 1.0).as_millis(), 50);
    }

    #[test]
    fn refusals_wait_longer() {
        let mut backoff = Backoff::default();
        let last = (0..12).map(|_| backoff.after(Failure::Refusal, 0.0)).last().unwrap();
        assert_eq!(last.as_secs(), 15);
    }

    proptest! {
        #[test]
        fn always_within_bounds(attempts in 0..100, chance: f64) {
            let mut backoff = Backoff::default();
            for _ in 0..attempts {
                backoff.after(Failure::Link, chance);
            }
            let wait = backoff.after(Failure::Link, chance);
            prop_assert!(wait >= Backoff::FIRST / 2 && wait <= Backoff::LINK_CAP);
        }
    }
}
