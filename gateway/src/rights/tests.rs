use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// How many rounds there are in so long a time, with a change every so often.
async fn count(lasts: Duration, every: Option<Duration>, took: Duration, answered: impl Fn(usize) -> bool) -> usize {
    let (changed, asked) = (Notify::new(), AtomicUsize::new(0));
    let changes = async {
        loop {
            changed.notify_one();
            match every {
                Some(every) => sleep(every).await,
                None => std::future::pending().await,
            }
        }
    };
    let ask = || async {
        let round = asked.fetch_add(1, Ordering::SeqCst);
        sleep(took).await;
        answered(round)
    };
    tokio::select! {
        () = changes => {}
        never = rounds(&changed, ask) => match never {},
        () = sleep(lasts) => {}
    }
    asked.into_inner()
}

const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_change_is_asked_about_until_caches_have_it_and_no_longer() {
    assert_eq!(count(MINUTE, None, MILLISECOND, |_| true).await, 1 + AGAIN.len());
    assert_eq!(count(TOGETHER + MILLISECOND * 2, None, MILLISECOND, |_| true).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_changes_is_no_storm_of_questions() {
    let rounds = count(MINUTE, Some(MILLISECOND), MILLISECOND, |_| true).await;
    assert!((500..=600).contains(&rounds), "{rounds}");
    // Half of the time at most.
    let rounds = count(MINUTE, Some(MILLISECOND), Duration::from_secs(3), |_| true).await;
    assert!((8..=11).contains(&rounds), "{rounds}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_asked_again() {
    let rounds = count(MINUTE, None, MILLISECOND, |_| false).await;
    assert!((11..=12).contains(&rounds), "{rounds}");
    assert_eq!(count(MINUTE, None, MILLISECOND, |round| round > 2).await, 3 + 1 + AGAIN.len());
}
