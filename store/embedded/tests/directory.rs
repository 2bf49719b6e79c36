//! What the data directory promises: it remembers, it is private, it has one user, and it says what is wrong with it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    error::Error as _,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use store_core::{Content, Error, Key, Op, Range, Revision, Store, Swap, Txn, WatchRequest};
use store_embedded::{EmbeddedStore, Options, Retention};
use tempfile::TempDir;

async fn open(path: &Path) -> Result<EmbeddedStore, Error> {
    EmbeddedStore::open(path, Options::default()).await
}

async fn put(store: &impl Store, key: &str, value: impl Into<Bytes>) -> Revision {
    store.txn(Txn::default().then(Op::put(key, value.into()))).await.unwrap().revision
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn reopening_keeps_values_revisions_and_compaction() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await.unwrap();
    for n in 0..20 {
        put(&store, "/a", n.to_string()).await;
    }
    put(&store, "/gone", "1").await;
    store.txn(Txn::default().then(Op::delete("/gone"))).await.unwrap();
    store.compact(Revision(10)).await.unwrap();
    let before = store.range(Range::prefix("/")).await.unwrap();
    store.close().await.unwrap();

    let store = open(home.path()).await.unwrap();
    assert_eq!(store.range(Range::prefix("/")).await.unwrap(), before);
    assert_eq!(store.current_revision().await.unwrap(), Revision(23));
    assert_eq!(store.compacted_revision().await.unwrap(), Revision(10));
    assert!(matches!(store.get("/a", Some(Revision(9))).await, Err(Error::Compacted { .. })));
    assert_eq!(store.get("/a", Some(Revision(10))).await.unwrap().unwrap().value, "8");
    assert!(matches!(store.watch(WatchRequest::prefix("/").after(Revision(9))).await, Err(Error::Compacted { .. })));
    assert!(store.get("/gone", Some(Revision(22))).await.unwrap().is_some());
    assert_eq!(put(&store, "/a", "next").await, Revision(24));
    assert_eq!(store.get("/a", None).await.unwrap().unwrap().version, 21);
}

#[tokio::test]
async fn a_store_that_is_dropped_lets_go_of_its_directory() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await.unwrap();
    put(&store, "/a", "1").await;
    drop(store);
    let reopened = async {
        loop {
            match open(home.path()).await {
                Err(Error::Locked { .. }) => tokio::task::yield_now().await,
                other => break other.unwrap(),
            }
        }
    };
    let store = tokio::time::timeout(Duration::from_secs(30), reopened).await.unwrap();
    assert!(store.get("/a", None).await.unwrap().is_some());
}

