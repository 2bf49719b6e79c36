//! How long to wait before the next attempt.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);

/// Grows from fast to patient, and starts again after success.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    attempts: u32,
    most: Duration,
}

impl Backoff {
    /// Never longer than that.
    pub(crate) const fn up_to(most: Duration) -> Self {
        Self { attempts: 0, most }
    }

    /// The wait after a failure. `chance` lies between 0 and 1 and takes away up to half, so that many who failed at once
    /// do not come back in step.
    pub(crate) fn after(&mut self, chance: f64) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.attempts.min(16)).min(self.most);
        self.attempts = self.attempts.saturating_add(1);
        whole.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }

    /// The next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Between 0 and 1.
pub(crate) fn chance() -> f64 {
    // Each state has keys of its own.
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_first_and_patient_later() {
        let mut backoff = Backoff::up_to(Duration::from_secs(1));
        let waits: Vec<_> = (0..5).map(|_| backoff.after(0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000]);
        assert_eq!(backoff.after(1.0).as_millis(), 500);
        backoff.reset();
        assert_eq!(backoff.after(0.5).as_millis(), 75);
        assert!((0.0..=1.0).contains(&chance()));
    }
}
