//! How fast the embedded store is on this disk, beside what the disk itself can do.
//!
//! `cargo bench -p store-embedded [-- DIRECTORY]`; takes about fifteen seconds. The directory decides which disk is
//! measured: the default is below the current one, because `/tmp` is often memory.

#![expect(clippy::unwrap_used, reason = "a measurement that fails says so by panicking")]

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use store_core::{Op, Range, Revision, Store, Txn, WatchRequest};
use store_embedded::{EmbeddedStore, Options};
use tokio::task::JoinSet;

const SPAN: Duration = Duration::from_secs(2);
const VALUE: usize = 1500;
const KEYS: usize = 10_000;

fn main() {
    let under = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).map(PathBuf::from);
    let under = under.unwrap_or_else(|| std::env::current_dir().unwrap());
    let home = tempfile::tempdir_in(under).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    raw_appends(home.path());
    runtime.block_on(async {
        let store = EmbeddedStore::open(home.path().join("store"), Options::default()).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        for writers in [1, 32] {
            puts(&store, writers).await;
        }
        fill(&store).await;
        for readers in [1, 32] {
            gets(&store, readers).await;
        }
        ranges(&store).await;
        fan_out(&store, 100).await;
        store.close().await.unwrap();
    });
    reopen(&runtime, &home.path().join("store"));
    println!("resident memory                    {:>9}", resident());
}

fn report(what: &str, count: usize, elapsed: Duration, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    let rate = count as f64 / elapsed.as_secs_f64();
    println!("{what:<34} {rate:>9.0}/s   p50 {:>8.0} us   p99 {:>8.0} us", at(0.5), at(0.99));
}

/// The floor: one append and one sync after the other.
fn raw_appends(home: &Path) {
    let mut file = File::create(home.join("raw")).unwrap();
    let (start, mut latencies) = (Instant::now(), Vec::new());
    while start.elapsed() < SPAN {
        let begin = Instant::now();
        file.write_all(&[0; VALUE]).unwrap();
        file.sync_data().unwrap();
        latencies.push(begin.elapsed());
    }
    report("raw append + fdatasync", latencies.len(), start.elapsed(), latencies);
}

/// Runs tasks that repeat an action until the time is up.
async fn repeat<F: Future<Output = ()> + Send + 'static>(
    what: &str,
    tasks: usize,
    action: impl Fn(usize, usize) -> F + Clone + Send + 'static,
) {
    let start = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let action = action.clone();
        running.spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < SPAN {
                let begin = Instant::now();
                action(task, latencies.len()).await;
                latencies.push(begin.elapsed());
            }
            latencies
        });
    }
    let latencies = running.join_all().await.concat();
    report(what, latencies.len(), start.elapsed(), latencies);
}

async fn puts(store: &Arc<dyn Store>, writers: usize) {
    let store = Arc::clone(store);
    repeat(&format!("put, {writers} at a time"), writers, move |writer, n| {
        let store = Arc::clone(&store);
        async move {
            let op = Op::put(format!("/registry/puts/{writer}/{}", n % 1000), vec![0; VALUE]);
            store.txn(Txn::default().then(op)).await.unwrap();
        }
    })
    .await;
}

async fn fill(store: &Arc<dyn Store>) {
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(500) {
        let ops = chunk.iter().map(|n| Op::put(format!("/registry/pods/{n:06}"), vec![0; VALUE]));
        store.txn(Txn { success: ops.collect(), ..Txn::default() }).await.unwrap();
    }
}

async fn gets(store: &Arc<dyn Store>, readers: usize) {
    let store = Arc::clone(store);
    repeat(&format!("get, {readers} at a time"), readers, move |reader, n| {
        let store = Arc::clone(&store);
        async move {
            let key = format!("/registry/pods/{:06}", (reader * 313 + n * 7919) % KEYS);
            store.get(&key, None).await.unwrap().unwrap();
        }
    })
    .await;
}

async fn ranges(store: &Arc<dyn Store>) {
    let pinned = store.current_revision().await.unwrap();
    for (what, range) in [
        ("range of 10,000 keys", Range::prefix("/registry/pods/")),
        ("range of 500 keys of 10,000", Range::prefix("/registry/pods/").limit(500)),
        ("count of 10,000 keys", Range::prefix("/registry/pods/").count_only()),
    ] {
        let store = Arc::clone(store);
        repeat(what, 1, move |_, _| {
            let (store, range) = (Arc::clone(&store), range.clone().at(pinned));
            async move { drop(store.range(range).await.unwrap()) }
        })
        .await;
    }
}

/// From before a write to when the last of many watchers has its event.
async fn fan_out(store: &Arc<dyn Store>, watchers: usize) {
    const WRITES: usize = 1000;
    let (start, mut running) = (store.current_revision().await.unwrap(), JoinSet::new());
    for _ in 0..watchers {
        let mut stream = store.watch(WatchRequest::prefix("/registry/watched/").after(start)).await.unwrap();
        running.spawn(async move {
            let mut seen = Vec::with_capacity(WRITES);
            while seen.len() < WRITES {
                let batch = stream.next().await.unwrap().unwrap();
                seen.extend(batch.events.iter().map(|_| Instant::now()));
            }
            seen
        });
    }
    let (begin, mut written) = (Instant::now(), Vec::with_capacity(WRITES));
    let mut last = Revision::ZERO;
    for n in 0..WRITES {
        written.push(Instant::now());
        let op = Op::put(format!("/registry/watched/{n}"), vec![0; VALUE]);
        last = store.txn(Txn::default().then(op)).await.unwrap().revision;
    }
    assert_eq!(last.0, start.0 + WRITES as u64);
    let seen = running.join_all().await;
    let latest = (0..WRITES).map(|n| seen.iter().map(|seen| seen[n]).max().unwrap() - written[n]).collect();
    report(&format!("events to {watchers} watchers"), WRITES * watchers, begin.elapsed(), latest);
}

fn reopen(runtime: &tokio::runtime::Runtime, directory: &Path) {
    let start = Instant::now();
    let store = runtime.block_on(EmbeddedStore::open(directory, Options::default())).unwrap();
    println!("reopen                             {:>9.1} ms", start.elapsed().as_secs_f64() * 1e3);
    runtime.block_on(store.close()).unwrap();
}

fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".into(), |line| format!("{} at most", line.trim()))
}
