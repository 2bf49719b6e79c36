//! When the refused should come again: later, the more are refused (upstream: `DroppedRequestsTracker`).

use std::collections::VecDeque;

const LONGEST: u64 = 32;

pub(crate) struct RetryAfter {
    seconds: u64,
    raised: u64,
    /// Refusals by second, the newest last.
    history: VecDeque<(u64, u64)>,
}

impl Default for RetryAfter {
    fn default() -> Self {
        Self { seconds: 1, raised: 0, history: VecDeque::new() }
    }
}

impl RetryAfter {
    /// One more refusal; the answer is what to tell it.
    pub(crate) fn refuse(&mut self, now: u64) -> u64 {
        match self.history.back_mut() {
            Some((second, count)) if *second == now => *count += 1,
            _ => {
                self.adjust(now);
                self.history.push_back((now, 1));
                let keep = (2 * self.seconds).min(LONGEST);
                self.history.retain(|(second, _)| now.saturating_sub(*second) <= keep);
            }
        }
        self.seconds
    }

    /// As TCP does: doubled under pressure, one less without.
    fn adjust(&mut self, now: u64) {
        let recent = self.history.iter().filter(|(second, _)| now.saturating_sub(*second) <= self.seconds);
        let refused: u64 = recent.map(|(_, count)| count).sum();
        if now.saturating_sub(self.raised) >= self.seconds && refused >= 3 * self.seconds {
            self.seconds = (self.seconds * 2).min(LONGEST);
            self.raised = now;
        } else if refused < self.seconds && self.seconds > 1 {
            self.seconds -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_doubles_and_calm_relaxes() {
        let mut retry = RetryAfter::default();
        for _ in 0..10 {
            assert_eq!(retry.refuse(100), 1);
        }
        assert_eq!(retry.refuse(101), 2);
        assert_eq!(retry.refuse(500), 1);
    }

    #[test]
    fn never_longer_than_half_a_minute() {
        let mut retry = RetryAfter::default();
        for second in 0..1000 {
            for _ in 0..200 {
                assert!(retry.refuse(1000 + second) <= LONGEST);
            }
        }
        assert!(retry.history.len() <= 34);
    }
}
