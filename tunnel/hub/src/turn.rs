//! Futures of one task that wake each other.
//!
//! A task that is woken while it runs goes to the end of the scheduler's queue, and a worker that slept is woken to take it
//! from there. Where one part of a task has only to go on because another one did something, that costs more than what it
//! does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// How often parts that wake each other are polled before others have their turn.
const ROUNDS: usize = 16;

/// The wakes of one task's parts.
#[derive(Default)]
pub(crate) struct Turn(Arc<Woken>);

#[derive(Default)]
struct Woken {
    is_running: AtomicBool,
    again: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Turn {
    /// Polls, and at once again where it was woken meanwhile.
    pub(crate) fn poll<T>(&self, cx: &mut Context<'_>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.0.belongs_to(cx.waker());
        let waker = Waker::from(self.0.clone());
        for _ in 0..ROUNDS {
            self.0.again.store(false, Ordering::SeqCst);
            self.0.is_running.store(true, Ordering::SeqCst);
            let polled = poll(&mut Context::from_waker(&waker));
            self.0.is_running.store(false, Ordering::SeqCst);
            // Whoever comes after this wakes the task.
            if polled.is_ready() || !self.0.again.load(Ordering::SeqCst) {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Woken {
    fn belongs_to(&self, task: &Waker) {
        let mut known = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(|known| known.will_wake(task)) {
            *known = Some(task.clone());
        }
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.again.store(true, Ordering::SeqCst);
        if !self.is_running.load(Ordering::SeqCst) {
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(task) = task {
                task.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Polls a turn that wakes itself so many times. Returns whether it was done, the polls, and the wakes of its task.
    fn run(wakes: usize) -> (bool, usize, usize) {
        let (turn, counter) = (Turn::default(), Arc::<Counter>::default());
        let task = Waker::from(counter.clone());
        let mut polls = 0;
        let polled = turn.poll(&mut Context::from_waker(&task), |cx| {
            polls += 1;
            if polls > wakes {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        (polled.is_ready(), polls, counter.0.load(Ordering::SeqCst))
    }

    #[test]
    fn what_wakes_itself_goes_on_at_once_and_leaves_others_their_turn() {
        assert_eq!(run(0), (true, 1, 0));
        assert_eq!(run(5), (true, 6, 0));
        assert_eq!(run(ROUNDS), (false, ROUNDS, 1));
    }

    #[test]
    fn what_is_woken_later_wakes_the_task_that_polled_last() {
        let (turn, counters) = (Turn::default(), [Arc::<Counter>::default(), Arc::<Counter>::default()]);
        let mut inner = None;
        for counter in &counters {
            let task = Waker::from(counter.clone());
            let polled = turn.poll(&mut Context::from_waker(&task), |cx| {
                inner = Some(cx.waker().clone());
                Poll::<()>::Pending
            });
            assert!(polled.is_pending());
        }
        inner.unwrap().wake();
        assert_eq!(counters.map(|counter| counter.0.load(Ordering::SeqCst)), [0, 1]);
    }

    #[test]
    fn no_wake_of_another_thread_is_lost() {
        for _ in 0..2000 {
            let (turn, counter) = (Turn::default(), Arc::<Counter>::default());
            let task = Waker::from(counter.clone());
            let is_done = Arc::<AtomicBool>::default();
            let mut other = None;
            let polled = turn.poll(&mut Context::from_waker(&task), |cx| {
                if other.is_none() {
                    let (waker, is_done) = (cx.waker().clone(), is_done.clone());
                    other = Some(std::thread::spawn(move || {
                        is_done.store(true, Ordering::SeqCst);
                        waker.wake();
                    }));
                }
                if is_done.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            });
            other.unwrap().join().unwrap();
            assert!(polled.is_ready() || counter.0.load(Ordering::SeqCst) > 0);
        }
    }
}
