//! The process that writes until it is killed, from both sides.

use std::{
    env,
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use store_core::{Error, EventKind, Op, Range, Revision, Store, Txn, WatchRequest};
use store_embedded::{EmbeddedStore, Options, Retention};
use tokio::task::JoinSet;

use crate::{crashes::RESERVE, ledger::Ledger};

const WRITERS: u64 = 6;
/// How many keys are filled before they are deleted, where the disk does not end it sooner.
const JUNK: u64 = 300;

/// The other process, and what it says.
pub(crate) struct Writers {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a line says.
enum Said {
    Acknowledged,
    Seen,
    Refused,
    Other,
}

impl Writers {
    pub(crate) fn start(directory: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "writers::write_until_killed", "--ignored", "--nocapture"])
            .env("STORE_TEST_DIRECTORY", directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads so many acknowledgements.
    pub(crate) fn answers(&mut self, wanted: usize, ledger: &mut Ledger) {
        let mut seen = 0;
        while seen < wanted {
            seen += usize::from(matches!(self.next(ledger), Said::Acknowledged));
        }
    }

    pub(crate) fn until_refused(&mut self, ledger: &mut Ledger) {
        while !matches!(self.next(ledger), Said::Refused) {}
    }

    /// Reads on until it has written for a while without being refused: what was said before is in the pipe still.
    pub(crate) fn until_accepted(&mut self, ledger: &mut Ledger) {
        let mut in_a_row = 0;
        while in_a_row < 50 {
            match self.next(ledger) {
                Said::Acknowledged => in_a_row += 1,
                Said::Refused => in_a_row = 0,
                Said::Seen | Said::Other => {}
            }
        }
    }

    fn next(&mut self, ledger: &mut Ledger) -> Said {
        let line = self.lines.next().expect("the writers should not have ended by themselves").unwrap();
        note(&line, ledger)
    }

    /// Kills it. What was in the pipe counts as well; a line cut short does not.
    pub(crate) fn kill(mut self, ledger: &mut Ledger) {
        self.child.kill().unwrap();
        while let Some(Ok(line)) = self.lines.next() {
            note(&line, ledger);
        }
        self.child.wait().unwrap();
    }
}

fn note(line: &str, ledger: &mut Ledger) -> Said {
    let Some(line) = line.strip_suffix('.') else { return Said::Other };
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["ack", key, count, revision] => {
            ledger.acknowledged(key, count.parse().ok(), Revision(revision.parse().unwrap()));
            Said::Acknowledged
        }
        ["saw", key, count, revision] => {
            ledger.seen(key, count.parse().ok(), revision.parse().unwrap());
            Said::Seen
        }
        ["full"] => Said::Refused,
        _ => Said::Other,
    }
}

/// One write each, so that lines of several tasks do not mix.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}.\n").as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a process of its own, which is killed"]
async fn write_until_killed() {
    let directory = env::var_os("STORE_TEST_DIRECTORY").unwrap();
    // So short that the process is also killed while it compacts and sweeps.
    let retention = Retention { age: Duration::from_millis(10), revisions: 500, ..Retention::default() };
    let options = Options { retention: Some(retention), reserve_bytes: RESERVE, ..Options::default() };
    let store = Arc::new(EmbeddedStore::open(Path::new(&directory), options).await.unwrap());
    println!();
    let mut tasks = JoinSet::new();
    tasks.spawn(watch(Arc::clone(&store)));
    tasks.spawn(fill_and_empty(Arc::clone(&store)));
    for writer in 0..WRITERS {
        tasks.spawn(count_up(Arc::clone(&store), writer));
    }
    // Each goes on for ever: the first to end has failed.
    tasks.join_next().await.unwrap().unwrap();
}

async fn watch(store: Arc<EmbeddedStore>) {
    let mut stream = store.watch(WatchRequest::prefix("/crash/0/")).await.unwrap();
    loop {
        match stream.next().await.unwrap() {
            Ok(batch) => {
                for event in batch.events {
                    let value = event.kv.value.split(|byte| *byte == b' ').next().unwrap_or_default();
                    let count = if event.kind == EventKind::Put { std::str::from_utf8(value).unwrap() } else { "-" };
                    say(&format!("saw {} {count} {}", event.kv.key, event.kv.mod_revision));
                }
            }
            Err(Error::WatchLagged { .. } | Error::Compacted { .. }) => {
                stream = store.watch(WatchRequest::prefix("/crash/0/")).await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Counts in two keys at once, with values of many sizes.
async fn count_up(store: Arc<EmbeddedStore>, writer: u64) {
    let [key, pair] = ["count", "pair"].map(|name| format!("/crash/{writer}/{name}"));
    let found = store.get(&key, None).await.unwrap();
    let mut count = found.map_or(0, |kv| number(&kv.value));
    loop {
        let size = if count % 37 == 0 { 20_000 } else { (count * 7919 % 1500) as usize };
        let value = format!("{} {}", count + 1, "x".repeat(size));
        let txn = Txn::default().then(Op::put(key.as_str(), value.clone())).then(Op::put(pair.as_str(), value));
        match store.txn(txn).await {
            Ok(outcome) => {
                count += 1;
                say(&format!("ack {key} {count} {}", outcome.revision));
                say(&format!("ack {pair} {count} {}", outcome.revision));
            }
            Err(Error::DiskFull { .. }) => {
                // What was refused was not done, and reading goes on.
                let found = store.get(&key, None).await.unwrap();
                assert_eq!(found.map_or(0, |kv| number(&kv.value)), count);
                say("full");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Takes all the room there is, and gives it back: deleting has to work on a full disk.
async fn fill_and_empty(store: Arc<EmbeddedStore>) {
    for n in 0.. {
        let key = format!("/junk/{n}");
        let put = Txn::default().then(Op::put(key.as_str(), format!("{n} {}", "x".repeat(8000))));
        match store.txn(put).await {
            Ok(outcome) => say(&format!("ack {key} {n} {}", outcome.revision)),
            Err(Error::DiskFull { .. }) => {
                say("full");
                empty(&store).await;
            }
            Err(error) => panic!("{error}"),
        }
        if n % JUNK == 0 {
            empty(&store).await;
        }
    }
}

async fn empty(store: &EmbeddedStore) {
    for kv in store.range(Range::prefix("/junk/").keys_only()).await.unwrap().items {
        match store.txn(Txn::default().then(Op::delete(kv.key.clone()))).await {
            Ok(outcome) => say(&format!("ack {} - {}", kv.key, outcome.revision)),
            // Even what was kept for this is used up; others have to make room.
            Err(Error::DiskFull { .. }) => return say("stuck"),
            Err(error) => panic!("{error}"),
        }
    }
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().split(' ').next().unwrap().parse().unwrap()
}
