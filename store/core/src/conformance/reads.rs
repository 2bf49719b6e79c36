//! Gets, ranges and compaction.

use super::{Fixture, delete, put};
use crate::{Error, Key, MAX_VALUE_BYTES, Op, Page, Range, Revision, Span, Txn};

fn keys(page: &Page) -> Vec<&str> {
    page.items.iter().map(|item| item.key.as_str()).collect()
}

pub async fn a_new_store_is_empty_at_revision_one(fixture: Fixture) {
    let store = fixture.store;
    assert_eq!(store.current_revision().await.unwrap(), Revision(1));
    assert_eq!(store.compacted_revision().await.unwrap(), Revision(0));
    assert_eq!(store.get("/a", None).await.unwrap(), None);
    let page = store.range(Range::new(Span::all())).await.unwrap();
    assert_eq!(page, Page { items: vec![], revision: Revision(1), more: false, remaining: 0 });
}

pub async fn every_change_takes_one_revision(fixture: Fixture) {
    let store = fixture.store;
    assert_eq!(put(&store, "/a", "1").await, Revision(2));
    assert_eq!(put(&store, "/a", "1").await, Revision(3), "writing the same value is a change");
    let both = Txn::default().then(Op::put("/b", "1")).then(Op::delete("/a"));
    assert_eq!(store.txn(both).await.unwrap().revision, Revision(4), "one transaction, one revision");
    assert_eq!(delete(&store, "/a").await, Revision(4), "deleting nothing is no change");
    assert_eq!(store.txn(Txn::default()).await.unwrap().revision, Revision(4));
    assert_eq!(store.current_revision().await.unwrap(), Revision(4));
    let page = store.range(Range::new(Span::all())).await.unwrap();
    assert_eq!((keys(&page), page.revision), (vec!["/b"], Revision(4)));
}

pub async fn versions_count_from_creation(fixture: Fixture) {
    let store = fixture.store;
    let stand = async || {
        let kv = store.get("/a", None).await.unwrap().unwrap();
        (kv.create_revision.0, kv.mod_revision.0, kv.version)
    };
    put(&store, "/a", "1").await;
    assert_eq!(stand().await, (2, 2, 1));
    put(&store, "/other", "1").await;
    put(&store, "/a", "2").await;
    assert_eq!(stand().await, (2, 4, 2));
    delete(&store, "/a").await;
    assert_eq!(store.get("/a", None).await.unwrap(), None);
    put(&store, "/a", "3").await;
    assert_eq!(stand().await, (6, 6, 1));
}

pub async fn reads_at_a_revision_are_stable(fixture: Fixture) {
    let store = fixture.store;
    let first = put(&store, "/a", "1").await;
    let second = put(&store, "/a", "2").await;
    let gone = delete(&store, "/a").await;
    let again = put(&store, "/a", "3").await;
    for (at, value) in [(Revision(1), None), (first, Some("1")), (second, Some("2")), (gone, None), (again, Some("3"))]
    {
        let found = store.get("/a", Some(at)).await.unwrap().map(|kv| kv.value);
        assert_eq!(found.as_deref(), value.map(str::as_bytes), "at {at}");
        let page = store.range(Range::prefix("/").at(at)).await.unwrap();
        assert_eq!(page.revision, at);
        assert_eq!(page.items.first().map(|kv| &kv.value[..]), value.map(str::as_bytes), "at {at}");
    }
    let ahead = again.next();
    for error in
        [store.get("/a", Some(ahead)).await.unwrap_err(), store.range(Range::prefix("/").at(ahead)).await.unwrap_err()]
    {
        assert!(
            matches!(error, Error::FutureRevision { requested, current } if (requested, current) == (ahead, again)),
            "{error}"
        );
    }
}

