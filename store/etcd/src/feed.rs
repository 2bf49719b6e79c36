//! The one watch that everything else lives from: what etcd tells goes to the fan-out.
//!
//! When the connection is lost the watch goes on from the same revision, and nobody notices. When etcd has compacted
//! that revision meanwhile, all watchers are cut off, so that each learns of the gap.

use std::sync::Arc;
use std::time::Duration;

use store_core::{BoxError, Error, Event, Revision, fanout::Fanout};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ask;
use crate::client::Client;
use crate::keyspace::Keyspace;
use crate::tail::{Step, Tail, TailError};

/// Someone waits for a revision that has not come: its event is on the way, or there is none for us. So this long, ...
const FIRST_ASKED: Duration = Duration::from_millis(10);
/// ... and then this long again and again, since etcd answers only when the watch is up to date.
const ASKED_AGAIN: Duration = Duration::from_millis(100);

/// How much is handed to the watchers before they get a turn.
const PIECE_BYTES: usize = 1 << 20;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Feed {
    pub(crate) client: Arc<Client>,
    pub(crate) keyspace: Keyspace,
    pub(crate) fanout: Arc<Fanout>,
    /// The greatest revision that anybody waits for.
    pub(crate) wanted: watch::Receiver<Revision>,
}

impl Feed {
    /// Runs until the store is closed, or etcd's history is no longer the one that was told.
    pub(crate) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let before = self.fanout.revision();
            let Err(error) = self.follow().await;
            if self.fanout.revision() > before {
                pause = FIRST_PAUSE;
            }
            match error {
                Ended::WentBack { current, known } => {
                    tracing::error!(
                        %current,
                        %known,
                        "etcd's history went back, as after restoring a snapshot; the store closes, since what it told is not true any more"
                    );
                    self.fanout.close();
                    return;
                }
                Ended::Tail(TailError::Compacted(at)) => {
                    tracing::warn!(compacted = %at, "etcd compacted what was not yet told; watchers have to start over");
                    self.fanout.forget(at);
                    self.skip().await;
                }
                Ended::Tail(error) => {
                    tracing::warn!(error = %chain(&error), "the watch of etcd ended; it goes on where it was");
                }
                Ended::Store(error) => tracing::warn!(error = %chain(&error), "etcd does not answer"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Ended> {
        let known = self.fanout.revision();
        let current = ask::current(&self.client, &self.keyspace).await.map_err(Ended::Store)?;
        if current < known {
            return Err(Ended::WentBack { current, known });
        }
        let mut tail = Tail::open(&self.client, &self.keyspace, self.keyspace.all(), known).await?;
        let mut ask_at = None;
        loop {
            let behind = *self.wanted.borrow_and_update() > self.fanout.revision();
            if !behind {
                ask_at = None;
            }
            let asked_at = *ask_at.get_or_insert_with(|| Instant::now() + FIRST_ASKED);
            tokio::select! {
                biased;
                step = tail.next() => self.publish(step?).await,
                // The sender is the store, which ends this task before it goes.
                Ok(()) = self.wanted.changed(), if !behind => {}
                () = tokio::time::sleep_until(asked_at), if behind => {
                    tail.ask_progress();
                    ask_at = Some(Instant::now() + ASKED_AGAIN);
                }
            }
        }
    }

    /// Hands a step to the watchers, in pieces: etcd may tell more at once than their queues hold.
    async fn publish(&self, step: Step) {
        let mut events = step.events.into_iter().peekable();
        while events.peek().is_some() {
            let (mut piece, mut bytes) = (Vec::new(), 0);
            while let Some(event) = events.next_if(|event| bytes < PIECE_BYTES || !starts_revision(&piece, event)) {
                bytes += event.weight();
                piece.push(event);
            }
            let last = piece.last().map_or(step.revision, |event: &Arc<Event>| event.kv.mod_revision);
            self.fanout.publish(piece, last);
            tokio::task::yield_now().await;
        }
        if step.revision > self.fanout.revision() {
            self.fanout.publish(Vec::new(), step.revision);
        }
    }

    /// Goes on from where etcd is now, over the gap.
    async fn skip(&self) {
        match ask::current(&self.client, &self.keyspace).await {
            Ok(current) => self.fanout.skip_to(current),
            Err(error) => tracing::warn!(error = %chain(&error), "etcd does not answer"),
        }
    }
}

/// Whether an event belongs to another revision than those before it.
fn starts_revision(piece: &[Arc<Event>], event: &Event) -> bool {
    piece.last().is_none_or(|last| last.kv.mod_revision != event.kv.mod_revision)
}

enum Ended {
    Tail(TailError),
    Store(Error),
    WentBack { current: Revision, known: Revision },
}

impl From<TailError> for Ended {
    fn from(error: TailError) -> Self {
        Self::Tail(error)
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Keeps what went wrong as a cause.
pub(crate) fn backend(doing: &'static str) -> impl FnOnce(BoxError) -> Error {
    move |source| Error::Backend { doing, source }
}
