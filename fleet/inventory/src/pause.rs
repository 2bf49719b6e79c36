//! How long to wait before a kind is asked for again. Pure: the caller brings chance and the clock.

use std::time::Duration;

use lib_backoff::Backoff;

/// Grows while nothing lasts, and starts again after something has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause(Backoff);

impl Default for Pause {
    fn default() -> Self {
        Self(Backoff::new(Self::FIRST))
    }
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
            self.0.reset();
        }
        self.0.after(Self::LONGEST, chance)
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
