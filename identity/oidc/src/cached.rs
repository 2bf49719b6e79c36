//! A document that is kept, and asked for again when it is old.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::Error;

/// How old a document may get: what the provider has withdrawn must not be good for ever.
pub(crate) const OLDEST: SignedDuration = SignedDuration::from_hours(1);
/// How long after an attempt the next one may come, whatever tokens and people ask for.
pub(crate) const PAUSE: SignedDuration = SignedDuration::from_secs(10);

pub(crate) struct Cached<T>(Mutex<Slot<T>>);

struct Slot<T> {
    good: Option<(Timestamp, Arc<T>)>,
    failed: Option<(Timestamp, Arc<Error>)>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(Slot { good: None, failed: None }))
    }
}

impl<T> Cached<T> {
    /// The document, no older than `newer_than` if that can be had, and never older than [`OLDEST`]. One caller asks;
    /// the others wait for what that brings.
    pub(crate) async fn get(
        &self,
        now: Timestamp,
        newer_than: SignedDuration,
        fetch: impl Future<Output = Result<T, Error>>,
    ) -> Result<Arc<T>, Arc<Error>> {
        // A clock that was put back makes things old, not new.
        let is_within = |at: Timestamp, bound: SignedDuration| now.duration_since(at).abs() < bound;
        let mut slot = self.0.lock().await;
        if let Some((at, good)) = &slot.good
            && is_within(*at, newer_than)
        {
            return Ok(good.clone());
        }
        let error = match &slot.failed {
            Some((at, error)) if is_within(*at, PAUSE) => error.clone(),
            _ => match fetch.await {
                Ok(document) => {
                    let document = Arc::new(document);
                    *slot = Slot { good: Some((now, document.clone())), failed: None };
                    return Ok(document);
                }
                Err(error) => {
                    let error = Arc::new(error);
                    slot.failed = Some((now, error.clone()));
                    error
                }
            },
        };
        match &slot.good {
            Some((at, good)) if is_within(*at, OLDEST) => Ok(good.clone()),
            _ => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// What comes of asking `after` seconds for something no older than `newer_than`, where asking again brings this.
    async fn ask(cached: &Cached<u8>, after: i64, newer_than: SignedDuration, brings: Option<u8>) -> Option<u8> {
        let now = NOW + SignedDuration::from_secs(after);
        let answer = cached.get(now, newer_than, async move { brings.ok_or(Error::NoKeys) }).await;
        answer.ok().map(|found| *found)
    }

    #[tokio::test]
    async fn a_document_is_kept_for_a_while() {
        let cached = Cached::default();
        assert_eq!(ask(&cached, 0, OLDEST, Some(1)).await, Some(1));
        assert_eq!(ask(&cached, 3599, OLDEST, Some(2)).await, Some(1));
        assert_eq!(ask(&cached, 3600, OLDEST, Some(3)).await, Some(3));
        assert_eq!(ask(&cached, 3600 - 7200, OLDEST, Some(4)).await, Some(4), "the clock was put back");
    }

    #[tokio::test]
    async fn newer_ones_are_asked_for_now_and_then() {
        let cached = Cached::default();
        assert_eq!(ask(&cached, 0, OLDEST, Some(1)).await, Some(1));
        assert_eq!(ask(&cached, 9, PAUSE, Some(2)).await, Some(1));
        assert_eq!(ask(&cached, 10, PAUSE, Some(3)).await, Some(3));
        // What is good stays so while nothing newer is to be had, and nobody asks at will.
        assert_eq!(ask(&cached, 20, PAUSE, None).await, Some(3));
        assert_eq!(ask(&cached, 29, PAUSE, Some(4)).await, Some(3));
        assert_eq!(ask(&cached, 30, PAUSE, Some(5)).await, Some(5));
        assert_eq!(ask(&cached, 3630, OLDEST, None).await, None, "but not for ever");
    }

    #[tokio::test]
    async fn what_failed_is_not_tried_at_will() {
        let cached = Cached::default();
        assert_eq!(ask(&cached, 0, OLDEST, None).await, None);
        assert_eq!(ask(&cached, 9, OLDEST, Some(1)).await, None);
        assert_eq!(ask(&cached, 10, OLDEST, Some(2)).await, Some(2));
    }
}
