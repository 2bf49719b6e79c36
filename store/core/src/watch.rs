//! What one asks of a watch and what it yields.

use std::{sync::Arc, time::Duration};

use futures::stream::BoxStream;

use crate::{Error, Event, Revision};

/// Which changes to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRequest {
    /// Keys that begin with this.
    pub prefix: String,
    /// Changes after this revision: usually the revision of the page that was read before. From now on when `None`.
    pub after: Option<Revision>,
    /// Report progress made by changes of other keys at most this often; zero for as soon as it is known.
    pub progress: Duration,
}

impl WatchRequest {
    /// Changes under `prefix` from now on, with progress every 100 ms at most.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), after: None, progress: Duration::from_millis(100) }
    }

    /// Changes after this revision.
    #[must_use]
    pub fn after(self, revision: Revision) -> Self {
        Self { after: Some(revision), ..self }
    }

    /// Progress at most this often.
    #[must_use]
    pub fn progress(self, interval: Duration) -> Self {
        Self { progress: interval, ..self }
    }
}

/// Some changes, all of them up to a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Every matching change up to and including this revision has been delivered, with this batch.
    pub revision: Revision,
    /// Changes in revision order, shared with other watchers. None in a mere notice of progress.
    pub events: Vec<Arc<Event>>,
}

impl Batch {
    /// Whether this only says how far the watch has come.
    #[must_use]
    pub fn is_progress(&self) -> bool {
        self.events.is_empty()
    }
}

/// The batches of a watch. Ends after the first error.
pub type WatchStream = BoxStream<'static, Result<Batch, Error>>;