#[tokio::test]
async fn the_directory_is_private() {
    let home = tempfile::tempdir().unwrap();
    let new = home.path().join("some/where");
    let store = open(&new).await.unwrap();
    assert_eq!(mode(&new), 0o700);
    for entry in fs::read_dir(&new).unwrap() {
        let file = entry.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    store.close().await.unwrap();

    let lax = home.path().join("lax");
    fs::create_dir(&lax).unwrap();
    fs::set_permissions(&lax, fs::Permissions::from_mode(0o755)).unwrap();
    open(&lax).await.unwrap().close().await.unwrap();
    assert_eq!(mode(&lax), 0o700);
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_directory() {
    let home = tempfile::tempdir().unwrap();
    let mut child = hold(home.path());
    let error = open(home.path()).await.unwrap_err();
    let expected =
        format!("the data directory {} is in use by another process (pid {})", home.path().display(), child.id());
    assert_eq!(error.to_string(), expected);
    child.kill().unwrap();
    child.wait().unwrap();
    let store = open(home.path()).await.expect("the lock goes with the process");
    assert!(store.get("/held", None).await.unwrap().is_some());
}

/// Starts this test program as another process that opens the directory, and waits until it has.
fn hold(directory: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holds_the_directory", "--ignored", "--nocapture"])
        .env("STORE_TEST_DIRECTORY", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap() == "holding"), "the child should have opened the directory");
    child
}

#[tokio::test]
#[ignore = "runs in a process of its own, for a_second_process_is_told_who_holds_the_directory"]
async fn holds_the_directory() {
    let directory = std::env::var_os("STORE_TEST_DIRECTORY").unwrap();
    let store = open(Path::new(&directory)).await.unwrap();
    put(&store, "/held", "1").await;
    println!("\nholding");
    // Until the parent closes the pipe or kills us.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[tokio::test]
async fn an_unusable_directory_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let locked = home.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::create_dir(locked.join("lock")).unwrap();
    for path in [file.clone(), file.join("below"), locked, Path::new("/proc/self/store").to_owned()] {
        let error = open(&path).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the data directory {} cannot be used", path.display()));
        assert!(error.source().is_some(), "the cause is told");
    }
}

#[tokio::test]
async fn a_directory_without_write_permission_is_named() {
    let home = tempfile::tempdir().unwrap();
    let parent = home.path().join("sealed");
    fs::create_dir(&parent).unwrap();
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o500)).unwrap();
    let opened = open(&parent.join("store")).await;
    // Permissions do not bind the superuser, who runs tests in containers.
    if fs::write(parent.join("probe"), "").is_ok() {
        opened.unwrap().close().await.unwrap();
    } else {
        assert!(matches!(opened, Err(Error::Unusable { .. })));
    }
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("store.db");
    fs::write(&file, vec![b'x'; 8192]).unwrap();
    let error = open(home.path()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }));
    assert_eq!(error.to_string(), format!("the stored data in {} is damaged", file.display()));
}

#[tokio::test]
async fn damage_in_the_middle_is_an_error_and_not_an_answer() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path()).await.unwrap();
    for n in 0..200 {
        put(&store, &format!("/k/{n}"), vec![b'v'; 1000]).await;
    }
    store.close().await.unwrap();
    let file = home.path().join("store.db");
    let mut bytes = fs::read(&file).unwrap();
    // All pages but the first, which holds the tables' definitions.
    bytes[4096..].fill(0xA5);
    fs::write(&file, bytes).unwrap();
    let read = async { open(home.path()).await?.range(Range::prefix("/k/")).await };
    assert!(matches!(read.await, Err(Error::Corrupt { .. })));
}

#[tokio::test]
async fn a_file_of_another_program_or_version_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    open(home.path()).await.unwrap().close().await.unwrap();
    let file = home.path().join("store.db");
    let mut bytes = fs::read(&file).unwrap();
    // The user version, big-endian, at its fixed place in the header.
    bytes[60..64].copy_from_slice(&7_i32.to_be_bytes());
    fs::write(&file, &bytes).unwrap();
    let error = open(home.path()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{} has format 7; this program reads format 1", file.display()));
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[tokio::test]
async fn a_full_quota_fails_writes_and_leaves_a_way_out() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: Some(2 << 20), ..Options::default() };
    let store = EmbeddedStore::open(home.path(), options).await.unwrap();
    let value = vec![b'x'; 64 << 10];
    let mut written = Vec::new();
    let error = loop {
        let key = Key::from(format!("/big/{:03}", written.len()));
        match store.create(key.clone(), value.clone().into()).await {
            Ok(Swap::Done(_)) => written.push(key),
            Ok(Swap::Conflict(_)) => panic!("nobody else writes"),
            Err(error) => break error,
        }
        assert!(written.len() < 100, "the quota should have been reached");
    };
    assert_eq!(
        error.to_string(),
        format!("the data in {} has reached its limit of {} bytes", home.path().display(), 2 << 20)
    );
    let page = store.range(Range { content: Content::KeysOnly, ..Range::prefix("/big/") }).await.unwrap();
    assert!(page.items.iter().map(|kv| &kv.key).eq(&written), "reads go on, and show what was acknowledged");

    for key in &written[..10] {
        store.txn(Txn::default().then(Op::delete(key.clone()))).await.expect("deleting needs no room");
    }
    store.compact(store.current_revision().await.unwrap()).await.unwrap();
    // Sweeping goes on behind the compaction; the space comes back soon.
    let retried = async {
        loop {
            match store.create("/again".into(), value.clone().into()).await {
                Err(Error::OverQuota { .. }) => tokio::task::yield_now().await,
                other => break other.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), retried).await.expect("there is room again");
}

