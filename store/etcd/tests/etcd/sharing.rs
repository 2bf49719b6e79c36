//! The etcd is not ours alone: other programs read what we write, write themselves, and compact.

use std::time::Duration;

use futures::StreamExt;
use store_core::{Error, Op, Range, Revision, Store, Txn, WatchRequest};
use store_etcd::{Config, EtcdStore, Keyspace};

use crate::put;
use etcd::Etcd;

fn mounted(etcd: &Etcd, prefix: &str) -> Config {
    Config { keyspace: Keyspace::mounted("/registry", prefix), ..Config::new([etcd.endpoint.as_str()]) }
}

#[tokio::test]
async fn others_find_the_same_bytes_under_the_same_names() {
    let etcd = Etcd::plain();
    let store = EtcdStore::open(mounted(&etcd, "/registry")).await.unwrap();
    let value = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
    put(&store, "/registry/configmaps/ns/a", value).await;
    assert_eq!(etcd.ctl(None, &["get", "--print-value-only", "/registry/configmaps/ns/a"]).trim_end(), value);
    etcd.ctl(None, &["put", "/registry/configmaps/ns/b", "theirs"]);
    assert_eq!(store.get("/registry/configmaps/ns/b", None).await.unwrap().unwrap().value, "theirs");
}

#[tokio::test]
async fn another_prefix_keeps_stores_apart() {
    let etcd = Etcd::plain();
    let (a, b) = (mounted(&etcd, "/a/registry"), mounted(&etcd, "b"));
    let (a, b) = (EtcdStore::open(a).await.unwrap(), EtcdStore::open(b).await.unwrap());
    put(&a, "/registry/pods/x", "a").await;
    put(&b, "/registry/pods/x", "b").await;
    assert_eq!(a.get("/registry/pods/x", None).await.unwrap().unwrap().value, "a");
    assert_eq!(b.range(Range::prefix("/registry/")).await.unwrap().items.len(), 1);
    assert_eq!(etcd.ctl(None, &["get", "--prefix", "--keys-only", "/"]).split_whitespace().count(), 2);
    assert_eq!(etcd.ctl(None, &["get", "--print-value-only", "/b/pods/x"]).trim_end(), "b");
}

/// A consistent read waits for the watch to reach etcd's revision, and that may be another program's.
async fn changes_of_others_move_the_watch_on(progress_in_order: Option<bool>) {
    let etcd = Etcd::plain();
    let config = Config { progress_in_order, ..mounted(&etcd, "/registry") };
    let store = EtcdStore::open(config).await.unwrap();
    let mut stream = store.watch(WatchRequest::prefix("/registry/").progress(Duration::ZERO)).await.unwrap();
    for n in 0..10 {
        etcd.ctl(None, &["put", "/foreign", &n.to_string()]);
        let current = store.current_revision().await.unwrap();
        assert_eq!(current, Revision(2 + n));
        loop {
            let batch = stream.next().await.unwrap().unwrap();
            assert!(batch.is_progress());
            if batch.revision >= current {
                break;
            }
        }
    }
    // A watch from before reads the past, in which there is nothing of ours.
    let mut past = store.watch(WatchRequest::prefix("/registry/").after(Revision(3))).await.unwrap();
    let first = past.next().await.unwrap().unwrap();
    assert_eq!((first.revision, first.events.len()), (Revision(11), 0));
}

#[tokio::test]
async fn by_events_where_reports_overtake_them() {
    changes_of_others_move_the_watch_on(Some(false)).await;
}

/// Nothing of ours happens meanwhile that a report could overtake, so any etcd will do.
#[tokio::test]
async fn by_reports_where_they_are_in_order() {
    changes_of_others_move_the_watch_on(Some(true)).await;
}

#[tokio::test]
async fn what_others_compact_is_told_with_the_revision_that_is_left() {
    let etcd = Etcd::plain();
    let store = EtcdStore::open(mounted(&etcd, "/registry")).await.unwrap();
    for n in 0..20 {
        put(&store, "/registry/a", n.to_string()).await;
    }
    etcd.ctl(None, &["compact", "9"]);
    let gone = store.range(Range::prefix("/registry/").at(Revision(4))).await;
    assert!(matches!(gone, Err(Error::Compacted { requested: Revision(4), compacted: Revision(9) })), "{gone:?}");
    assert_eq!(store.compacted_revision().await.unwrap(), Revision(9));
    assert!(store.get("/registry/a", Some(Revision(9))).await.unwrap().is_some());
    // And whoever comes later learns it from etcd alone.
    let later = EtcdStore::open(mounted(&etcd, "/registry")).await.unwrap();
    assert_eq!(later.compacted_revision().await.unwrap(), Revision(9));
}

