//! History is bounded, and its room is used again, while writing goes on and on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use store_core::{Op, Store, Txn};
use store_embedded::{EmbeddedStore, Options, Retention};
use tokio::task::JoinSet;

/// All files of the store, without what it keeps free.
fn size(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap().map(Result::unwrap);
    files.filter(|file| file.file_name() != "reserve").map(|file| file.metadata().unwrap().len()).sum()
}

/// Overwrites keys from many tasks, and says how large the files were at most, and how long one write took at most.
async fn overwrite(retention: Retention, writers: usize, writes: usize, keys: usize, bytes: usize) -> (u64, Duration) {
    let home = tempfile::tempdir().unwrap();
    let options = Options { retention: Some(retention), ..Options::default() };
    let store = Arc::new(EmbeddedStore::open(home.path(), options).await.unwrap());
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let (store, directory) = (Arc::clone(&store), home.path().to_owned());
        tasks.spawn(async move {
            let (mut largest, mut slowest) = (0, Duration::ZERO);
            for n in 0..writes / writers {
                let started = Instant::now();
                let put = Op::put(format!("/lease/{}", n % keys), vec![b'x'; bytes]);
                store.txn(Txn::default().then(put)).await.unwrap();
                slowest = slowest.max(started.elapsed());
                if writer == 0 && n % 50 == 0 {
                    largest = largest.max(size(&directory));
                }
            }
            (largest, slowest)
        });
    }
    let measured = tasks.join_all().await;
    let largest = measured.iter().map(|(largest, _)| *largest).max().unwrap().max(size(home.path()));
    let slowest = measured.iter().map(|(_, slowest)| *slowest).max().unwrap();
    store.close().await.unwrap();
    println!("{writes} writes of {bytes} bytes: at most {largest} bytes, {slowest:?} for one write");
    (largest, slowest)
}

const MIB: u64 = 1 << 20;

/// As many as wait at once fill whole groups: then sweeping has least room in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_overwritten_a_hundred_thousand_times() {
    let retention = Retention { age: Duration::from_millis(100), revisions: 2000, ..Retention::default() };
    let (largest, slowest) = overwrite(retention, 300, 100_000, 1, 200).await;
    // Without sweeping it would be 100,000 rows of some 270 bytes, and it would grow with their number.
    assert!(largest < 12 * MIB, "{largest} bytes");
    assert!(slowest < Duration::from_secs(5), "a write took {slowest:?}");
}

/// Nothing is old, and there are not many revisions: but they are large.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_do_not_wait_to_grow_old() {
    let retention = Retention { bytes: 8 * MIB, ..Retention::default() };
    let (largest, _) = overwrite(retention, 4, 600, 3, 512 << 10).await;
    assert!(largest < 100 * MIB, "{largest} bytes of {}", 600 << 19);
}
