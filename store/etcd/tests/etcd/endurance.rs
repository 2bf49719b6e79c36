//! What happens when etcd, or the way to it, goes away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use store_core::{Error, Revision, Store, WatchRequest, WatchStream};
use store_etcd::{Config, EtcdStore};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::put;
use etcd::Etcd;

/// A way to an etcd that can be cut and mended.
struct Way {
    endpoint: String,
    target: String,
    listener: Arc<TcpListener>,
    traffic: Mutex<JoinSet<()>>,
}

impl Way {
    async fn to(etcd: &Etcd) -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let target = etcd.endpoint.trim_start_matches("http://").to_owned();
        let way = Self { endpoint, target, listener, traffic: Mutex::default() };
        way.mend();
        way
    }

    fn mend(&self) {
        let (listener, target) = (Arc::clone(&self.listener), self.target.clone());
        self.traffic.lock().unwrap().spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let target = target.clone();
                streams.spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    copy_bidirectional(&mut near, &mut far).await.ok();
                });
            }
        });
    }

    /// Ends all connections. New ones are held and not answered.
    async fn cut(&self) {
        let mut traffic = std::mem::take(&mut *self.traffic.lock().unwrap());
        traffic.shutdown().await;
    }
}

/// The revisions of the events up to one that is waited for.
async fn revisions(stream: &mut WatchStream, last: Revision) -> Vec<u64> {
    let mut revisions = Vec::new();
    loop {
        let batch = tokio::time::timeout(Duration::from_secs(60), stream.next()).await.unwrap().unwrap().unwrap();
        revisions.extend(batch.events.iter().map(|event| event.kv.mod_revision.0));
        if batch.revision >= last {
            return revisions;
        }
    }
}

#[tokio::test]
async fn a_dead_endpoint_is_passed_over() {
    let etcd = Etcd::plain();
    let dead = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let store = EtcdStore::open(Config::new([dead, etcd.endpoint.clone()])).await.unwrap();
    assert_eq!(put(&store, "/a", "1").await, Revision(2));
}

#[tokio::test]
async fn when_an_endpoint_goes_the_next_takes_over_without_a_gap() {
    let etcd = Etcd::plain();
    let ways = [Way::to(&etcd).await, Way::to(&etcd).await];
    let store = EtcdStore::open(Config::new(ways.iter().map(|way| way.endpoint.clone()))).await.unwrap();
    let direct = EtcdStore::open(Config::new([etcd.endpoint.as_str()])).await.unwrap();
    let mut stream = store.watch(WatchRequest::prefix("/")).await.unwrap();
    let mut last = put(&store, "/a", "0").await;
    for round in 0..4 {
        ways[round % 2].cut().await;
        for n in 0..50 {
            last = put(&direct, "/a", n.to_string()).await;
        }
        // A read is repeated at the other endpoint; nobody who asks notices.
        assert_eq!(store.get("/a", None).await.unwrap().unwrap().mod_revision, last);
        ways[round % 2].mend();
    }
    assert_eq!(revisions(&mut stream, last).await, (2..=last.0).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_etcd_that_comes_back_is_followed_on() {
    let mut etcd = Etcd::plain();
    let store = EtcdStore::open(Config::new([etcd.endpoint.as_str()])).await.unwrap();
    let mut stream = store.watch(WatchRequest::prefix("/")).await.unwrap();
    put(&store, "/a", "1").await;
    etcd.kill();
    assert!(matches!(store.get("/a", None).await, Err(Error::Backend { .. })));
    etcd.restart();
    let last = loop {
        // The connection may be refused for a moment still.
        match store.update_if("/a".into(), Revision(2), "2".into()).await {
            Ok(store_core::Swap::Done(revision)) => break revision,
            Ok(store_core::Swap::Conflict(found)) => panic!("{found:?}"),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(revisions(&mut stream, last).await, [2, 3]);
}

#[tokio::test]
async fn what_was_compacted_meanwhile_is_told_as_a_gap() {
    let etcd = Etcd::plain();
    let way = Way::to(&etcd).await;
    let store = EtcdStore::open(Config::new([way.endpoint.as_str()])).await.unwrap();
    let direct = EtcdStore::open(Config::new([etcd.endpoint.as_str()])).await.unwrap();
    let mut stream = store.watch(WatchRequest::prefix("/")).await.unwrap();
    let seen = put(&store, "/a", "1").await;
    assert_eq!(revisions(&mut stream, seen).await, [2]);
    way.cut().await;
    for n in 0..20 {
        put(&direct, "/a", n.to_string()).await;
    }
    direct.compact(Revision(15)).await.unwrap();
    way.mend();
    let lost = loop {
        match tokio::time::timeout(Duration::from_secs(60), stream.next()).await.unwrap().unwrap() {
            Ok(batch) => assert!(batch.events.is_empty(), "nothing may be told over the gap"),
            Err(error) => break error,
        }
    };
    assert!(matches!(lost, Error::WatchLagged { after } if after == seen), "{lost}");
    let again = match store.watch(WatchRequest::prefix("/").after(seen)).await {
        Ok(mut stream) => stream.next().await.unwrap().unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(again, Error::Compacted { .. }), "{again}");
    let mut stream = store.watch(WatchRequest::prefix("/").after(Revision(15))).await.unwrap();
    assert_eq!(revisions(&mut stream, Revision(22)).await, (16..=22).collect::<Vec<_>>());
}

/// Other data under the same address: nothing that this store told is true any more.
#[tokio::test]
async fn a_history_that_went_back_closes_the_store() {
    let mut etcd = Etcd::plain();
    let store = EtcdStore::open(Config::new([etcd.endpoint.as_str()])).await.unwrap();
    for n in 0..10 {
        put(&store, "/a", n.to_string()).await;
    }
    let mut stream = store.watch(WatchRequest::prefix("/")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    etcd.kill();
    etcd.forget();
    etcd.restart();
    let ended = loop {
        if let Err(error) = tokio::time::timeout(Duration::from_secs(60), stream.next()).await.unwrap().unwrap() {
            break error;
        }
    };
    assert!(matches!(ended, Error::Closed), "{ended}");
    assert!(matches!(store.get("/a", None).await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_member_of_another_cluster_is_not_used() {
    let mut first = Etcd::plain();
    let second = Etcd::start(&["--initial-cluster-token=another"]);
    let store = EtcdStore::open(Config::new([first.endpoint.clone(), second.endpoint.clone()])).await.unwrap();
    put(&store, "/a", "1").await;
    first.kill();
    let error = store.get("/a", None).await.unwrap_err();
    let told = std::error::Error::source(&error).unwrap().to_string();
    assert!(told.contains(&second.endpoint) && told.contains("another etcd cluster"), "{told}");
}
