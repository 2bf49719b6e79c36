//! Runs a reconcile function over the keys of a queue.
//!
//! Level, not edge: a reconciler gets a key and reads the rest from the caches. It never retries; returning an error
//! is the retry. The loop is one task; up to `width` keys are in flight inside it, so dropping the task drops them.

use std::{fmt::Debug, future::Future, hash::Hash, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Error, chain},
    queue::{Outcome, Queue},
};

/// What a reconciler asks for: `None` waits for a change, `Some` also looks again after that time.
pub(crate) type Next = Option<Duration>;

pub(crate) async fn run<T, F, R>(
    name: &'static str,
    queue: Arc<Queue<T>>,
    width: usize,
    token: CancellationToken,
    reconcile: F,
) where
    T: Clone + Eq + Hash + Debug,
    F: Fn(T) -> R,
    R: Future<Output = Result<Next, Error>>,
{
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            key = queue.next(), if running.len() < width => {
                let work = reconcile(key.clone());
                running.push(async move { (key, work.await) });
            }
            Some((key, result)) = running.next(), if !running.is_empty() => {
                queue.done(&key, outcome(name, &key, result));
            }
        }
    }
}

fn outcome<T: Debug>(name: &'static str, key: &T, result: Result<Next, Error>) -> Outcome {
    match result {
        Ok(None) => Outcome::Settled,
        Ok(Some(delay)) => Outcome::After(delay),
        // Only an edit repairs a bad object, and nothing may be created in a namespace that goes away.
        Err(error @ Error::Invalid { .. }) => {
            tracing::warn!(controller = name, ?key, error = %chain(&error), "object cannot be reconciled");
            Outcome::Settled
        }
        Err(error) if error.is_namespace_terminating() => Outcome::Settled,
        // Someone else was faster; the cache is about to learn of it.
        Err(error) if error.is_conflict() || error.is_not_found() => {
            tracing::debug!(controller = name, ?key, error = %chain(&error), "object changed under the reconcile");
            Outcome::Failed
        }
        Err(error) => {
            tracing::warn!(controller = name, ?key, error = %chain(&error), "reconcile failed");
            Outcome::Failed
        }
    }
}
