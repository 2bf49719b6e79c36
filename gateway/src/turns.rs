//! Work that very many bring at one moment, done by few at a time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::ready;

use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

/// Lets futures work by turns. A turn lasts while there is something to work out, and not while something is waited for:
/// whoever is slow, or wants to be, keeps it from nobody. Clones share the turns.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    /// So many at a time.
    pub(crate) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// For work that is to leave half of the processors to everything else.
    pub(crate) fn on_half_the_processors() -> Self {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new((all / 2).max(1))
    }

    /// Runs a future by turns, which come in the order in which they are asked for.
    pub(crate) async fn take<F: Future>(&self, work: F) -> F::Output {
        let mut turns = PollSemaphore::new(self.0.clone());
        let mut work = pin!(work);
        poll_fn(|cx| {
            let _turn = ready!(turns.poll_acquire(cx));
            work.as_mut().poll(cx)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;
    use futures::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn case_77_few_work_at_a_time() {
        let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let turns = Turns::new(2);
        let tasks = (0..500).map(|_| {
            let (turns, working, most) = (turns.clone(), working.clone(), most.clone());
            tokio::spawn(async move {
                turns
                    .take(async {
                        for _ in 0..3 {
                            most.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            std::hint::black_box((0..2000).fold(1u64, |sum, n| sum.wrapping_mul(n | 1)));
                            working.fetch_sub(1, Ordering::SeqCst);
                            yield_now().await;
                        }
                    })
                    .await;
            })
        });
        assert!(join_all(tasks).await.into_iter().all(|ended| ended.is_ok()));
        assert!(most.load(Ordering::SeqCst) <= 2, "{most:?}");
    }

    #[tokio::test]
    async fn case_15_whoever_waits_keeps_nobody_waiting() {
        let turns = Turns::new(1);
        let mut slow: Vec<_> = (0..100).map(|_| Box::pin(turns.take(std::future::pending::<()>()))).collect();
        assert!(slow.iter_mut().all(|one| one.now_or_never().is_none()));
        turns.take(async { yield_now().await }).await;
    }
}
