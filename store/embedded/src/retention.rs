//! Compacts by itself what is older than anybody needs.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use store_core::{Error, Revision, fanout::Fanout};
use tokio::time::{Instant, MissedTickBehavior};

use crate::{Retention, writer::Writer};

/// Compacts until the writer is gone.
pub(crate) async fn keep(retention: Retention, writer: Weak<Writer>, fanout: Arc<Fanout>) {
    let mut ticks =
        tokio::time::interval((retention.age / 10).clamp(Duration::from_millis(1), Duration::from_secs(30)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut past = Past::default();
    loop {
        let now = ticks.tick().await;
        let current = fanout.revision();
        let Some(target) = past.target(now, current, &retention).filter(|target| *target > fanout.compacted()) else {
            continue;
        };
        let Some(writer) = writer.upgrade() else { return };
        match writer.compact(target).await {
            Ok(()) => tracing::debug!(revision = %target, "history compacted"),
            // Somebody else compacted meanwhile.
            Err(Error::Compacted { .. }) => {}
            Err(Error::Closed) => return,
            Err(error) => tracing::warn!(%error, "history could not be compacted, and is kept for longer"),
        }
    }
}

/// Which revision was current when.
#[derive(Debug, Default)]
struct Past {
    seen: VecDeque<(Instant, Revision)>,
}

impl Past {
    /// The newest revision that was current long enough ago, or is too far back.
    fn target(&mut self, now: Instant, current: Revision, retention: &Retention) -> Option<Revision> {
        self.seen.push_back((now, current));
        let old = |seen: &(Instant, Revision)| now.duration_since(seen.0) >= retention.age;
        while self.seen.get(1).is_some_and(old) {
            self.seen.pop_front();
        }
        let aged = self.seen.front().filter(|seen| old(seen)).map(|(_, revision)| *revision);
        let surplus = current.0.checked_sub(retention.revisions).map(Revision);
        aged.max(surplus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Retention = Retention { age: Duration::from_secs(100), revisions: 1000 };

    #[track_caller]
    fn check(seen: &[(u64, u64)], expect: &[Option<u64>]) {
        let start = Instant::now();
        let mut past = Past::default();
        let targets = seen.iter().map(|(second, revision)| {
            let now = start + Duration::from_secs(*second);
            past.target(now, Revision(*revision), &RETENTION).map(|target| target.0)
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
}
