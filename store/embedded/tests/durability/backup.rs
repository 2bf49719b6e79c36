//! Snapshots are whole or not there, and what is restored from one never contradicts what clients were told.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use store_core::{Error, Op, Range, Revision, Store, Swap, Txn, WatchRequest};
use store_embedded::{BackupError, EmbeddedStore, Options, restore_snapshot, save_snapshot};
use tempfile::TempDir;

use crate::disk::{self, SmallDisk};

/// A store with some history, and names beside it.
struct Place {
    home: PathBuf,
    _temporary: Option<TempDir>,
}

impl Place {
    async fn with_store() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { home: home.path().to_owned(), _temporary: Some(home) }.filled().await
    }

    async fn filled(self) -> Self {
        let place = self;
        let store = place.open("store").await;
        for n in 0..50 {
            put(&store, &format!("/k/{}", n % 7), n.to_string()).await;
        }
        store.txn(Txn::default().then(Op::delete("/k/0"))).await.unwrap();
        store.close().await.unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    async fn open(&self, name: &str) -> EmbeddedStore {
        EmbeddedStore::open(self.path(name), Options::default()).await.unwrap()
    }

    fn save(&self) -> Result<store_embedded::Contents, BackupError> {
        save_snapshot(&self.path("store"), &self.path("snapshot"))
    }

    fn restore(&self, name: &str) -> Result<store_embedded::Contents, BackupError> {
        restore_snapshot(&self.path(name), &self.path("snapshot"), SystemTime::now())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.home).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

async fn put(store: &impl Store, key: &str, value: impl Into<bytes::Bytes>) -> Revision {
    store.txn(Txn::default().then(Op::put(key, value.into()))).await.unwrap().revision
}

#[tokio::test]
async fn what_was_saved_comes_back() {
    let place = Place::with_store().await;
    let store = place.open("store").await;
    let before = store.range(Range::prefix("/")).await.unwrap();
    let saved = place.save().unwrap();
    assert_eq!((saved.revision, saved.keys), (before.revision, 6));
    assert_eq!(saved.bytes, fs::metadata(place.path("snapshot")).unwrap().len());
    assert_eq!(fs::metadata(place.path("snapshot")).unwrap().permissions().mode() & 0o777, 0o600, "it has secrets");
    put(&store, "/k/1", "later").await;
    store.close().await.unwrap();

    let restored = place.restore("restored").unwrap();
    assert_eq!(restored.keys, 6);
    let store = place.open("restored").await;
    let after = store.range(Range::prefix("/")).await.unwrap();
    assert_eq!((after.items, after.revision), (before.items, restored.revision));
    assert_eq!(fs::metadata(place.path("restored/store.db")).unwrap().permissions().mode() & 0o777, 0o600);
    store.close().await.unwrap();
    assert_eq!(place.names(), ["restored", "snapshot", "store"]);
}

#[tokio::test]
async fn no_revision_comes_again_with_other_content() {
    let place = Place::with_store().await;
    place.save().unwrap();
    let store = place.open("store").await;
    let mut told = Revision(0);
    for n in 0..20 {
        told = put(&store, "/k/1", format!("forgotten {n}")).await;
    }
    store.close().await.unwrap();

    // Put back twice, as after a first attempt that went wrong, and written to in between.
    let now = SystemTime::now();
    for (attempt, name) in ["first", "second"].into_iter().enumerate() {
        let at = now + Duration::from_secs(attempt as u64);
        let restored = restore_snapshot(&place.path(name), &place.path("snapshot"), at).unwrap();
        assert!(restored.revision > told);
        let store = place.open(name).await;
        // Whoever knows the state between the snapshot and the loss is told to look again, ...
        for known in [2, 52, told.0, restored.revision.0 - 1].map(Revision) {
            let watched = store.watch(WatchRequest::prefix("/").after(known)).await.map(drop);
            assert!(matches!(watched, Err(Error::Compacted { .. })), "{known}: {watched:?}");
            assert!(matches!(store.get("/k/1", Some(known)).await, Err(Error::Compacted { .. })), "{known}");
        }
        store.watch(WatchRequest::prefix("/").after(restored.revision)).await.map(drop).unwrap();
        // ... cannot overwrite what came back instead of it, ...
        let lost = store.update_if("/k/1".into(), told, "x".into()).await.unwrap();
        let Swap::Conflict(Some(found)) = lost else { panic!("{lost:?}") };
        // ... and whoever knows the object as it was saved can.
        let done = store.update_if("/k/1".into(), found.mod_revision, "y".into()).await.unwrap();
        assert_eq!(done, Swap::Done(restored.revision.next()));
        for n in 0..50 {
            let revision = put(&store, "/k/2", n.to_string()).await;
            assert!(revision > told);
            told = revision;
        }
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_restored_store_sweeps_and_reopens() {
    let place = Place::with_store().await;
    place.save().unwrap();
    let restored = place.restore("restored").unwrap();
    for round in 1..4 {
        let store = place.open("restored").await;
        assert_eq!(put(&store, "/k/1", "x").await.0, restored.revision.0 + round);
        assert_eq!(store.compacted_revision().await.unwrap(), restored.revision);
        store.close().await.unwrap();
    }
    // And it can be saved and restored itself.
    let again = save_snapshot(&place.path("restored"), &place.path("snapshot")).unwrap();
    assert_eq!(again.revision.0, restored.revision.0 + 3);
    assert!(place.restore("again").unwrap().revision > again.revision);
}

/// Another process has the store open and writes to it all the while.
#[tokio::test]
async fn a_server_goes_on_while_it_is_saved() {
    let place = Place::with_store().await;
    let mut server = serve(&place.path("store"));
    let mut last = Revision(0);
    for round in 0..5 {
        let saved = place.save().unwrap();
        assert!(saved.revision > last, "the server writes");
        last = saved.revision;
        let name = format!("restored-{round}");
        place.restore(&name).unwrap();
        let store = place.open(&name).await;
        let page = store.range(Range::prefix("/pair/")).await.unwrap();
        let [a, b] = &page.items[..] else { panic!("{:?}", page.items) };
        assert_eq!((&a.value, a.mod_revision), (&b.value, b.mod_revision), "no transaction is cut in two");
        assert!(a.mod_revision <= last);
        store.close().await.unwrap();
    }
    // In use: by the server, and by nobody for a restore.
    let refused = place.restore("store").unwrap_err();
    assert!(matches!(&refused, BackupError::Store(Error::Locked { holder: Some(pid), .. }) if *pid == server.id()));
    server.kill().unwrap();
    server.wait().unwrap();
    // What a killed server leaves can be saved as well.
    assert!(place.save().unwrap().revision >= last);
}

/// Starts this test program as a server that writes, and waits until it does.
fn serve(directory: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backup::writes_pairs", "--ignored", "--nocapture"])
        .env("STORE_TEST_DIRECTORY", directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "writing"), "the child should have written");
    child
}

#[tokio::test]
#[ignore = "runs in a process of its own, for a_server_goes_on_while_it_is_saved"]
async fn writes_pairs() {
    let directory = std::env::var_os("STORE_TEST_DIRECTORY").unwrap();
    let store = EmbeddedStore::open(Path::new(&directory), Options::default()).await.unwrap();
    for n in 0_u64.. {
        let value = format!("{n:0>9000}");
        store
            .txn(Txn::default().then(Op::put("/pair/a", value.clone())).then(Op::put("/pair/b", value)))
            .await
            .unwrap();
        if n == 10 {
            println!("\nwriting");
        }
    }
}

#[tokio::test]
async fn only_an_empty_place_is_restored_to() {
    let place = Place::with_store().await;
    place.save().unwrap();
    assert!(matches!(place.restore("store"), Err(BackupError::NotEmpty(_))));
    fs::create_dir(place.path("other")).unwrap();
    fs::write(place.path("other/precious"), "x").unwrap();
    assert!(matches!(place.restore("other"), Err(BackupError::NotEmpty(_))));
    assert_eq!(fs::read_to_string(place.path("other/precious")).unwrap(), "x");
    // An empty folder will do, and so will one where a restore was killed.
    fs::create_dir(place.path("empty")).unwrap();
    place.restore("empty").unwrap();
    fs::create_dir(place.path("tried")).unwrap();
    fs::write(place.path("tried/store.db.restoring"), "half").unwrap();
    place.restore("tried").unwrap();
    let store = place.open("tried").await;
    assert!(store.get("/k/1", None).await.unwrap().is_some());
}

#[track_caller]
fn check_damaged(place: &Place, bytes: &[u8], what: &str) {
    fs::write(place.path("snapshot"), bytes).unwrap();
    let error = place.restore("restored").unwrap_err();
    assert!(matches!(error, BackupError::Damaged { .. }), "{what}: {error}");
    assert!(error.to_string().starts_with(&format!("{} is not a whole snapshot", place.path("snapshot").display())));
    assert!(!place.path("restored").exists(), "{what}: nothing is left behind");
}

#[tokio::test]
async fn a_snapshot_that_is_not_whole_is_refused() {
    let place = Place::with_store().await;
    place.save().unwrap();
    let whole = fs::read(place.path("snapshot")).unwrap();
    for length in [0, 1, 39, 40, 4096, whole.len() / 2, whole.len() - 41, whole.len() - 1] {
        check_damaged(&place, &whole[..length], &format!("cut to {length} bytes"));
    }
    for at in (0..whole.len()).step_by(whole.len() / 50).chain([whole.len() - 1, whole.len() - 33]) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        check_damaged(&place, &flipped, &format!("a bit flipped at {at}"));
    }
    check_damaged(&place, &[&whole[..], b"more"].concat(), "something behind it");
    check_damaged(&place, b"apiVersion: v1", "another file");
    fs::write(place.path("snapshot"), &whole).unwrap();
    place.restore("restored").unwrap();
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let place = Place::with_store().await;
    let nothing = save_snapshot(&place.path("nowhere"), &place.path("snapshot")).unwrap_err();
    assert_eq!(nothing.to_string(), format!("there is no store in {}", place.path("nowhere").display()));
    assert!(!place.path("nowhere").exists());
    let unreadable = place.restore("restored").unwrap_err();
    assert_eq!(unreadable.to_string(), format!("could not read the snapshot {}", place.path("snapshot").display()));
    let target = place.path("no/such/folder/snapshot");
    let unwritable = save_snapshot(&place.path("store"), &target).unwrap_err();
    assert_eq!(unwritable.to_string(), format!("could not write the snapshot {}", target.display()));
    assert_eq!(place.names(), ["store"]);
}

/// Where neither the snapshot nor the store from it has room, nothing is left of either.
#[test]
fn a_full_disk_leaves_what_was_there() {
    disk::in_a_namespace("backup::too_little_room");
}

#[tokio::test]
#[ignore = "runs in a namespace of its own, for a_full_disk_leaves_what_was_there"]
async fn too_little_room() {
    let disk = SmallDisk::mount(48 << 20);
    let place = Place { home: disk.path().to_owned(), _temporary: None }.filled().await;
    place.save().unwrap();
    let whole = fs::read(place.path("snapshot")).unwrap();
    let store = place.open("store").await;
    put(&store, "/big", vec![b'x'; 3 << 20]).await;
    store.close().await.unwrap();
    disk.fill_but(2 << 20);
    let told = place.save().unwrap_err().to_string();
    assert_eq!(told, format!("no space is left on the disk of {}", place.path("snapshot").display()));
    assert_eq!(place.names(), ["ballast", "snapshot", "store"]);
    assert!(fs::read(place.path("snapshot")).unwrap() == whole, "the older snapshot stays");
    disk.make_room();

    place.save().unwrap();
    disk.fill_but(2 << 20);
    let told = place.restore("restored").unwrap_err().to_string();
    assert_eq!(told, format!("no space is left on the disk of {}", place.path("restored").display()));
    assert_eq!(place.names(), ["ballast", "snapshot", "store"]);
    disk.make_room();
    place.restore("restored").unwrap();
}

#[test]
fn a_disk_that_cannot_be_written_is_told() {
    disk::in_a_namespace("backup::read_only");
}

#[tokio::test]
#[ignore = "runs in a namespace of its own, for a_disk_that_cannot_be_written_is_told"]
async fn read_only() {
    let disk = SmallDisk::mount(48 << 20);
    let place = Place { home: disk.path().to_owned(), _temporary: None }.filled().await;
    place.save().unwrap();
    disk.set_read_only(true);
    let told = place.save().unwrap_err().to_string();
    assert_eq!(told, format!("could not write the snapshot {}", place.path("snapshot").display()));
    let told = place.restore("restored").unwrap_err().to_string();
    assert_eq!(told, format!("the data directory {} cannot be used", place.path("restored").display()));
    // What is there can be saved to somewhere else.
    let elsewhere = tempfile::tempdir().unwrap();
    let saved = save_snapshot(&place.path("store"), &elsewhere.path().join("snapshot"));
    disk.set_read_only(false);
    assert_eq!(saved.unwrap().keys, 6);
}
