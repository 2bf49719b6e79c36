//! Transactions and races.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Fixture, put};
use crate::{Compare, Error, MAX_TXN_OPS, MAX_VALUE_BYTES, Op, Range, Revision, Swap, Txn};

pub async fn exactly_one_create_wins(fixture: Fixture) {
    let store = fixture.store;
    for round in 0..10 {
        let key = format!("/race/{round}");
        let mut tasks = JoinSet::new();
        for task in 0..32 {
            let (store, key) = (Arc::clone(&store), key.clone());
            tasks.spawn(async move { (task, store.create(key.into(), task.to_string().into()).await.unwrap()) });
        }
        let outcomes = tasks.join_all().await;
        let winners = outcomes.iter().filter(|(_, swap)| matches!(swap, Swap::Done(_))).collect::<Vec<_>>();
        let [(winner, Swap::Done(revision))] = winners[..] else { panic!("{} winners", winners.len()) };
        let stored = store.get(&key, None).await.unwrap().unwrap();
        assert_eq!((stored.value.clone(), stored.mod_revision), (winner.to_string().into(), *revision));
        for (_, swap) in &outcomes {
            assert!(matches!(swap, Swap::Done(_)) || *swap == Swap::Conflict(Some(stored.clone())), "{swap:?}");
        }
    }
    assert_eq!(store.current_revision().await.unwrap(), Revision(11), "losing takes no revision");
}

pub async fn contended_updates_lose_nothing(fixture: Fixture) {
    const TASKS: u64 = 8;
    const EACH: u64 = 25;
    let store = fixture.store;
    put(&store, "/counter", "0").await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for _ in 0..EACH {
                let mut seen = store.get("/counter", None).await.unwrap().unwrap();
                loop {
                    let count = std::str::from_utf8(&seen.value).unwrap().parse::<u64>().unwrap();
                    let value = (count + 1).to_string().into();
                    match store.update_if(seen.key.clone(), seen.mod_revision, value).await.unwrap() {
                        Swap::Done(_) => break,
                        Swap::Conflict(current) => seen = current.unwrap(),
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let counter = store.get("/counter", None).await.unwrap().unwrap();
    assert_eq!(counter.value, (TASKS * EACH).to_string());
    assert_eq!(counter.version, TASKS * EACH + 1);
}

pub async fn a_failed_condition_shows_the_current_values(fixture: Fixture) {
    let store = fixture.store;
    let revision = put(&store, "/a", "1").await;
    let txn = Txn::when(Compare::unchanged("/a", revision))
        .and(Compare::present("/missing"))
        .and(Compare::absent("/a"))
        .then(Op::put("/a", "2"));
    let outcome = store.txn(txn).await.unwrap();
    assert!(!outcome.succeeded);
    assert_eq!(outcome.revision, revision);
    let a = store.get("/a", None).await.unwrap();
    assert_eq!(a.as_ref().unwrap().value, "1");
    assert_eq!(outcome.current, [a.clone(), None, a]);

    let swap = store.update_if("/missing".into(), Revision(1), "x".into()).await.unwrap();
    assert_eq!(swap, Swap::Conflict(None));
    let swap = store.delete_if("/a".into(), Revision(1)).await.unwrap();
    assert!(matches!(swap, Swap::Conflict(Some(kv)) if kv.value == "1"));
    let swap = store.delete_if("/a".into(), revision).await.unwrap();
    assert_eq!(swap, Swap::Done(revision.next()));
    let swap = store.update_if("/a".into(), revision, "x".into()).await.unwrap();
    assert_eq!(swap, Swap::Conflict(None));
}

pub async fn the_else_branch_is_applied(fixture: Fixture) {
    let store = fixture.store;
    put(&store, "/a", "1").await;
    let txn = Txn::when(Compare::absent("/a"))
        .then(Op::put("/then", "1"))
        .or_else(Op::delete("/a"))
        .or_else(Op::put("/else", "1"));
    let outcome = store.txn(txn).await.unwrap();
    assert!(!outcome.succeeded);
    assert_eq!(outcome.revision, Revision(3));
    assert_eq!(outcome.current[0].as_ref().unwrap().value, "1", "the value before the branch was applied");
    assert_eq!(store.get("/a", None).await.unwrap(), None);
    assert_eq!(store.get("/then", None).await.unwrap(), None);
    assert_eq!(store.get("/else", None).await.unwrap().unwrap().mod_revision, Revision(3));
}

pub async fn transactions_are_seen_whole(fixture: Fixture) {
    let store = fixture.store;
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for n in 0..200 {
                let value = n.to_string();
                let txn = Txn::default().then(Op::put("/pair/a", value.clone())).then(Op::put("/pair/b", value));
                store.txn(txn).await.unwrap();
            }
        }
    });
    loop {
        let done = writer.is_finished();
        let page = store.range(Range::prefix("/pair/")).await.unwrap();
        if let [a, b] = &page.items[..] {
            assert_eq!((&a.value, a.mod_revision), (&b.value, b.mod_revision));
            assert!(a.mod_revision <= page.revision);
        } else {
            assert!(page.items.is_empty(), "half of a transaction is visible");
        }
        if done {
            break;
        }
    }
    writer.await.unwrap();
}

pub async fn an_invalid_transaction_changes_nothing(fixture: Fixture) {
    let store = fixture.store;
    let many = (0..=MAX_TXN_OPS).map(|n| Op::put(format!("/{n}"), "1")).collect();
    for txn in [
        Txn::default().then(Op::put("/a", "1")).then(Op::put("/a", "2")),
        Txn::default().then(Op::put("/a", "1")).then(Op::put("", "2")),
        Txn::default().then(Op::put("/a", "1")).then(Op::put("/b", vec![0; MAX_VALUE_BYTES + 1])),
        Txn { success: many, ..Txn::default() },
    ] {
        let error = store.txn(txn).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    assert_eq!(store.current_revision().await.unwrap(), Revision(1));
    let most = (0..MAX_TXN_OPS).map(|n| Op::put(format!("/{n}"), "1")).collect();
    let outcome = store.txn(Txn { success: most, ..Txn::default() }).await.unwrap();
    assert_eq!(outcome.revision, Revision(2));
    assert_eq!(store.range(Range::prefix("/").count_only()).await.unwrap().remaining, MAX_TXN_OPS as u64);
}

pub async fn a_read_sees_every_acknowledged_write(fixture: Fixture) {
    let store = fixture.store;
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let key = format!("/own/{task}");
            for n in 0..25 {
                let revision = put(&store, key.as_str(), n.to_string()).await;
                let found = store.get(&key, None).await.unwrap().unwrap();
                assert_eq!((found.value, found.mod_revision), (n.to_string().into(), revision));
                assert!(store.current_revision().await.unwrap() >= revision);
                assert!(store.range(Range::prefix("/own/")).await.unwrap().revision >= revision);
            }
        });
    }
    tasks.join_all().await;
}
