//! Watches.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::task::JoinSet;

use super::{Fixture, PATIENCE, delete, next, put, read_to};
use crate::{Error, EventKind, Op, Range, Revision, Txn, WatchRequest};

pub async fn a_watch_from_the_past_has_no_gap_and_no_duplicate(fixture: Fixture) {
    const TASKS: u64 = 4;
    const EACH: u64 = 100;
    let store = fixture.store;
    let end = Revision(1 + TASKS * EACH);
    let mut writers = JoinSet::new();
    for task in 0..TASKS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for n in 0..EACH {
                put(&store, format!("/w/{task}/{}", n % 10), n.to_string()).await;
            }
        });
    }
    let mut watchers = JoinSet::new();
    for start in (1..=end.0).step_by(40).map(Revision) {
        let store = Arc::clone(&store);
        watchers.spawn(async move {
            // Join at about the time when `start` is written: some in the past, some while writers are at it.
            let mut progress = store.watch(WatchRequest::prefix("/").progress(Duration::ZERO)).await.unwrap();
            while next(&mut progress).await.unwrap().revision < start {}
            let mut stream = store.watch(WatchRequest::prefix("/w/").after(start)).await.unwrap();
            let revisions = read_to(&mut stream, end).await.iter().map(|e| e.kv.mod_revision.0).collect::<Vec<_>>();
            assert_eq!(revisions, (start.0 + 1..=end.0).collect::<Vec<_>>());
        });
    }
    writers.join_all().await;
    watchers.join_all().await;
}

pub async fn a_watch_tells_kinds_and_previous_values(fixture: Fixture) {
    let store = fixture.store;
    put(&store, "/a", "1").await;
    put(&store, "/a", "2").await;
    delete(&store, "/a").await;
    let last = put(&store, "/a", "3").await;
    let mut stream = store.watch(WatchRequest::prefix("/a").after(Revision(1))).await.unwrap();
    let events = read_to(&mut stream, last).await;
    let told = events
        .iter()
        .map(|event| {
            let prev = event.prev.as_ref().map(|prev| (&prev.value[..], prev.mod_revision.0, prev.version));
            let kv = &event.kv;
            (event.kind, &kv.value[..], kv.create_revision.0, kv.mod_revision.0, kv.version, prev)
        })
        .collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (EventKind::Put, &b"1"[..], 2, 2, 1, None),
            (EventKind::Put, b"2", 2, 3, 2, Some((&b"1"[..], 2, 1))),
            (EventKind::Delete, b"", 0, 4, 0, Some((b"2", 3, 2))),
            (EventKind::Put, b"3", 5, 5, 1, None),
        ]
    );
    assert_eq!(events.iter().map(|event| event.is_create()).collect::<Vec<_>>(), [true, false, false, true]);
}

pub async fn a_watch_from_now_sees_only_what_follows(fixture: Fixture) {
    let store = fixture.store;
    let before = put(&store, "/a", "1").await;
    let mut stream = store.watch(WatchRequest::prefix("/a")).await.unwrap();
    let after = put(&store, "/a", "2").await;
    let events = read_to(&mut stream, after).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].kv.mod_revision, before.next());
}

pub async fn a_watch_sees_only_its_prefix(fixture: Fixture) {
    let store = fixture.store;
    let mut stream = store.watch(WatchRequest::prefix("/a/")).await.unwrap();
    for key in ["/a", "/a/", "/a0", "/b/a/", "/a/x"] {
        put(&store, key, "1").await;
    }
    let last = delete(&store, "/a/x").await;
    let live = read_to(&mut stream, last).await;
    let mut stream = store.watch(WatchRequest::prefix("/a/").after(Revision(1))).await.unwrap();
    let replayed = read_to(&mut stream, last).await;
    assert_eq!(live, replayed);
    assert_eq!(live.iter().map(|event| event.kv.key.as_str()).collect::<Vec<_>>(), ["/a/", "/a/x", "/a/x"]);
}

pub async fn a_revision_is_never_split(fixture: Fixture) {
    let store = fixture.store;
    let mut live = store.watch(WatchRequest::prefix("/m/")).await.unwrap();
    for round in 0..20 {
        let ops = (0..50).map(|n| Op::put(format!("/m/{n}"), round.to_string())).collect();
        store.txn(Txn { success: ops, ..Txn::default() }).await.unwrap();
    }
    let last = store.current_revision().await.unwrap();
    let mut replay = store.watch(WatchRequest::prefix("/m/").after(Revision(1))).await.unwrap();
    for stream in [&mut live, &mut replay] {
        let mut seen = Revision(1);
        while seen < last {
            let batch = next(stream).await.unwrap();
            assert_eq!(batch.events.len() % 50, 0, "a batch ends inside a revision");
            assert!(batch.events.iter().all(|event| event.kv.mod_revision > seen));
            assert!(batch.events.iter().all(|event| event.kv.mod_revision <= batch.revision));
            seen = batch.revision;
        }
    }
}