pub async fn prefixes_end_at_their_separator(fixture: Fixture) {
    let store = fixture.store;
    for key in ["/a", "/a/", "/a/x", "/a/\u{10FFFF}", "/a0", "/A/x", "/b/x"] {
        put(&store, key, "1").await;
    }
    let found = async |span: Span| {
        let page = store.range(Range::new(span)).await.unwrap();
        page.items.into_iter().map(|kv| kv.key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(Span::prefix("/a/")).await, ["/a/", "/a/x", "/a/\u{10FFFF}"]);
    assert_eq!(found(Span::prefix("/a")).await, ["/a", "/a/", "/a/x", "/a/\u{10FFFF}", "/a0"]);
    assert_eq!(found(Span::between("/a/x", "/b")).await, ["/a/x", "/a/\u{10FFFF}", "/a0"]);
    assert_eq!(found(Span::between("/b", "/a")).await, [""; 0]);
    assert_eq!(found(Span::prefix("/c")).await, [""; 0]);
    assert_eq!(found(Span::all()).await.len(), 7);
}

pub async fn pages_continue_behind_the_last_key(fixture: Fixture) {
    let store = fixture.store;
    for key in ["/k/a", "/k/b", "/k/c", "/k/d", "/k/e", "/l"] {
        put(&store, key, "1").await;
    }
    delete(&store, "/k/c").await;
    let page = store.range(Range::prefix("/k/").limit(2)).await.unwrap();
    assert_eq!((keys(&page), page.more, page.remaining), (vec!["/k/a", "/k/b"], true, 2));
    let page = store.range(Range::prefix("/k/").limit(2).after("/k/b").at(page.revision)).await.unwrap();
    assert_eq!((keys(&page), page.more, page.remaining), (vec!["/k/d", "/k/e"], false, 0));
    let page = store.range(Range::prefix("/k/").after("/k/e")).await.unwrap();
    assert_eq!((keys(&page), page.more), (vec![], false));
    // Positions need not name a key that exists, nor lie in the span.
    let page = store.range(Range::prefix("/k/").after("/k/c")).await.unwrap();
    assert_eq!(keys(&page), ["/k/d", "/k/e"]);
    let page = store.range(Range::prefix("/k/").after("/a")).await.unwrap();
    assert_eq!(keys(&page), ["/k/a", "/k/b", "/k/d", "/k/e"]);
    let page = store.range(Range::prefix("/k/").after("/z")).await.unwrap();
    assert_eq!(keys(&page), [""; 0]);
}

pub async fn paging_is_pinned_under_concurrent_writes(fixture: Fixture) {
    const KEYS: usize = 300;
    let store = fixture.store;
    for n in 0..KEYS {
        put(&store, format!("/p/{n:04}"), "before").await;
    }
    let pinned = store.current_revision().await.unwrap();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in (0..KEYS).rev() {
                match n % 3 {
                    0 => put(&store, format!("/p/{n:04}"), "after").await,
                    1 => delete(&store, format!("/p/{n:04}")).await,
                    _ => put(&store, format!("/p/{n:04}-new"), "after").await,
                };
            }
        }
    });
    let mut seen = Vec::new();
    loop {
        let mut range = Range::prefix("/p/").limit(17).at(pinned);
        range.after = seen.last().map(Key::to_string);
        let page = store.range(range).await.unwrap();
        assert_eq!(page.revision, pinned);
        assert!(page.items.iter().all(|kv| kv.value == "before" && kv.mod_revision <= pinned));
        seen.extend(page.items.into_iter().map(|kv| kv.key));
        assert_eq!(page.remaining, (KEYS - seen.len()) as u64);
        assert_eq!(page.more, page.remaining > 0);
        if !page.more {
            break;
        }
    }
    writer.await.unwrap();
    let expected = (0..KEYS).map(|n| Key::from(format!("/p/{n:04}"))).collect::<Vec<_>>();
    assert_eq!(seen, expected);
    let count = store.range(Range::prefix("/p/").at(pinned).count_only()).await.unwrap().remaining;
    assert_eq!(count, KEYS as u64, "and so it stays after the writes");
}

