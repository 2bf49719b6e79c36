//! How long to wait before a cluster is followed again. Pure: the caller brings chance and the clock.

use std::time::Duration;

/// Grows while nothing lasts, and starts again after something has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff(lib_backoff::Backoff);

impl Default for Backoff {
    fn default() -> Self {
        Self(lib_backoff::Backoff::new(Self::FIRST))
    }
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
            self.0.reset();
        }
        let longest = if is_patient { Self::PATIENT } else { Self::LONGEST };
        self.0.after(longest, chance)
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