pub async fn a_watch_reports_progress(fixture: Fixture) {
    let store = fixture.store;
    put(&store, "/a/x", "1").await;
    let mut stream = store.watch(WatchRequest::prefix("/a/").progress(Duration::ZERO)).await.unwrap();
    let first = next(&mut stream).await.unwrap();
    assert!(first.is_progress(), "an idle watch says at once that it is live");
    assert_eq!(first.revision, Revision(2));
    let elsewhere = put(&store, "/b/x", "1").await;
    let progress = next(&mut stream).await.unwrap();
    assert!(progress.is_progress());
    assert_eq!(progress.revision, elsewhere);

    // Progress never runs ahead of events.
    let mut revision = elsewhere;
    for n in 0..200 {
        revision = put(&store, if n % 3 == 0 { "/a/x" } else { "/b/x" }, n.to_string()).await;
    }
    let (mut seen, mut events) = (elsewhere, 0);
    while seen < revision {
        let batch = next(&mut stream).await.unwrap();
        assert!(batch.revision > seen, "progress goes forward");
        assert!(batch.events.iter().all(|event| event.kv.mod_revision > seen));
        seen = batch.revision;
        events += batch.events.len();
    }
    assert_eq!(events, 67);
}

pub async fn a_watch_of_a_compacted_revision_is_refused(fixture: Fixture) {
    let store = fixture.store;
    for n in 0..10 {
        put(&store, "/a", n.to_string()).await;
    }
    let compacted = Revision(6);
    let mut live = store.watch(WatchRequest::prefix("/a").after(Revision(2))).await.unwrap();
    let last = store.current_revision().await.unwrap();
    assert_eq!(read_to(&mut live, last).await.len(), 9);
    store.compact(compacted).await.unwrap();
    let refused = store.watch(WatchRequest::prefix("/a").after(Revision(5))).await;
    match refused.map(|_| ()) {
        Err(Error::Compacted { requested: Revision(5), compacted: Revision(6) }) => {}
        other => panic!("{other:?}"),
    }
    let mut stream = store.watch(WatchRequest::prefix("/a").after(compacted)).await.unwrap();
    let events = read_to(&mut stream, last).await;
    assert_eq!(events.first().unwrap().kv.mod_revision, Revision(7));
    assert_eq!(events.first().unwrap().prev.as_ref().unwrap().mod_revision, Revision(6));
    let after = put(&store, "/a", "live").await;
    assert_eq!(read_to(&mut live, after).await.len(), 1, "compaction does not disturb a watch that is up to date");
}

pub async fn a_watch_of_the_future_is_refused(fixture: Fixture) {
    let store = fixture.store;
    let refused = store.watch(WatchRequest::prefix("/").after(Revision(2))).await;
    match refused.map(|_| ()) {
        Err(Error::FutureRevision { requested: Revision(2), current: Revision(1) }) => {}
        other => panic!("{other:?}"),
    }
}

pub async fn every_page_can_be_watched_from_at_once(fixture: Fixture) {
    const WRITES: u64 = 300;
    let store = fixture.store;
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for n in 0..WRITES {
                put(&store, "/a", n.to_string()).await;
            }
        }
    });
    let mut seen = Revision::ZERO;
    while seen < Revision(1 + WRITES) {
        let page = store.range(Range::prefix("/a")).await.unwrap();
        assert!(store.current_revision().await.unwrap() >= page.revision);
        if let Err(error) = store.watch(WatchRequest::prefix("/a").after(page.revision)).await {
            panic!("{error}");
        }
        seen = page.revision;
    }
    writer.await.unwrap();
}

pub async fn a_lagging_watcher_is_cut_off_and_can_resume(fixture: Fixture) {
    let store = fixture.store;
    // Nobody reads this one while the writes below exceed any sensible queue. They go on regardless.
    let mut slow = store.watch(WatchRequest::prefix("/big/")).await.unwrap();
    let mut quick = store.watch(WatchRequest::prefix("/big/")).await.unwrap();
    let value = vec![b'x'; 128 << 10];
    let (mut last, mut heard) = (Revision(1), 0);
    for n in 0..400 {
        last = put(&store, format!("/big/{}", n % 4), value.clone()).await;
        heard += read_to(&mut quick, last).await.len();
    }
    assert_eq!(last, Revision(401));
    assert_eq!(heard, 400);

    let mut revisions = Vec::new();
    let resume = loop {
        match next(&mut slow).await {
            Ok(batch) => revisions.extend(batch.events.iter().map(|event| event.kv.mod_revision)),
            Err(Error::WatchLagged { after }) => break after,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(slow.next().await.is_none(), "an error ends the watch");
    assert!(resume < last);
    let mut rest = store.watch(WatchRequest::prefix("/big/").after(resume)).await.unwrap();
    revisions.extend(read_to(&mut rest, last).await.iter().map(|event| event.kv.mod_revision));
    assert_eq!(revisions, (2..=401).map(Revision).collect::<Vec<_>>());
}

pub async fn closing_ends_watches_and_refuses_calls(fixture: Fixture) {
    let store = fixture.store;
    put(&store, "/a", "1").await;
    let mut stream = store.watch(WatchRequest::prefix("/")).await.unwrap();
    assert!(next(&mut stream).await.unwrap().is_progress());
    tokio::time::timeout(PATIENCE, store.close()).await.expect("closing takes no time").unwrap();
    assert!(matches!(next(&mut stream).await, Err(Error::Closed)));
    assert!(matches!(store.get("/a", None).await, Err(Error::Closed)));
    assert!(matches!(store.range(Range::prefix("/")).await, Err(Error::Closed)));
    assert!(matches!(store.txn(Txn::default().then(Op::put("/a", "2"))).await, Err(Error::Closed)));
    assert!(matches!(store.compact(Revision(2)).await, Err(Error::Closed)));
    assert!(matches!(store.watch(WatchRequest::prefix("/")).await.map(|_| ()), Err(Error::Closed)));
    store.close().await.expect("closing twice is fine");
}
