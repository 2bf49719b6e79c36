//! The store on etcd: many servers, one history.
//!
//! # Flow
//!
//! Reads, transactions and compaction are etcd's own. One watch of all that is ours feeds a [`Fanout`] in this process,
//! and every watcher lives from that: etcd tells each change once, however many watch. A watch that begins before the
//! fan-out's window reads the past from etcd until it has caught up.
//!
//! # Guarantees
//!
//! - Those of `store-core`, for as many processes as share the etcd: compare-and-swap and revisions are etcd's.
//! - A watch goes on over a lost connection, from the revision where it was. When that revision was compacted meanwhile,
//!   it ends with an error.
//! - A write is repeated only when it certainly was not carried out.
//!
//! # Caveats
//!
//! etcd takes 128 changes in a transaction and 1.5 MiB in a request unless it is told otherwise; what is larger is
//! refused with [`Error::Invalid`]. What other programs compact is noticed only when something asks for it.

mod ask;
mod client;
mod compactor;
mod config;
mod feed;
mod grpc;
mod history;
mod keyspace;
mod message;
mod refusal;
mod tail;
mod transact;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use store_core::{
    Content, Error, KeyValue, Page, Range, Revision, Store, Txn, TxnOutcome, WatchRequest, WatchStream, fanout::Fanout,
};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

pub use config::{Config, ConfigError, Login};
pub use keyspace::Keyspace;

use crate::ask::{RANGE, revision_of, unanswered};
use crate::client::{Call, Client, ClientError};
use crate::compactor::{COMPACT, TXN};
use crate::feed::{Feed, backend};
use crate::history::Past;
use crate::message::{CompactionRequest, CompactionResponse, RangeRequest, RangeResponse};
use crate::refusal::Refusal;
use crate::tail::{Tail, key_value};

/// How many keys are asked for at once. Larger questions are put together from pages of one revision.
const PAGE: usize = 500;
/// How long a watch waits for the feed to reach a revision that etcd has.
const FRESHNESS: Duration = Duration::from_secs(10);

/// How long a writer waits for its own write to come back.
const HEARD: Duration = Duration::from_secs(1);

/// A store in an etcd.
#[derive(Debug)]
pub struct EtcdStore {
    client: Arc<Client>,
    keyspace: Keyspace,
    fanout: Arc<Fanout>,
    past: Arc<Past>,
    wanted: watch::Sender<Revision>,
    closed: AtomicBool,
    /// Dropping it ends the tasks inside.
    tasks: Mutex<JoinSet<()>>,
}

