//! When each cluster is looked at, and how many at a time.
//!
//! A look at a cluster that does not answer lasts until its deadline, so clusters that were silent the last time stand in a
//! queue of their own: however many are lost, those that answer are looked at as often as ever. Nor does a look hold its
//! place for longer than an answer usually takes. What goes on after that waits for a network and does nothing; there is
//! one at most for each cluster.

use std::pin::pin;
use std::time::Duration;

use lib_backoff::chance;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout};

/// Between two looks at a cluster that is well, or that has been silent for long.
const CALM: Duration = Duration::from_secs(10);
/// Between two looks at one that answers and is not well, or has just fallen silent.
const WORRIED: Duration = Duration::from_secs(1);
/// How many looks begin at the same time, in each queue.
const AT_ONCE: usize = 64;
/// How long a look may keep others waiting.
const HOLD: Duration = Duration::from_millis(250);

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// All is well, or nothing is wanted.
    Well,
    /// The cluster answers, and not all is well.
    Ill,
    /// It does not answer.
    Silent,
}

/// The queues.
pub(crate) struct Looks {
    prompt: Semaphore,
    silent: Semaphore,
}

impl Default for Looks {
    fn default() -> Self {
        Self { prompt: Semaphore::new(AT_ONCE), silent: Semaphore::new(AT_ONCE) }
    }
}

impl Looks {
    /// Looks when it is the cluster's turn.
    pub(super) async fn turn<T>(&self, pace: &Pace, look: impl Future<Output = T>) -> T {
        // Never closed.
        let place = if pace.is_silent { &self.silent } else { &self.prompt }.acquire().await;
        let mut look = pin!(look);
        match timeout(HOLD, &mut look).await {
            Ok(seen) => seen,
            Err(_) => {
                drop(place);
                look.await
            }
        }
    }
}

/// When one cluster is looked at.
#[derive(Default)]
pub(super) struct Pace {
    silent_since: Option<Instant>,
    /// In which queue it stands.
    is_silent: bool,
}

impl Pace {
    /// Waits until the cluster is to be looked at again: when it is woken, or after a while.
    pub(super) async fn rest(&mut self, seen: Seen, wake: &Notify) {
        self.is_silent = seen == Seen::Silent;
        tokio::select! {
            // There may be news.
            () = wake.notified() => self.is_silent = false,
            () = sleep(self.after(seen, Instant::now(), chance())) => {}
        }
    }

    /// The longer a cluster has been away, the less it matters when exactly it is back: an eighth of that time, within
    /// bounds. `chance` takes away up to a quarter, so that those who were lost together are not looked for in step.
    fn after(&mut self, seen: Seen, now: Instant, chance: f64) -> Duration {
        let silent_since = match seen {
            Seen::Silent => *self.silent_since.get_or_insert(now),
            Seen::Well | Seen::Ill => {
                self.silent_since = None;
                return if seen == Seen::Well { CALM } else { WORRIED };
            }
        };
        let whole = (now.duration_since(silent_since) / 8).clamp(WORRIED, CALM);
        whole.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn whoever_is_away_for_longer_is_looked_for_less() {
        let began = Instant::now();
        let mut pace = Pace::default();
        let mut at = |seen, seconds| pace.after(seen, began + Duration::from_secs(seconds), 0.0).as_millis();
        assert_eq!(at(Seen::Well, 0), 10_000);
        assert_eq!(at(Seen::Silent, 10), 1_000);
        assert_eq!(at(Seen::Silent, 18), 1_000);
        assert_eq!(at(Seen::Silent, 50), 5_000);
        assert_eq!(at(Seen::Silent, 500), 10_000);
        assert_eq!(at(Seen::Ill, 501), 1_000);
        assert_eq!(at(Seen::Silent, 600), 1_000);
        assert_eq!(pace.after(Seen::Silent, began + Duration::from_secs(600), 1.0).as_millis(), 750);
    }

    /// Of one cluster, in its own time.
    #[derive(Default)]
    struct Counted {
        looks: AtomicUsize,
        /// When silence was noticed first, in milliseconds.
        noticed: AtomicUsize,
    }

    const LOOK: Duration = Duration::from_secs(4);

    /// A fleet of which all but `left` vanish after half a minute.
    struct World {
        began: Instant,
        clusters: Vec<(Arc<Counted>, Arc<Notify>)>,
    }

    impl World {
        fn start(size: usize, left: usize) -> Self {
            let (began, looks) = (Instant::now(), Arc::new(Looks::default()));
            let clusters = (0..size).map(|number| {
                let (counted, wake) = (Arc::new(Counted::default()), Arc::new(Notify::new()));
                let (looks, count, woken) = (looks.clone(), counted.clone(), wake.clone());
                tokio::spawn(async move {
                    // They did not join at the same moment.
                    sleep(CALM.mul_f64(number as f64 / size as f64)).await;
                    let look = async || {
                        count.looks.fetch_add(1, Ordering::Relaxed);
                        if number < left || began.elapsed() < Duration::from_secs(30) {
                            sleep(Duration::from_millis(20)).await;
                            return Seen::Well;
                        }
                        sleep(LOOK).await;
                        let now = began.elapsed().as_millis() as usize;
                        let _ = count.noticed.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
                        Seen::Silent
                    };
                    let mut pace = Pace::default();
                    loop {
                        let seen = looks.turn(&pace, look()).await;
                        pace.rest(seen, &woken).await;
                    }
                });
                (counted, wake)
            });
            Self { began, clusters: clusters.collect() }
        }

        fn looks(&self) -> Vec<usize> {
            self.clusters.iter().map(|(counted, _)| counted.looks.load(Ordering::Relaxed)).collect()
        }

        async fn until(&self, seconds: u64) {
            tokio::time::sleep_until(self.began + Duration::from_secs(seconds)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_lost_clusters_keep_no_other_waiting() {
        let world = World::start(1_000, 20);
        world.until(30).await;
        let before = world.looks();
        world.until(330).await;
        let after = world.looks();
        let made: Vec<usize> = before.iter().zip(&after).map(|(before, after)| after - before).collect();
        // Each of the others once in ten seconds, as if nothing had happened.
        assert!(made[..20].iter().all(|looks| (29..=31).contains(looks)), "{:?}", &made[..20]);
        // The lost ones were all missed in time, and are not run after.
        let noticed = world.clusters[20..].iter().map(|(counted, _)| counted.noticed.load(Ordering::Relaxed));
        let (first, last) = noticed.fold((usize::MAX, 0), |(first, last), at| (first.min(at), last.max(at)));
        assert!(first >= 34_000 && last <= 45_000, "{first} {last}");
        assert!(made[20..].iter().all(|looks| (20..=40).contains(looks)), "{:?}", &made[20..40]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_back_by_its_own_account_is_looked_at_at_once() {
        let world = World::start(1_000, 0);
        world.until(300).await;
        // Any that is not being looked at just now.
        let before = world.looks();
        for (_, wake) in &world.clusters[..20] {
            wake.notify_one();
        }
        // A look that was under way comes first.
        tokio::time::sleep(LOOK + Duration::from_secs(1)).await;
        let after = world.looks();
        assert!((0..20).all(|number| after[number] > before[number]), "{:?} {:?}", &before[..20], &after[..20]);
    }
}
