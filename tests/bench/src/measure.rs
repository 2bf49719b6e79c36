//! Asks many times and says how long answers took.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::Door;
use http::Method;

/// What many answers had in common.
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) median: Duration,
    pub(crate) tail: Duration,
    pub(crate) megabytes_per_second: f64,
}

/// Asks `count` times, `at_once` at a time. The number of the attempt goes to the question.
pub(crate) async fn ask(
    door: &Door,
    question: impl Fn(usize) -> (Method, String, Option<Vec<u8>>) + Send + Sync + 'static,
    count: usize,
    at_once: usize,
) -> anyhow::Result<Figures> {
    let (question, next) = (Arc::new(question), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let (door, question, next) = (door.clone(), question.clone(), next.clone());
        workers.spawn(async move {
            let (mut times, mut bytes) = (Vec::new(), 0);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok((times, bytes));
                }
                let (method, path, body) = question(number);
                let asked = Instant::now();
                let (status, length) = door.exchange(method, &path, body).await?;
                times.push(asked.elapsed());
                ensure!(status.is_success(), "{path}: {status}");
                bytes += length;
            }
        });
    }
    let (mut times, mut bytes) = (Vec::with_capacity(count), 0);
    while let Some(done) = workers.join_next().await {
        let (more, length) = done.context("a worker broke")??;
        times.extend(more);
        bytes += length;
    }
    let took = started.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(Figures {
        per_second: times.len() as f64 / took,
        median: at(0.5),
        tail: at(0.99),
        megabytes_per_second: bytes as f64 / took / 1e6,
    })
}

/// How long something took many times.
pub(crate) struct Spread {
    pub(crate) median: Duration,
    pub(crate) tail: Duration,
    pub(crate) longest: Duration,
}

impl Spread {
    /// # Panics
    /// When it was never.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        Self { median: at(50), tail: at(99), longest: at(100) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let (median, tail, longest) = (self.median, self.tail, self.longest);
        write!(f, "{:6.1} {:6.1} {:6.1} ms", milliseconds(median), milliseconds(tail), milliseconds(longest))
    }
}

/// One line of a table: ours, the reference, and how many times longer ours takes.
pub(crate) fn line(what: &str, ours: &Figures, reference: &Figures) {
    println!(
        "{what:<34} {:>9.0}/s  p50 {:>8}  p99 {:>8}   reference {:>9.0}/s  p50 {:>8}   x{:.2}",
        ours.per_second,
        shown(ours.median),
        shown(ours.tail),
        reference.per_second,
        shown(reference.median),
        reference.per_second / ours.per_second,
    );
}

pub(crate) fn shown(time: Duration) -> String {
    match time.as_micros() {
        0..10_000 => format!("{} us", time.as_micros()),
        _ => format!("{:.1} ms", time.as_secs_f64() * 1e3),
    }
}
