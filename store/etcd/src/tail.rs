//! One watch of etcd's, read as steps that are complete up to a revision.
//!
//! etcd promises that events come in revision order. What it does not say with each answer is up to where the watcher
//! now knows everything: a revision may come in fragments, and changes of keys that are not watched are not told. The
//! [`Assembler`] turns the one into the other.
//!
//! Progress reports overtake events in etcd before 3.4.31 and 3.5.13 (its issue 15220). There the watch asks for
//! everything that etcd has instead: then every revision comes with an event, and no report is needed.

use std::sync::Arc;

use store_core::{Event, EventKind, KeyValue, Revision};

use crate::ask::revision_of;
use crate::client::{Call, Client, ClientError, Link};
use crate::grpc::{Answers, CallError, Questions};
use crate::keyspace::Keyspace;
use crate::message::{
    Change, ChangeKind, Pair, WatchCommand, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
    revision, unsigned,
};

/// Why a watch of etcd's ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// etcd has forgotten what was to come next; the oldest that it knows is this.
    #[error("the changes before revision {0} were compacted")]
    Compacted(Revision),
    #[error("etcd ended the watch of {watched}: {reason}")]
    Cancelled { reason: String, watched: &'static str },
    #[error("an event of revision {found} came after all of revision {position}")]
    Disordered { position: Revision, found: Revision },
    #[error("an event without a key")]
    Empty,
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Some changes, all of them up to a revision.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) events: Vec<Arc<Event>>,
    pub(crate) revision: Revision,
}

pub(crate) struct Tail<'c> {
    client: &'c Client,
    questions: Questions,
    answers: Answers,
    link: Arc<Link>,
    assembler: Assembler,
}

impl<'c> Tail<'c> {
    /// Follows the changes after a revision in a range of etcd's keys.
    pub(crate) async fn open(
        client: &'c Client,
        keyspace: &Keyspace,
        range: (Vec<u8>, Vec<u8>),
        after: Revision,
    ) -> Result<Self, TailError> {
        let first = |link: &Link| {
            let (key, range_end) = if client.reports_progress(link) { range } else { Keyspace::everything() };
            // From the revision before the first that is wanted: etcd would accept the revision that it compacted to,
            // although it may have dropped the deletions in it.
            let start_revision = after.0.max(1) as i64;
            let create = WatchCreateRequest { key, range_end, start_revision, prev_kv: true, fragment: true };
            WatchRequest { command: Some(WatchCommand::Create(create)) }
        };
        let (questions, answers, link) = client.stream("/etcdserverpb.Watch/Watch", first).await?;
        let assembler = Assembler::new(keyspace.clone(), after, client.reports_progress(&link));
        Ok(Self { client, questions, answers, link, assembler })
    }

    /// Waits until etcd says that it watches.
    pub(crate) async fn created(&mut self) -> Result<(), TailError> {
        match self.answers.next::<WatchResponse>().await {
            Ok(answer) => self.assembler.take(answer).map(drop),
            Err(error) => Err(self.failed(error).await),
        }
    }

    /// The next step. May be dropped while waiting; nothing is lost then.
    pub(crate) async fn next(&mut self) -> Result<Step, TailError> {
        loop {
            let answer = match self.answers.next::<WatchResponse>().await {
                Ok(answer) => answer,
                Err(error) => return Err(self.failed(error).await),
            };
            if let Some(step) = self.assembler.take(answer)? {
                return Ok(step);
            }
        }
    }

    async fn failed(&self, error: CallError) -> TailError {
        self.client.judge(&self.link, &error, Call::Read).await;
        self.client.told(&self.link, error).into()
    }

    /// Asks how far the watch has come, where the answer can be relied on.
    pub(crate) fn ask_progress(&self) {
        if self.assembler.reports_progress {
            self.questions.ask(&WatchRequest { command: Some(WatchCommand::Progress(WatchProgressRequest {})) });
        }
    }
}

