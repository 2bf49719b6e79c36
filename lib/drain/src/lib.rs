//! Orderly shutdown: every spawned task has an owner that can drain it.
//!
//! A [`Drain`] hands out one signal ("please finish") and remembers every task that was spawned through it. Draining
//! raises the signal, waits until the deadline for the tasks to end by themselves, and then drops those that did not.
//! A child drains alone without touching its parent; draining a parent drains all of its children.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

/// Owns tasks. Clones own the same tasks.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    /// Asks tasks to finish.
    finish: CancellationToken,
    /// Drops tasks that did not.
    abandon: CancellationToken,
    /// Our own tasks.
    tasks: TaskTracker,
    /// Those who also wait for our tasks.
    ancestors: Vec<TaskTracker>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drained {
    /// Every task ended by itself.
    Complete,
    /// This many tasks were still running at the deadline, and were dropped.
    Abandoned(usize),
}

impl Drain {
    /// An owner without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// An owner that this one drains too.
    pub fn child(&self) -> Self {
        let mut ancestors = self.ancestors.clone();
        ancestors.push(self.tasks.clone());
        Self {
            finish: self.finish.child_token(),
            abandon: self.abandon.child_token(),
            tasks: TaskTracker::new(),
            ancestors,
        }
    }

    /// Spawns a task that this owner waits for. The task should watch [`Drain::finishing`] if it does not end by itself.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let held: Vec<_> = self.ancestors.iter().map(TaskTracker::token).collect();
        let abandon = self.abandon.clone();
        self.tasks.spawn(async move {
            let _held = held;
            tokio::select! {
                biased;
                () = abandon.cancelled() => {}
                () = task => {}
            }
        })
    }

    /// Completes when tasks are asked to finish.
    pub fn finishing(&self) -> WaitForCancellationFuture<'_> {
        self.finish.cancelled()
    }

    /// Whether tasks were asked to finish.
    pub fn is_finishing(&self) -> bool {
        self.finish.is_cancelled()
    }

    /// The signal, for code that takes a token.
    pub fn token(&self) -> &CancellationToken {
        &self.finish
    }

    /// Asks tasks to finish, and does not wait.
    pub fn finish(&self) {
        self.finish.cancel();
    }

    /// Asks tasks to finish, waits for them until `deadline` has passed, then drops the rest.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.finish.cancel();
        self.tasks.close();
        if tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok() {
            return Drained::Complete;
        }
        let late = self.tasks.len();
        self.abandon.cancel();
        self.tasks.wait().await;
        Drained::Abandoned(late)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct SetOnDrop(Arc<AtomicBool>);

    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn polite_tasks_complete() {
        let drain = Drain::new();
        let inner = drain.clone();
        drain.spawn(async move { inner.finishing().await });
        assert_eq!(drain.drain(Duration::from_secs(5)).await, Drained::Complete);
    }

    #[tokio::test(start_paused = true)]
    async fn stubborn_tasks_are_dropped_at_the_deadline() {
        let drain = Drain::new();
        let dropped = Arc::new(AtomicBool::new(false));
        let witness = SetOnDrop(dropped.clone());
        drain.spawn(async move {
            let _witness = witness;
            std::future::pending::<()>().await;
        });
        assert_eq!(drain.drain(Duration::from_secs(5)).await, Drained::Abandoned(1));
        assert!(dropped.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_child_drains_alone() {
        let parent = Drain::new();
        let child = parent.child();
        let inner = child.clone();
        child.spawn(async move { inner.finishing().await });
        assert_eq!(child.drain(Duration::from_secs(5)).await, Drained::Complete);
        assert!(!parent.is_finishing());
    }

    #[tokio::test(start_paused = true)]
    async fn a_parent_waits_for_the_tasks_of_its_children() {
        let parent = Drain::new();
        let child = parent.child();
        child.spawn(std::future::pending());
        assert_eq!(parent.drain(Duration::from_secs(5)).await, Drained::Abandoned(1));
        assert!(child.is_finishing());
    }
}
