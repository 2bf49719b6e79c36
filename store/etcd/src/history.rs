//! Changes that are older than the fan-out's window, from etcd itself.

use std::sync::Arc;
use std::time::Duration;

use store_core::fanout::{Changes, Fanout, History};
use store_core::{Batch, Error, Revision, Span};

use crate::client::Client;
use crate::keyspace::Keyspace;
use crate::tail::{Tail, TailError};

/// A batch is given out when it has grown to this.
const BATCH_BYTES: usize = 2 << 20;
const BATCH_EVENTS: usize = 10_000;
/// How long etcd may take to tell the past, and how often it is asked whether that was all.
const DEADLINE: Duration = Duration::from_secs(60);
const ASKED: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) client: Arc<Client>,
    pub(crate) keyspace: Keyspace,
    pub(crate) fanout: Arc<Fanout>,
}

impl Past {
    async fn read(&self, prefix: &str, after: Revision) -> Result<Batch, Error> {
        // Further than this, the fan-out takes over; it must not be overtaken.
        let target = self.fanout.revision();
        let mut batch = Batch { revision: target, events: Vec::new() };
        let Some(range) = self.keyspace.outer(&Span::prefix(prefix), None) else { return Ok(batch) };
        let mut tail = Tail::open(&self.client, &self.keyspace, range, after).await.map_err(told(after))?;
        let mut bytes = 0;
        loop {
            let step = tokio::select! {
                step = tail.next() => step.map_err(told(after))?,
                () = tokio::time::sleep(ASKED) => {
                    tail.ask_progress();
                    continue;
                }
            };
            let ours = |kv: &store_core::KeyValue| kv.mod_revision <= target && kv.key.starts_with(prefix);
            for event in step.events.into_iter().filter(|event| ours(&event.kv)) {
                bytes += event.weight();
                batch.events.push(event);
            }
            if step.revision >= target {
                return Ok(batch);
            }
            if bytes >= BATCH_BYTES || batch.events.len() >= BATCH_EVENTS {
                return Ok(Batch { revision: step.revision, ..batch });
            }
        }
    }
}

impl History for Past {
    fn changes<'a>(&'a self, prefix: &'a str, after: Revision) -> Changes<'a> {
        Box::pin(async move {
            let late = || Error::Backend { doing: "read past changes from etcd", source: "no answer in time".into() };
            tokio::time::timeout(DEADLINE, self.read(prefix, after)).await.unwrap_or_else(|_| Err(late()))
        })
    }
}

fn told(requested: Revision) -> impl FnOnce(TailError) -> Error {
    move |error| match error {
        TailError::Compacted(compacted) => Error::Compacted { requested, compacted },
        other => Error::Backend { doing: "read past changes from etcd", source: other.into() },
    }
}
