//! Compacts by itself what is older than anybody needs.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use store_core::{Error, Revision, fanout::Fanout};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use crate::{Retention, writer::Writer};

/// How much this process has added to the history.
#[derive(Debug)]
pub(crate) struct Growth {
    written: AtomicU64,
    /// Whoever waits is told each time that so much was added.
    step: u64,
    grown: Notify,
}

impl Growth {
    pub(crate) fn new(retention: Option<Retention>) -> Self {
        let step = retention.map_or(u64::MAX, |retention| (retention.bytes / 8).max(1));
        Self { written: AtomicU64::new(0), step, grown: Notify::new() }
    }

    pub(crate) fn add(&self, bytes: u64) {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if before / self.step != (before + bytes) / self.step {
            self.grown.notify_one();
        }
    }
}

/// Compacts until the writer is gone.
pub(crate) async fn keep(retention: Retention, writer: Weak<Writer>, growth: Arc<Growth>, fanout: Arc<Fanout>) {
    let mut ticks =
        tokio::time::interval((retention.age / 10).clamp(Duration::from_millis(1), Duration::from_secs(30)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut past = Past::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = growth.grown.notified() => {}
        }
        let Some(writer) = writer.upgrade() else { return };
        let seen =
            Seen { at: Instant::now(), revision: fanout.revision(), written: growth.written.load(Ordering::Relaxed) };
        let Some(target) = past.target(seen, &retention).filter(|target| *target > fanout.compacted()) else {
            continue;
        };
        match writer.compact(target).await {
            Ok(()) => tracing::debug!(revision = %target, "history compacted"),
            // Somebody else compacted meanwhile.
            Err(Error::Compacted { .. }) => {}
            Err(Error::Closed) => return,
            Err(error) => tracing::warn!(%error, "history could not be compacted, and is kept for longer"),
        }
    }
}

/// How far the store was at some moment.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    revision: Revision,
    /// Bytes written by then.
    written: u64,
}

/// Which revision was current when.
#[derive(Debug, Default)]
struct Past {
    seen: VecDeque<Seen>,
}

impl Past {
    /// The newest revision that was current long enough ago, or is too far back.
    fn target(&mut self, now: Seen, retention: &Retention) -> Option<Revision> {
        self.seen.push_back(now);
        let old = |seen: &Seen| now.at.duration_since(seen.at) >= retention.age;
        while self.seen.get(1).is_some_and(old) {
            self.seen.pop_front();
        }
        let aged = self.seen.front().filter(|seen| old(seen)).map(|seen| seen.revision);
        let surplus = now.revision.0.checked_sub(retention.revisions).map(Revision);
        let far = self.seen.partition_point(|seen| now.written - seen.written > retention.bytes);
        let heavy = (far > 0).then(|| self.seen[far].revision);
        aged.max(surplus).max(heavy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Retention = Retention { age: Duration::from_secs(100), revisions: 1000, bytes: 5000 };

    #[track_caller]
    fn check(seen: &[(u64, u64)], expect: &[Option<u64>]) {
        check_sized(&seen.iter().map(|(second, revision)| (*second, *revision, 0)).collect::<Vec<_>>(), expect);
    }

    #[track_caller]
    fn check_sized(seen: &[(u64, u64, u64)], expect: &[Option<u64>]) {
        let start = Instant::now();
        let mut past = Past::default();
        let targets = seen.iter().map(|(second, revision, written)| {
            let at = start + Duration::from_secs(*second);
            let now = Seen { at, revision: Revision(*revision), written: *written };
            past.target(now, &RETENTION).map(|target| target.0)
        });
        assert_eq!(targets.collect::<Vec<_>>(), expect);
    }

    #[test]
    fn nothing_is_old_at_first() {
        check(&[(0, 10), (50, 20), (99, 30)], &[None, None, None]);
    }

    #[test]
    fn what_was_current_an_age_ago_is_the_target() {
        check(&[(0, 10), (50, 20), (100, 30), (149, 40), (155, 50)], &[None, None, Some(10), Some(10), Some(20)]);
    }

    #[test]
    fn a_long_pause_uses_the_newest_of_the_old() {
        check(&[(0, 10), (50, 20), (500, 30)], &[None, None, Some(20)]);
    }

    #[test]
    fn too_many_revisions_do_not_wait_for_their_age() {
        check(&[(0, 10), (1, 1500), (2, 1600)], &[None, Some(500), Some(600)]);
    }

    #[test]
    fn too_many_bytes_do_not_wait_for_their_age() {
        check_sized(
            &[(0, 10, 0), (1, 20, 3000), (2, 30, 5000), (3, 40, 6000), (4, 50, 9000), (5, 51, 90_000)],
            &[None, None, None, Some(20), Some(30), Some(51)],
        );
    }
}
