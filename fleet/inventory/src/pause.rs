//! How long to wait before a kind is asked for again. Pure: the caller brings chance and the clock.

use std::time::Duration;

/// Grows while nothing lasts, and starts again after something has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pause {
    failures: u32,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(60);
    /// What lasted this long was no failure.
    const CALM: Duration = Duration::from_secs(10);

    /// After something that `lasted`. `chance` lies between 0 and 1 and takes away up to half, so that the kinds of a
    /// cluster that restarts do not come back in step.
    pub(crate) fn after(&mut self, lasted: Duration, chance: f64) -> Duration {
        if lasted >= Self::CALM {
            self.failures = 0;
        }
        let whole = Self::FIRST.saturating_mul(1 << self.failures.min(10)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soon_first_and_patient_later() {
        let mut pause = Pause::default();
        let waits: Vec<_> = (0..11).map(|_| pause.after(Duration::ZERO, 0.0).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        assert_eq!(pause.after(Duration::from_secs(10), 1.0).as_millis(), 100);
    }
}
