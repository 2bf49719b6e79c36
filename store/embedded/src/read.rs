//! Reading connections, and a bound on how many read at a time.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use store_core::{
    Error, Revision,
    fanout::{Changes, Fanout, History},
};
use tokio::sync::Semaphore;

use crate::{fault::Site, schema, snapshot::Snapshot};

#[derive(Debug)]
pub(crate) struct Readers {
    file: PathBuf,
    site: Site,
    fanout: Arc<Fanout>,
    count: u32,
    permits: Arc<Semaphore>,
    /// Connections that nobody uses. Never more than there are permits.
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(file: PathBuf, site: Site, fanout: Arc<Fanout>, count: usize) -> Self {
        let count = count.clamp(1, 64) as u32;
        Self { file, site, fanout, count, permits: Arc::new(Semaphore::new(count as usize)), idle: Mutex::default() }
    }

    /// Answers a question from one snapshot of the data, on a thread that may block.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Snapshot<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::Closed)?;
        let readers = Arc::clone(self);
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let connection = readers.take()?;
            let answer = Snapshot::open(&connection, &readers.site)
                .and_then(|snapshot| question(&snapshot).map(|answer| (answer, snapshot.revision())));
            readers.give_back(connection);
            answer
        });
        let answer =
            answer.await.map_err(|source| Error::Backend { doing: "read the store", source: source.into() })?;
        let (answer, revision) = answer?;
        self.fanout.reached(revision).await?;
        Ok(answer)
    }

    /// Waits for the reads under way, refuses further ones and closes the connections.
    pub(crate) async fn close(&self) {
        // The semaphore is fair: whoever comes later waits behind us, and then finds it closed.
        if let Ok(_all) = self.permits.acquire_many(self.count).await {
            self.permits.close();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn take(&self) -> Result<Connection, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => schema::open_reader(&self.file).map_err(self.site.told("open the store's file for reading")),
        }
    }

    /// A connection whose snapshot cannot be let go is let go itself.
    fn give_back(&self, connection: Connection) {
        if connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

/// [`History`] has to own the readers, and they cannot be reached from behind a plain reference.
#[derive(Debug)]
pub(crate) struct ReaderHistory(pub(crate) Arc<Readers>);

impl History for ReaderHistory {
    fn changes<'a>(&'a self, prefix: &'a str, after: Revision) -> Changes<'a> {
        let prefix = prefix.to_owned();
        Box::pin(self.0.run(move |snapshot| snapshot.changes(&prefix, after)))
    }
}
