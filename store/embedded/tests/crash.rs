//! Killed at any moment, the store keeps what it acknowledged.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use store_core::{Op, Range, Revision, Store, Txn};
use store_embedded::{EmbeddedStore, Options, Retention};
use tokio::task::JoinSet;

const WRITERS: u64 = 8;
const ROUNDS: usize = 12;

#[tokio::test]
async fn every_acknowledged_write_survives_being_killed() {
    let home = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::<u64, (u64, Revision)>::new();
    let mut last = Revision(1);
    for round in 0..ROUNDS {
        // Each round ends at another moment: somewhere between the first answers and thousands of them.
        let answers = 1 + round * round * 20;
        write_and_kill(home.path(), answers, &mut acknowledged);

        let store = EmbeddedStore::open(home.path(), Options::default()).await.unwrap();
        let current = store.current_revision().await.unwrap();
        assert!(current > last, "round {round} wrote something");
        last = current;
        let page = store.range(Range::prefix("/crash/")).await.unwrap();
        for (writer, (count, revision)) in &acknowledged {
            let key = format!("/crash/{writer}/count");
            let kv = page.items.iter().find(|kv| kv.key.as_str() == key).expect("an acknowledged key");
            let stored = std::str::from_utf8(&kv.value).unwrap().parse::<u64>().unwrap();
            assert!(stored >= *count, "writer {writer} was told {count} and finds {stored}");
            assert!(kv.mod_revision >= *revision);
            // The other half of the same transaction.
            let pair = format!("/crash/{writer}/pair");
            let pair = page.items.iter().find(|kv| kv.key.as_str() == pair).expect("its pair");
            assert_eq!((&pair.value, pair.mod_revision), (&kv.value, kv.mod_revision));
        }
        store.close().await.unwrap();
    }
    assert_eq!(acknowledged.len() as u64, WRITERS);
}

/// Runs writers in another process, reads what they were told, and kills them after some answers.
fn write_and_kill(directory: &Path, answers: usize, acknowledged: &mut BTreeMap<u64, (u64, Revision)>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_until_killed", "--ignored", "--nocapture"])
        .env("STORE_TEST_DIRECTORY", directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while let Some(Ok(line)) = lines.next() {
        let Some(answer) = line.strip_prefix("ack ") else { continue };
        // What was in the pipe when the process died counts as well; a line cut short does not.
        let Some(answer) = answer.strip_suffix('.') else { continue };
        let [writer, count, revision] = answer.split(' ').map(|n| n.parse::<u64>().unwrap()).collect::<Vec<_>>()[..]
        else {
            panic!("{line}");
        };
        acknowledged.insert(writer, (count, Revision(revision)));
        seen += 1;
        if seen == answers {
            child.kill().unwrap();
        }
    }
    assert!(seen >= answers, "the writers ended by themselves after {seen} answers");
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a process of its own, for every_acknowledged_write_survives_being_killed"]
async fn writes_until_killed() {
    let directory = std::env::var_os("STORE_TEST_DIRECTORY").unwrap();
    // So short that the process is also killed while it compacts and sweeps.
    let retention = Retention { age: std::time::Duration::from_millis(10), revisions: 500 };
    let options = Options { retention: Some(retention), ..Options::default() };
    let store = Arc::new(EmbeddedStore::open(Path::new(&directory), options).await.unwrap());
    println!();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let [key, pair] = ["count", "pair"].map(|name| format!("/crash/{writer}/{name}"));
            let found = store.get(&key, None).await.unwrap();
            let mut count = found.map_or(0, |kv| std::str::from_utf8(&kv.value).unwrap().parse().unwrap());
            loop {
                count += 1;
                let value = count.to_string();
                let txn = Txn::default().then(Op::put(key.as_str(), value.clone())).then(Op::put(pair.as_str(), value));
                let revision = store.txn(txn).await.unwrap().revision;
                let line = format!("ack {writer} {count} {revision}.\n");
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    writers.join_all().await;
}