/// Whether progress reports wait for events: upstream's list, in `feature_support_checker.go`.
pub(crate) fn reports_progress(version: &str) -> bool {
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    match (next(), next(), next()) {
        (3, 4, patch) => patch >= 31,
        (3, 5, patch) => patch >= 13,
        (major, minor, _) => (major, minor) > (3, 5),
    }
}

/// Puts answers together.
#[derive(Debug)]
pub(crate) struct Assembler {
    keyspace: Keyspace,
    start: Revision,
    /// Everything up to here was given out.
    position: Revision,
    reports_progress: bool,
    /// Events of a revision that may not be complete.
    held: Vec<Arc<Event>>,
    /// The last revision of which anything came, ours or not.
    last: Revision,
}

impl Assembler {
    pub(crate) fn new(keyspace: Keyspace, after: Revision, reports_progress: bool) -> Self {
        Self { keyspace, start: after, position: after, reports_progress, held: Vec::new(), last: after }
    }

    pub(crate) fn take(&mut self, answer: WatchResponse) -> Result<Option<Step>, TailError> {
        if answer.compact_revision > 0 {
            return Err(TailError::Compacted(revision(answer.compact_revision)));
        }
        if answer.canceled {
            // Older versions have to be watched whole, and that asks for more rights than our keys do.
            let watched = if self.reports_progress { "our keys" } else { "all keys" };
            return Err(TailError::Cancelled { reason: answer.cancel_reason, watched });
        }
        let is_report = answer.events.is_empty() && !answer.created;
        for change in answer.events {
            self.add(change)?;
        }
        let complete = match (is_report, answer.fragment) {
            (true, false) if self.reports_progress => revision_of(answer.header),
            (true, _) => return Ok(None),
            (false, false) => self.last,
            // More of the last one may come.
            (false, true) => Revision(self.last.0.saturating_sub(1)),
        };
        Ok(self.give_out(complete))
    }

    fn add(&mut self, change: Change) -> Result<(), TailError> {
        let deleted = change.kind == ChangeKind::Delete as i32;
        let pair = change.kv.ok_or(TailError::Empty)?;
        let revision = revision(pair.mod_revision);
        if revision <= self.position {
            let repeated = revision == self.start && self.position == self.start;
            return if repeated {
                Ok(())
            } else {
                Err(TailError::Disordered { position: self.position, found: revision })
            };
        }
        if revision < self.last {
            return Err(TailError::Disordered { position: self.last, found: revision });
        }
        self.last = revision;
        let Some(kv) = key_value(&self.keyspace, pair) else { return Ok(()) };
        let prev = change.prev_kv.and_then(|prev| key_value(&self.keyspace, prev));
        let existed = deleted || kv.create_revision < kv.mod_revision;
        if existed && prev.is_none() {
            // Compacted between the change and the moment when etcd told of it.
            return Err(TailError::Compacted(revision));
        }
        let kind = if deleted { EventKind::Delete } else { EventKind::Put };
        self.held.push(Arc::new(Event { kind, kv, prev }));
        Ok(())
    }

    fn give_out(&mut self, complete: Revision) -> Option<Step> {
        if complete <= self.position {
            return None;
        }
        self.position = complete;
        let ready = self.held.partition_point(|event| event.kv.mod_revision <= complete);
        Some(Step { events: self.held.drain(..ready).collect(), revision: complete })
    }
}

/// Our view of what etcd holds; `None` for a key that is not ours.
pub(crate) fn key_value(keyspace: &Keyspace, pair: Pair) -> Option<KeyValue> {
    Some(KeyValue {
        key: keyspace.inner_key(&pair.key)?,
        value: pair.value.into(),
        create_revision: revision(pair.create_revision),
        mod_revision: revision(pair.mod_revision),
        version: unsigned(pair.version),
    })
}

#[cfg(test)]
mod tests;
