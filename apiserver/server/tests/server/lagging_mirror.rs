//! A machine too busy for the mirror to keep up with the store.

use std::sync::Arc;
use std::time::Duration;

use apiserver_server::Config;
use async_trait::async_trait;
use futures::StreamExt as _;
use serde_json::json;
use store_core::{Error, KeyValue, Page, Range, Revision, Store, Txn, TxnOutcome, WatchRequest, WatchStream};
use store_memory::MemoryStore;
use tokio::time::{Instant, sleep};

use crate::support::{admin, ask, start_on};

const JSON: &str = "application/json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A store whose watches tell everything so much later.
struct Lagging(MemoryStore, Duration);

#[async_trait]
impl Store for Lagging {
    async fn get(&self, key: &str, at: Option<Revision>) -> Result<Option<KeyValue>, Error> {
        self.0.get(key, at).await
    }

    async fn range(&self, range: Range) -> Result<Page, Error> {
        self.0.range(range).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, Error> {
        self.0.txn(txn).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, Error> {
        let lag = self.1;
        let late = self.0.watch(request).await?.map(move |batch| async move {
            sleep(lag).await;
            batch
        });
        Ok(Box::pin(late.buffered(1024)))
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.0.compact(revision).await
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        self.0.current_revision().await
    }

    async fn compacted_revision(&self) -> Result<Revision, Error> {
        self.0.compacted_revision().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.0.close().await
    }
}

async fn start_lagging(lag: Duration) -> apiserver_server::Running {
    start_on(Arc::new(Lagging(MemoryStore::default(), lag)), Config::default()).await
}

#[tokio::test(start_paused = true)]
async fn a_server_starts_and_whoever_wrote_reads_it_however_late_it_is() {
    let server = start_lagging(Duration::from_secs(8)).await;
    let admin = admin(&server);
    let map = json!({"metadata": {"name": "late"}});
    let made = ask(&admin, "POST", MAPS, JSON, map.to_string()).await;
    assert_eq!(made.code, 201, "{}", made.text());
    let list = ask(&admin, "GET", MAPS, JSON, "").await.json();
    assert_eq!(list["items"][0]["metadata"]["name"], "late", "{list}");
    let gone = ask(&admin, "DELETE", &format!("{MAPS}/late"), JSON, "").await;
    assert_eq!(gone.code, 200, "{}", gone.text());
    assert_eq!(ask(&admin, "GET", &format!("{MAPS}/late"), JSON, "").await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn a_server_starts_and_writes_are_done_though_nobody_reads_them_in_time() {
    let server = start_lagging(Duration::from_secs(40)).await;
    let admin = admin(&server);
    let map = json!({"metadata": {"name": "later"}});
    let made = ask(&admin, "POST", MAPS, JSON, map.to_string()).await;
    assert_eq!(made.code, 201, "{}", made.text());
    let get = ask(&admin, "GET", &format!("{MAPS}/later"), JSON, "").await;
    assert_eq!(get.code, 200, "{}", get.text());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_never_written_is_waited_for_as_long_as_upstream_does() {
    let server = start_lagging(Duration::ZERO).await;
    let admin = admin(&server);
    let path = format!("{MAPS}?resourceVersion=1000000&resourceVersionMatch=NotOlderThan");
    let asked = Instant::now();
    let answer = ask(&admin, "GET", &path, JSON, "").await;
    assert_eq!(answer.failure(), (504, "Timeout".into()));
    let status = answer.json();
    assert!(status["message"].as_str().unwrap().starts_with("Timeout: Too large resource version: 1000000, current: "));
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    assert!((Duration::from_secs(3)..Duration::from_secs(4)).contains(&asked.elapsed()), "{:?}", asked.elapsed());
}