#[tokio::test]
async fn history_is_compacted_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let retention = Retention { age: Duration::from_millis(20), revisions: 1000, ..Retention::default() };
    let options = Options { retention: Some(retention), ..Options::default() };
    let store = EmbeddedStore::open(home.path(), options).await.unwrap();
    let mut last = Revision(0);
    for n in 0..50 {
        last = put(&store, "/a", n.to_string()).await;
    }
    let compacted = async {
        while store.compacted_revision().await.unwrap() < last {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), compacted).await.expect("it should have been compacted");
    assert!(matches!(store.get("/a", Some(Revision(2))).await, Err(Error::Compacted { .. })));
    assert_eq!(store.get("/a", None).await.unwrap().unwrap().value, "49");
}

#[tokio::test]
async fn sweeping_gives_space_back_across_restarts() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { retention: None, ..Options::default() };
    let value = vec![b'x'; 16 << 10];
    let mut sizes = Vec::new();
    for _ in 0..6 {
        let store = Arc::new(EmbeddedStore::open(home.path(), options).await.unwrap());
        for n in 0..100 {
            put(&*store, &format!("/a/{}", n % 5), value.clone()).await;
        }
        store.compact(store.current_revision().await.unwrap()).await.unwrap();
        // Closed at once: what is not swept yet is swept after the next start.
        store.close().await.unwrap();
        sizes.push(fs::metadata(home.path().join("store.db")).unwrap().len());
    }
    let bound = 5 * 100 * value.len() as u64 / 2;
    assert!(sizes.iter().all(|size| *size < bound), "{sizes:?} should stay below {bound}");
}

/// Where a write would go over the file size that the process may have, it fails, and the store reads on.
#[test]
fn a_write_that_the_system_refuses_leaves_the_store_whole() {
    let home = TempDir::new().unwrap();
    let script = r#"trap "" XFSZ; ulimit -f 4096; exec "$0" --exact writes_until_refused --ignored --nocapture"#;
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("STORE_TEST_DIRECTORY", home.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let written = told.lines().find_map(|line| line.strip_prefix("written ")).unwrap().parse::<u64>().unwrap();
    assert!(written > 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(home.path()).await.unwrap();
        assert_eq!(store.range(Range::prefix("/big/").count_only()).await.unwrap().remaining, written);
        put(&store, "/again", vec![b'x'; 256 << 10]).await;
    });
}

#[tokio::test]
#[ignore = "runs in a process of its own, for a_write_that_the_system_refuses_leaves_the_store_whole"]
async fn writes_until_refused() {
    let directory = std::env::var_os("STORE_TEST_DIRECTORY").unwrap();
    let store = open(Path::new(&directory)).await.unwrap();
    let value = vec![b'x'; 256 << 10];
    let mut written = 0;
    let error = loop {
        match store.create(format!("/big/{written}").into(), value.clone().into()).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the limit should have been reached");
    };
    assert!(matches!(error, Error::DiskFull { .. } | Error::Backend { .. }), "{error}");
    assert_eq!(store.range(Range::prefix("/big/").count_only()).await.unwrap().remaining, written);
    assert_eq!(store.get("/big/0", None).await.unwrap().unwrap().value, value);
    assert_eq!(store.current_revision().await.unwrap(), Revision(1 + written));
    println!("\nwritten {written}");
    store.close().await.ok();
}
