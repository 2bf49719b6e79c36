//! A number, and what it was a moment ago.

use std::{collections::VecDeque, time::Duration};

use super::LAG;

#[derive(Default)]
pub(super) struct Recent(VecDeque<(Duration, i32)>);

impl Recent {
    pub(super) fn set(&mut self, at: Duration, value: i32) {
        self.forget(at);
        self.0.push_back((at, value));
    }

    pub(super) fn now(&self) -> i32 {
        self.0.back().map_or(0, |(_, value)| *value)
    }

    /// The most that it was in the time that somebody may lag behind.
    pub(super) fn most(&self, at: Duration) -> i32 {
        self.lately(at).max().unwrap_or(0)
    }

    /// The least that it was in that time.
    pub(super) fn least(&self, at: Duration) -> i32 {
        self.lately(at).min().unwrap_or(0)
    }

    fn lately(&self, at: Duration) -> impl Iterator<Item = i32> {
        let ends = self.0.iter().skip(1).map(|(end, _)| *end).chain([Duration::MAX]);
        self.0.iter().zip(ends).filter(move |(_, end)| *end >= at.saturating_sub(LAG)).map(|((_, value), _)| *value)
    }

    fn forget(&mut self, at: Duration) {
        while self.0.get(1).is_some_and(|(end, _)| *end < at.saturating_sub(LAG)) {
            self.0.pop_front();
        }
    }
}