impl EtcdStore {
    /// Connects to etcd and learns where it stands.
    ///
    /// Must be called on a tokio runtime; the store's tasks live on it.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] with a cause that names the endpoint, the authority or the user that is wrong.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let client = Arc::new(Client::new(&config).map_err(Into::into).map_err(backend("configure the etcd client"))?);
        let keyspace = config.keyspace;
        client.link().await.map_err(Into::into).map_err(backend("connect to etcd"))?;
        let revision = ask::current(&client, &keyspace).await?;
        let compacted = ask::compacted(&client, &keyspace, Revision::ZERO).await?;
        // What is wrong with watching is better said now than in the log.
        let trial = async { Tail::open(&client, &keyspace, keyspace.all(), revision).await?.created().await };
        trial.await.map_err(Into::into).map_err(backend("watch etcd"))?;
        let fanout = Arc::new(Fanout::new(config.limits, revision, compacted));
        let past = Past { client: Arc::clone(&client), keyspace: keyspace.clone(), fanout: Arc::clone(&fanout) };
        let (wanted, receiver) = watch::channel(revision);
        let mut tasks = JoinSet::new();
        let feed = Feed {
            client: Arc::clone(&client),
            keyspace: keyspace.clone(),
            fanout: Arc::clone(&fanout),
            wanted: receiver,
        };
        tasks.spawn(feed.run());
        if let Some(interval) = config.compaction {
            tasks.spawn(compactor::keep(Arc::clone(&client), Arc::clone(&fanout), interval));
        }
        Ok(Self {
            client,
            keyspace,
            fanout,
            past: Arc::new(past),
            wanted,
            closed: AtomicBool::new(false),
            tasks: Mutex::new(tasks),
        })
    }

    fn if_open(&self) -> Result<(), Error> {
        // The feed closes the fan-out when etcd's history is no longer the one that was told.
        let closed = self.closed.load(Ordering::Acquire) || self.fanout.is_closed();
        if closed { Err(Error::Closed) } else { Ok(()) }
    }

    /// The revision of etcd's last change. Whoever asks will wait for it to arrive here.
    async fn current(&self) -> Result<Revision, Error> {
        let current = ask::current(&self.client, &self.keyspace).await?;
        self.want(current);
        Ok(current)
    }

    fn want(&self, revision: Revision) {
        self.wanted.send_if_modified(|wanted| {
            let newer = revision > *wanted;
            *wanted = revision.max(*wanted);
            newer
        });
    }

    /// Reads some keys of a range, at a revision or now.
    async fn read(&self, question: RangeRequest) -> Result<RangeResponse, Error> {
        let at = question.revision;
        match self.client.call(Call::Read, RANGE, &question).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.told("read from etcd", message::revision(at), error).await),
        }
    }

    /// What a refused revision means, with the revision that would be accepted.
    async fn told(&self, doing: &'static str, requested: Revision, error: ClientError) -> Error {
        let answer = match error.refusal() {
            Some(Refusal::Compacted) => {
                self.learn_compacted().await.map(|compacted| Error::Compacted { requested, compacted })
            }
            Some(Refusal::FutureRevision) => {
                self.current().await.map(|current| Error::FutureRevision { requested, current })
            }
            _ => Ok(unanswered(doing)(error)),
        };
        answer.unwrap_or_else(|error| error)
    }

    async fn learn_compacted(&self) -> Result<Revision, Error> {
        let compacted = ask::compacted(&self.client, &self.keyspace, self.fanout.compacted()).await?;
        self.fanout.forget(compacted);
        Ok(compacted)
    }

    /// etcd's number for a revision to read at, where zero means now; `None` for the empty state before all others.
    fn revision(&self, at: Option<Revision>) -> Result<Option<i64>, Error> {
        let compacted = self.fanout.compacted();
        match at {
            None => Ok(Some(0)),
            Some(requested) if requested < compacted => Err(Error::Compacted { requested, compacted }),
            Some(Revision::ZERO) => Ok(None),
            Some(at) => Ok(Some(at.0 as i64)),
        }
    }

    /// Reads on until the limit, all at the revision of the first answer.
    async fn pages(&self, range: &Range, revision: i64, bounds: (Vec<u8>, Vec<u8>)) -> Result<Page, Error> {
        let limit = if range.limit == 0 { usize::MAX } else { range.limit };
        let mut question = RangeRequest {
            key: bounds.0,
            range_end: bounds.1,
            revision,
            keys_only: range.content == Content::KeysOnly,
            ..RangeRequest::default()
        };
        let mut page = Page { items: Vec::new(), revision: message::revision(revision), more: false, remaining: 0 };
        loop {
            question.limit = limit.saturating_sub(page.items.len()).min(PAGE) as i64;
            let answer = self.read(question.clone()).await?;
            if question.revision == 0 {
                page.revision = revision_of(answer.header);
                question.revision = page.revision.0 as i64;
            }
            page.remaining = message::unsigned(answer.count).saturating_sub(answer.kvs.len() as u64);
            page.more = page.remaining > 0;
            if let Some(last) = answer.kvs.last() {
                question.key = [last.key.as_slice(), &[0]].concat();
            }
            let progressed = !answer.kvs.is_empty();
            page.items.extend(answer.kvs.into_iter().filter_map(|pair| key_value(&self.keyspace, pair)));
            if !page.more || page.items.len() >= limit || !progressed {
                return Ok(page);
            }
        }
    }

    async fn count(&self, revision: i64, (key, range_end): (Vec<u8>, Vec<u8>)) -> Result<Page, Error> {
        let question = RangeRequest { key, range_end, revision, count_only: true, ..RangeRequest::default() };
        let answer = self.read(question).await?;
        let revision = if revision == 0 { revision_of(answer.header) } else { message::revision(revision) };
        let remaining = message::unsigned(answer.count);
        Ok(Page { items: Vec::new(), revision, more: remaining > 0, remaining })
    }
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        self.fanout.close();
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn get(&self, key: &str, at: Option<Revision>) -> Result<Option<KeyValue>, Error> {
        self.if_open()?;
        let Some(revision) = self.revision(at)? else { return Ok(None) };
        let key = self.keyspace.outer_key(key)?;
        let answer = self.read(RangeRequest { key, revision, ..RangeRequest::default() }).await?;
        Ok(answer.kvs.into_iter().next().and_then(|pair| key_value(&self.keyspace, pair)))
    }

    async fn range(&self, range: Range) -> Result<Page, Error> {
        self.if_open()?;
        let Some(revision) = self.revision(range.at)? else {
            return Ok(Page { items: Vec::new(), revision: Revision::ZERO, more: false, remaining: 0 });
        };
        match self.keyspace.outer(&range.span, range.after.as_deref()) {
            Some(bounds) if range.content == Content::CountOnly => self.count(revision, bounds).await,
            Some(bounds) => self.pages(&range, revision, bounds).await,
            // Nothing is there, but the revision still has to be one that can be read.
            None => {
                let page = self.count(revision, (self.keyspace.probe(), Vec::new())).await?;
                Ok(Page { more: false, remaining: 0, ..page })
            }
        }
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, Error> {
        self.if_open()?;
        txn.check()?;
        let request = transact::request(&self.keyspace, &txn)?;
        let answer = self.client.call(Call::Write, TXN, &request).await;
        let answer = answer.map_err(|error| transact::refused(&txn, error))?;
        let outcome = transact::outcome(&self.keyspace, &txn, answer);
        if outcome.succeeded {
            self.want(outcome.revision);
            // Whoever writes cannot outrun the feed for long, and mostly finds its own write told. The write is done,
            // however: that the feed is away is no reason to call it failed.
            tokio::time::timeout(HEARD, self.fanout.reached(outcome.revision)).await.ok();
        }
        Ok(outcome)
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, Error> {
        self.if_open()?;
        let after = match request.after {
            Some(after) if after <= self.fanout.revision() => after,
            Some(requested) => match self.current().await? {
                current if requested > current => return Err(Error::FutureRevision { requested, current }),
                _ => requested,
            },
            None => self.current().await?,
        };
        // What etcd has may be on the way to us still.
        self.want(after);
        let late =
            || Error::Backend { doing: "follow etcd", source: format!("revision {after} did not come in time").into() };
        tokio::time::timeout(FRESHNESS, self.fanout.reached(after)).await.map_err(|_| late())??;
        let past: Arc<dyn store_core::fanout::History> = self.past.clone();
        self.fanout.watch(past, request.after(after))
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.if_open()?;
        let compacted = self.fanout.compacted();
        if revision <= compacted {
            return Err(Error::Compacted { requested: revision, compacted });
        }
        let question = CompactionRequest { revision: revision.0 as i64 };
        match self.client.call::<CompactionResponse>(Call::Write, COMPACT, &question).await {
            Ok(_) => {
                self.fanout.forget(revision);
                Ok(())
            }
            Err(error) => Err(self.told("compact etcd", revision, error).await),
        }
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        self.if_open()?;
        self.current().await
    }

    async fn compacted_revision(&self) -> Result<Revision, Error> {
        self.if_open()?;
        self.learn_compacted().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.closed.store(true, Ordering::Release);
        self.fanout.close();
        self.tasks.lock().await.shutdown().await;
        self.client.close().await;
        Ok(())
    }
}
