//! How long to wait before a cluster is followed again. Pure: the caller brings chance and the clock.

use std::time::Duration;

/// Grows while nothing lasts, and starts again after something has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);
    /// Where only somebody's change helps; it may be under way just now, as when a cluster was imported.
    const PATIENT: Duration = Duration::from_secs(90);
    /// A feed that lasted this long was none that fails at once.
    const CALM: Duration = Duration::from_secs(60);

    /// After a feed that `lasted`. `chance` lies between 0 and 1 and takes away up to half, so that the clusters of a hub
    /// that restarts do not come back in step.
    pub(super) fn after(&mut self, lasted: Duration, is_patient: bool, chance: f64) -> Duration {
        if lasted >= Self::CALM {
            self.failures = 0;
        }
        let longest = if is_patient { Self::PATIENT } else { Self::LONGEST };
        let whole = Self::FIRST.saturating_mul(1 << self.failures.min(10)).min(longest);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soon_first_and_patient_later() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.after(Duration::ZERO, false, 0.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(backoff.after(Duration::from_secs(60), false, 1.0).as_millis(), 250);
        let last = (0..12).map(|_| backoff.after(Duration::ZERO, true, 1.0)).last();
        assert_eq!(last, Some(Duration::from_secs(45)));
    }
}