#[tokio::test]
async fn a_key_that_is_not_text_is_passed_over() {
    let etcd = Etcd::plain();
    let store = EtcdStore::open(mounted(&etcd, "/registry")).await.unwrap();
    put(&store, "/registry/a", "1").await;
    // As an argument of a program a key may be any bytes but zero.
    let strange = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"/registry/b\xff\xfe");
    etcd.ctl_bytes(&["put".as_ref(), strange, "x".as_ref()]);
    let last = put(&store, "/registry/c", "1").await;
    let page = store.range(Range::prefix("/registry/")).await.unwrap();
    assert_eq!(page.items.iter().map(|kv| kv.key.as_str()).collect::<Vec<_>>(), ["/registry/a", "/registry/c"]);
    let mut stream = store.watch(WatchRequest::prefix("/registry/").after(Revision(1))).await.unwrap();
    let mut seen = 0;
    loop {
        let batch = stream.next().await.unwrap().unwrap();
        seen += batch.events.len();
        if batch.revision >= last {
            break;
        }
    }
    assert_eq!(seen, 2);
}

#[tokio::test]
async fn servers_compact_together_and_keep_what_is_young() {
    let etcd = Etcd::plain();
    let compacting = || Config { compaction: Some(Duration::from_millis(50)), ..mounted(&etcd, "/registry") };
    let (a, b) = (EtcdStore::open(compacting()).await.unwrap(), EtcdStore::open(compacting()).await.unwrap());
    let mut compacted = Revision::ZERO;
    let mut n = 0;
    while compacted < Revision(20) {
        n += 1;
        put(if n % 2 == 0 { &a } else { &b }, "/registry/a", n.to_string()).await;
        compacted = a.compacted_revision().await.unwrap();
        assert!(compacted < a.current_revision().await.unwrap());
    }
    assert!(!etcd.ctl(None, &["get", "--print-value-only", "compact_rev_key"]).is_empty());
}

#[track_caller]
fn check_invalid(outcome: Result<impl std::fmt::Debug, Error>, key: &str, words: &str) {
    let error = outcome.unwrap_err();
    assert!(
        matches!(&error, Error::Invalid { key: found, reason } if found == key && reason.contains(words)),
        "{error}"
    );
}

#[tokio::test]
async fn etcds_limits_are_told() {
    let etcd = Etcd::plain();
    let store = EtcdStore::open(Config::new([etcd.endpoint.as_str()])).await.unwrap();
    let many = |count| Txn { success: (0..count).map(|n| Op::put(format!("/{n}"), "1")).collect(), ..Txn::default() };
    assert!(store.txn(many(128)).await.is_ok());
    check_invalid(store.txn(many(129)).await, "/128", "--max-txn-ops");
    // Just over etcd's own limit, and over that of the protocol.
    for bytes in [3 << 19, 3 << 20] {
        let big = Txn::default().then(Op::put("/small", "1")).then(Op::put("/big", vec![0; bytes]));
        check_invalid(store.txn(big).await, "/big", "--max-request-bytes");
    }
    assert_eq!(store.current_revision().await.unwrap(), Revision(2), "what was refused changed nothing");
}

#[tokio::test]
async fn a_full_etcd_says_so_and_is_still_read() {
    let etcd = Etcd::start(&["--quota-backend-bytes=1048576"]);
    let store = EtcdStore::open(Config::new([etcd.endpoint.as_str()])).await.unwrap();
    let mut written = 0;
    let error = loop {
        match store.txn(Txn::default().then(Op::put(format!("/{written}"), vec![0; 200_000]))).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "the quota should have been reached");
    };
    assert!(matches!(error, Error::Full { .. }), "{error}");
    // etcd applies the write in which it notices, and refuses it all the same.
    let found = store.range(Range::prefix("/").count_only()).await.unwrap().remaining;
    assert!((written..=written + 1).contains(&found), "{found} after {written}");
    let refused = store.txn(Txn::default().then(Op::put("/more", vec![0; 200_000]))).await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
}
