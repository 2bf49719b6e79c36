//! One document that is kept, and asked for again when it is old.
//!
//! Strangers make us want newer ones, with tokens under names of keys that nobody knows. So an attempt has its time
//! whatever comes of it, also when whoever began it goes away, and nobody who is content with what is there waits for it.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

/// How old a document may get before a newer one is wanted: what its owner has withdrawn must not be good for ever.
pub const OLDEST: SignedDuration = SignedDuration::from_hours(1);
/// How long after an attempt the next one may come, whatever tokens and people ask for.
pub const PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// One document, and when it was fetched.
pub struct Cached<T, E> {
    good: RwLock<Option<(Timestamp, Arc<T>)>>,
    /// Whoever holds it asks; the others wait for what that brings.
    asking: Mutex<Asked<E>>,
    /// How old a document may get when there is no newer one to be had.
    longest: SignedDuration,
}

/// The last attempt, and what went wrong with it.
struct Asked<E> {
    at: Option<Timestamp>,
    failed: Option<Arc<E>>,
}

impl<T, E> Cached<T, E> {
    /// For a document that is good for no longer than [`OLDEST`], and then fails with its owner.
    pub fn strict() -> Self {
        Self::of(OLDEST)
    }

    /// For a document that is good until there is a newer one: better an old one than none while its owner is away.
    pub fn lenient() -> Self {
        Self::of(SignedDuration::MAX)
    }

    fn of(longest: SignedDuration) -> Self {
        Self { good: RwLock::default(), asking: Mutex::new(Asked { at: None, failed: None }), longest }
    }

    /// The document, no older than `newer_than` if that can be had.
    ///
    /// # Errors
    ///
    /// There is none, and why. Whoever comes within the [`PAUSE`] after is told the same.
    pub async fn get(
        &self,
        now: Timestamp,
        newer_than: SignedDuration,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, Arc<E>> {
        if let Some(good) = self.known(now, newer_than) {
            return Ok(good);
        }
        let mut asked = self.asking.lock().await;
        if let Some(good) = self.known(now, newer_than) {
            return Ok(good);
        }
        let pausing = asked.at.is_some_and(|at| is_within(now, at, PAUSE));
        let known = self.known(now, self.longest);
        match (known, &asked.failed) {
            (Some(known), _) if pausing => return Ok(known),
            (None, Some(error)) if pausing => return Err(error.clone()),
            _ => {}
        }
        *asked = Asked { at: Some(now), failed: None };
        match fetch.await {
            Ok(document) => {
                let document = Arc::new(document);
                *self.good.write().unwrap_or_else(PoisonError::into_inner) = Some((now, document.clone()));
                Ok(document)
            }
            Err(error) => {
                let error = Arc::new(error);
                asked.failed = Some(error.clone());
                self.known(now, self.longest).ok_or(error)
            }
        }
    }

    fn known(&self, now: Timestamp, newer_than: SignedDuration) -> Option<Arc<T>> {
        let good = self.good.read().unwrap_or_else(PoisonError::into_inner);
        good.as_ref().filter(|(at, _)| is_within(now, *at, newer_than)).map(|(_, good)| good.clone())
    }
}

/// A clock that was put back makes things old, not new.
fn is_within(now: Timestamp, at: Timestamp, bound: SignedDuration) -> bool {
    now.duration_since(at).abs() < bound
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(second: i64) -> Timestamp {
        NOW + SignedDuration::from_secs(second)
    }

    /// What comes of asking `after` seconds for something no older than `newer_than`, where asking again brings this.
    async fn ask(cached: &Cached<u8, ()>, after: i64, newer_than: SignedDuration, brings: Option<u8>) -> Option<u8> {
        let answer = cached.get(at(after), newer_than, async move { brings.ok_or(()) }).await;
        answer.ok().map(|found| *found)
    }

    #[tokio::test]
    async fn a_document_is_kept_for_a_while() {
        let cached = Cached::strict();
        assert_eq!(ask(&cached, 0, OLDEST, Some(1)).await, Some(1));
        assert_eq!(ask(&cached, 3599, OLDEST, Some(2)).await, Some(1));
        assert_eq!(ask(&cached, 3600, OLDEST, Some(3)).await, Some(3));
        assert_eq!(ask(&cached, 3600 - 7200, OLDEST, Some(4)).await, Some(4), "the clock was put back");
    }

    #[tokio::test]
    async fn newer_ones_are_asked_for_now_and_then() {
        let cached = Cached::strict();
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
        let cached = Cached::strict();
        assert_eq!(ask(&cached, 0, OLDEST, None).await, None);
        assert_eq!(ask(&cached, 9, OLDEST, Some(1)).await, None);
        assert_eq!(ask(&cached, 10, OLDEST, Some(2)).await, Some(2));
    }

    #[tokio::test]
    async fn an_old_one_is_better_than_none_where_that_is_said() {
        let cached = Cached::lenient();
        assert_eq!(ask(&cached, 0, OLDEST, Some(1)).await, Some(1));
        assert_eq!(ask(&cached, 1_000_000, OLDEST, None).await, Some(1));
        assert_eq!(ask(&cached, 1_000_009, OLDEST, Some(2)).await, Some(1));
        assert_eq!(ask(&cached, 1_000_010, OLDEST, Some(3)).await, Some(3));
    }

    #[tokio::test]
    async fn nobody_waits_for_what_another_wants_newer() {
        let cached = Cached::strict();
        assert_eq!(ask(&cached, 0, OLDEST, Some(1)).await, Some(1));
        let mut waiting = Box::pin(cached.get(at(20), PAUSE, pending()));
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!(ask(&cached, 20, OLDEST, Some(2)).now_or_never(), Some(Some(1)));
    }

    #[tokio::test]
    async fn whoever_goes_away_has_asked_all_the_same() {
        let cached = Cached::strict();
        assert_eq!(ask(&cached, 0, OLDEST, Some(1)).await, Some(1));
        assert!(cached.get(at(20), PAUSE, pending()).now_or_never().is_none());
        assert_eq!(ask(&cached, 29, PAUSE, Some(2)).await, Some(1));
        assert_eq!(ask(&cached, 30, PAUSE, Some(3)).await, Some(3));
    }

    /// Where there is nothing yet, nobody is kept out by another who left.
    #[tokio::test]
    async fn the_first_one_may_be_asked_for_again() {
        let cached = Cached::strict();
        assert!(cached.get(at(0), OLDEST, pending()).now_or_never().is_none());
        assert_eq!(ask(&cached, 1, OLDEST, Some(1)).await, Some(1));
    }
}
