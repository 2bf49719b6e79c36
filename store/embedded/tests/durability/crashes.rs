//! Killed at any moment, on a disk with room or without, the store keeps what it told and tells nothing else.
//!
//! Each run starts writers in a process of their own, kills it after some of its answers, and looks at what it left:
//! every acknowledged write is there, and no revision has another content than it was told to have, by an answer or by
//! a watch, in this run or any before. `ACP_TEST_STORE_CRASHES` says how many runs there are (25 unless said otherwise,
//! 1,000 before a release), `ACP_TEST_STORE_SEED` repeats the choices of an earlier test.

use std::{
    env,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use store_core::{Error, Op, Range, Store, Txn, WatchRequest};
use store_embedded::{EmbeddedStore, Options};

use crate::{
    disk::{self, SmallDisk},
    ledger::Ledger,
    log,
    writers::Writers,
};

/// The room that is kept free, on disks of some MiB.
pub(crate) const RESERVE: u64 = 1 << 20;

#[tokio::test]
async fn nothing_told_is_lost_or_told_otherwise() {
    let home = tempfile::tempdir().unwrap();
    let mut crashes = Crashes::new(home.path().join("store"), None);
    for run in 0..runs() {
        crashes.run(run).await;
    }
    crashes.report();
}

/// The same on a disk that fills up, by itself and by others, and is read-only now and then. It lives in a namespace of
/// its own, since only there may everybody mount one.
#[test]
fn nor_on_a_disk_that_is_full() {
    let output = disk::in_a_namespace("crashes::crashes_on_a_small_disk");
    print!("{output}");
    assert!(output.contains("runs on a small disk"), "it should have run");
}

#[tokio::test]
#[ignore = "runs in a namespace of its own, for nor_on_a_disk_that_is_full"]
async fn crashes_on_a_small_disk() {
    let disk = SmallDisk::mount(24 << 20);
    let mut crashes = Crashes::new(disk.path().join("store"), Some(disk));
    for run in 0..runs() {
        crashes.run(run).await;
    }
    crashes.report();
}

fn runs() -> usize {
    let runs = env::var("ACP_TEST_STORE_CRASHES").ok();
    runs.map_or(25, |runs| runs.parse().expect("ACP_TEST_STORE_CRASHES is a number"))
}

/// Pseudo-random choices that can be made again.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let given = env::var("ACP_TEST_STORE_SEED").ok();
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = given.map_or_else(now, |seed| seed.parse().expect("ACP_TEST_STORE_SEED is a number"));
        println!("ACP_TEST_STORE_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// Mostly little, at times much: crashes while starting are as wanted as those after a while.
    fn some(&mut self) -> usize {
        let bound = [1, 10, 100, 1500][self.below(4)];
        self.below(bound)
    }
}

/// What happened over all runs.
#[derive(Debug, Default)]
struct Tally {
    runs: usize,
    torn: usize,
    filled: usize,
    reopened_full: usize,
    read_only: usize,
}

struct Crashes {
    directory: PathBuf,
    disk: Option<SmallDisk>,
    dice: Dice,
    ledger: Ledger,
    tally: Tally,
}

impl Crashes {
    fn new(directory: PathBuf, disk: Option<SmallDisk>) -> Self {
        Self { directory, disk, dice: Dice::new(), ledger: Ledger::default(), tally: Tally::default() }
    }

    async fn run(&mut self, run: usize) {
        self.tally.runs += 1;
        let answers = self.dice.some();
        let mut writers = Writers::start(&self.directory);
        writers.answers(answers, &mut self.ledger);
        if self.disk.is_some() && self.dice.below(2) == 0 {
            self.fill_up(&mut writers);
        }
        writers.kill(&mut self.ledger);
        if let Some(disk) = &self.disk {
            disk.make_room();
        }
        if self.dice.below(2) == 0 && log::tear(&self.directory.join("store.db-wal"), |bound| self.dice.below(bound)) {
            self.tally.torn += 1;
        }
        if self.disk.is_some() && self.dice.below(4) == 0 {
            self.look_read_only().await;
        }
        match &self.disk {
            Some(_) if self.dice.below(2) == 0 => self.look_without_room().await,
            _ => self.look(run).await,
        }
    }

    /// While others take the room, writes are refused and reads go on; afterwards it goes on as before.
    fn fill_up(&mut self, writers: &mut Writers) {
        let disk = self.disk.as_ref().unwrap();
        disk.fill();
        writers.until_refused(&mut self.ledger);
        self.tally.filled += 1;
        if self.dice.below(2) == 0 {
            disk.make_room();
            writers.until_accepted(&mut self.ledger);
        }
    }

    async fn look(&mut self, run: usize) {
        let store = open(&self.directory).await.unwrap();
        self.check(&store).await;
        // What is written now gets a revision that nobody has heard of.
        let key = format!("/crash/driver/{}", run % 3);
        let txn = Txn::default().then(Op::put(key.as_str(), run.to_string()));
        let revision = store.txn(txn).await.unwrap().revision;
        self.ledger.acknowledged(&key, Some(run as u64), revision);
        store.close().await.unwrap();
    }

    /// The store opens on a full disk, is read there, and can be emptied there.
    async fn look_without_room(&mut self) {
        let disk = self.disk.take().unwrap();
        // Its reserve may have been used up by the process that died: then there is nothing left to start with.
        let has_reserve = self.directory.join("reserve").metadata().is_ok_and(|found| found.len() >= RESERVE);
        disk.fill();
        let store = match open(&self.directory).await {
            Err(Error::DiskFull { .. }) if !has_reserve => {
                disk.make_room();
                let store = open(&self.directory).await.unwrap();
                disk.fill();
                store
            }
            opened => {
                self.tally.reopened_full += 1;
                opened.unwrap()
            }
        };
        self.check(&store).await;
        let refused = self.write_until_refused(&store).await;
        self.check(&store).await;
        let delete = Txn::default().then(Op::delete("/crash/driver/0")).then(Op::delete("/big/0"));
        match store.txn(delete).await {
            Ok(outcome) => self.ledger.acknowledged("/crash/driver/0", None, outcome.revision),
            // Here, too, only when the reserve was gone before.
            Err(error) => assert!(matches!(error, Error::DiskFull { .. }) && !has_reserve, "{error}"),
        }
        disk.make_room();
        let again = store.txn(Txn::default().then(Op::put("/again", "1"))).await;
        assert!(again.is_ok(), "after {refused:?} there is room again: {again:?}");
        let big = store.range(Range::prefix("/big/").keys_only()).await.unwrap();
        for kv in big.items {
            store.txn(Txn::default().then(Op::delete(kv.key))).await.unwrap();
        }
        store.compact(store.current_revision().await.unwrap()).await.unwrap();
        store.close().await.unwrap();
        self.disk = Some(disk);
    }

    async fn write_until_refused(&mut self, store: &EmbeddedStore) -> Error {
        for n in 0..1000 {
            let txn = Txn::default().then(Op::put(format!("/big/{n}"), vec![b'x'; 64 << 10]));
            if let Err(error) = store.txn(txn).await {
                assert!(matches!(error, Error::DiskFull { .. }), "{error}");
                return error;
            }
        }
        panic!("a full disk took 64 MiB");
    }

    /// On a disk that cannot be written, the store says so and changes nothing.
    async fn look_read_only(&mut self) {
        let disk = self.disk.as_ref().unwrap();
        disk.set_read_only(true);
        let error = open(&self.directory).await.map(drop).unwrap_err();
        disk.set_read_only(false);
        assert!(matches!(error, Error::Unusable { .. }), "{error}");
        let told = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(told.contains(&*self.directory.to_string_lossy()) && told.contains("Read-only"), "{told}");
        self.tally.read_only += 1;
    }

    async fn check(&mut self, store: &EmbeddedStore) {
        let page = store.range(Range::prefix("/")).await.unwrap();
        self.ledger.check_state(&page);
        let after = store.compacted_revision().await.unwrap();
        let mut stream = store.watch(WatchRequest::prefix("/crash/").after(after)).await.unwrap();
        loop {
            let batch = tokio::time::timeout(Duration::from_secs(60), futures::StreamExt::next(&mut stream)).await;
            let batch = batch.unwrap().unwrap().unwrap();
            batch.events.iter().for_each(|event| self.ledger.saw_event(event));
            if batch.revision >= page.revision {
                return;
            }
        }
    }

    fn report(&self) {
        let Tally { runs, torn, filled, reopened_full, read_only } = self.tally;
        let place = if self.disk.is_some() { "runs on a small disk" } else { "runs" };
        println!(
            "{runs} {place}: {} acknowledged, {} seen by watches; {torn} logs torn, filled up {filled} times, \
             opened {reopened_full} times without room and {read_only} times read-only",
            self.ledger.acknowledgements, self.ledger.sightings
        );
    }
}

async fn open(directory: &Path) -> Result<EmbeddedStore, Error> {
    EmbeddedStore::open(directory, Options { retention: None, reserve_bytes: RESERVE, ..Options::default() }).await
}