pub async fn keys_and_counts_without_values(fixture: Fixture) {
    let store = fixture.store;
    put(&store, "/a", "1").await;
    put(&store, "/b", "1").await;
    put(&store, "/b", "2").await;
    let page = store.range(Range::prefix("/").keys_only().limit(1)).await.unwrap();
    assert_eq!((keys(&page), page.remaining), (vec!["/a"], 1));
    assert!(page.items[0].value.is_empty());
    let page = store.range(Range::prefix("/").keys_only()).await.unwrap();
    assert_eq!((page.items[1].mod_revision, page.items[1].version), (Revision(4), 2));
    let page = store.range(Range::prefix("/").count_only()).await.unwrap();
    assert_eq!((page.items.len(), page.remaining, page.more), (0, 2, true));
    let page = store.range(Range::prefix("/c").count_only()).await.unwrap();
    assert_eq!((page.remaining, page.more), (0, false));
}

pub async fn big_values_are_whole(fixture: Fixture) {
    let store = fixture.store;
    let value = (0..MAX_VALUE_BYTES).map(|n| (n % 251) as u8).collect::<Vec<_>>();
    put(&store, "/big", value.clone()).await;
    put(&store, "/empty", "").await;
    assert!(store.get("/big", None).await.unwrap().unwrap().value == value);
    let page = store.range(Range::prefix("/")).await.unwrap();
    assert!(page.items[0].value == value);
    assert!(page.items[1].value.is_empty());
}

pub async fn compaction_forgets_the_past_only(fixture: Fixture) {
    let store = fixture.store;
    put(&store, "/a", "1").await;
    put(&store, "/b", "1").await;
    let kept = put(&store, "/a", "2").await;
    let last = put(&store, "/a", "3").await;
    store.compact(kept).await.unwrap();
    assert_eq!(store.compacted_revision().await.unwrap(), kept);

    for at in [Revision(0), Revision(2), Revision(3)] {
        for error in
            [store.get("/a", Some(at)).await.unwrap_err(), store.range(Range::prefix("/").at(at)).await.unwrap_err()]
        {
            assert!(
                matches!(error, Error::Compacted { requested, compacted } if (requested, compacted) == (at, kept)),
                "{error}"
            );
        }
    }
    for (at, value) in [(kept, "2"), (last, "3")] {
        let page = store.range(Range::prefix("/").at(at)).await.unwrap();
        assert_eq!(keys(&page), ["/a", "/b"]);
        assert_eq!(page.items[0].value, value);
    }
    assert!(matches!(store.compact(kept).await.unwrap_err(), Error::Compacted { .. }));
    assert!(matches!(store.compact(last.next()).await.unwrap_err(), Error::FutureRevision { .. }));
    store.compact(last).await.unwrap();
    assert_eq!(store.get("/a", Some(last)).await.unwrap().unwrap().value, "3");
    assert_eq!(store.get("/a", None).await.unwrap().unwrap().version, 3);
}

pub async fn compaction_removes_deleted_keys(fixture: Fixture) {
    let store = fixture.store;
    put(&store, "/a", "1").await;
    let before = put(&store, "/b", "1").await;
    let gone = delete(&store, "/a").await;
    store.compact(before).await.unwrap();
    assert!(store.get("/a", Some(before)).await.unwrap().is_some());
    store.compact(gone).await.unwrap();
    assert_eq!(store.get("/a", None).await.unwrap(), None);
    let again = put(&store, "/a", "2").await;
    let kv = store.get("/a", None).await.unwrap().unwrap();
    assert_eq!((kv.create_revision, kv.version), (again, 1));
    assert_eq!(store.get("/a", Some(gone)).await.unwrap(), None);
    store.compact(again).await.unwrap();
    assert_eq!(store.range(Range::prefix("/")).await.unwrap().items.len(), 2);
}
