//! The store that remembers: a data directory on one machine.
//!
//! # Flow
//!
//! One thread owns the only writing connection to a SQLite file. It takes whatever transactions wait, applies them in
//! one SQLite transaction, commits once, tells the watchers, then answers all callers (group commit). Readers use a few
//! read-only connections on blocking threads; the write-ahead log gives each of them a stable snapshot, and neither
//! side waits for the other. The file is a log of changes (`history`) and an index of the last change of each key
//! (`keys`); each change points to the one before it of the same key, so an older state is found by walking back. See
//! the header of `schema.rs` for why.
//!
//! # Guarantees
//!
//! - Acknowledged means synced to the disk (`synchronous=FULL`).
//! - The process may be killed at any moment; what was acknowledged is there at the next start.
//! - One process uses a directory at a time; a second one is told who holds it.
//! - When the disk or the quota is full, writes fail with [`Error::DiskFull`] or [`Error::OverQuota`] and everything else
//!   goes on, deleting and compacting too: room on the disk is kept for them ([`Options::reserve_bytes`]). A store can be
//!   opened on a full disk.
//! - History takes no more than [`Retention`] says, and its room is used again, however much is being written.
//!
//! # Caveats
//!
//! The file never shrinks; space is used again after compaction. Network file systems are not supported: neither their
//! locks nor shared memory can be relied on.

mod backup;
mod directory;
mod fault;
mod options;
mod query;
mod read;
mod reserve;
mod retention;
mod schema;
mod snapshot;
mod sweep;
mod transact;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use store_core::{
    Error, KeyValue, Page, Range, Revision, Store, Txn, TxnOutcome, WatchRequest, WatchStream, fanout::Fanout,
};
use tokio::task::JoinSet;

pub use backup::{BackupError, Contents, restore_snapshot, save_snapshot};
pub use options::{Options, Retention};

use crate::{
    directory::Directory,
    fault::Site,
    read::{ReaderHistory, Readers},
    reserve::Reserve,
    retention::Growth,
    writer::{Disk, Writer},
};

/// A store in a data directory.
#[derive(Debug)]
pub struct EmbeddedStore {
    directory: PathBuf,
    fanout: Arc<Fanout>,
    readers: Arc<Readers>,
    writer: Arc<Writer>,
    /// Dropping it ends the tasks inside.
    tasks: Mutex<JoinSet<()>>,
}

impl EmbeddedStore {
    /// Opens the store in a directory, which is created when it does not exist.
    ///
    /// Must be called on a tokio runtime; the store's tasks live on it.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when another process has it open, [`Error::Unusable`] when it cannot be written,
    /// [`Error::Format`] or [`Error::Corrupt`] when what is in it cannot be read.
    pub async fn open(directory: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let path = directory.as_ref().to_owned();
        let opening = tokio::task::spawn_blocking({
            let path = path.clone();
            move || {
                let directory = Directory::lock(&path)?;
                let file = directory.database();
                let site = Site::new(&file);
                let mut reserve = Reserve::found(directory.reserve(), options.reserve_bytes);
                let (connection, position) = match schema::open_writer(&file, &site) {
                    // SQLite tells a disk too full for its shared memory like one that fails.
                    Err(Error::DiskFull { .. } | Error::Backend { .. }) if reserve.release() => {
                        schema::open_writer(&file, &site)?
                    }
                    Err(Error::Backend { .. }) if reserve::is_exhausted(&file) => return Err(site.disk_full()),
                    opened => opened?,
                };
                reserve.make();
                let fanout = Arc::new(Fanout::new(options.limits, position.revision, position.compacted));
                let disk = Disk { directory, connection, reserve };
                let growth = Arc::new(Growth::new(options.retention));
                let writer = Writer::start(disk, position, Arc::clone(&growth), Arc::clone(&fanout), &options)?;
                let readers = Readers::new(file, site, Arc::clone(&fanout), options.readers);
                Ok((fanout, writer, growth, readers))
            }
        });
        let (fanout, writer, growth, readers) = opening
            .await
            .map_err(|source| Error::Backend { doing: "open the data directory", source: source.into() })??;
        let writer = Arc::new(writer);
        let mut tasks = JoinSet::new();
        if let Some(retention) = options.retention {
            tasks.spawn(retention::keep(retention, Arc::downgrade(&writer), growth, Arc::clone(&fanout)));
        }
        Ok(Self { directory: path, fanout, readers: Arc::new(readers), writer, tasks: Mutex::new(tasks) })
    }

    /// The directory that holds the data.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.fanout.close();
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn get(&self, key: &str, at: Option<Revision>) -> Result<Option<KeyValue>, Error> {
        let key = key.to_owned();
        self.readers.run(move |snapshot| snapshot.get(&key, at)).await
    }

    async fn range(&self, range: Range) -> Result<Page, Error> {
        self.readers.run(move |snapshot| snapshot.range(&range)).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, Error> {
        txn.check()?;
        self.writer.txn(txn).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream, Error> {
        self.fanout.watch(Arc::new(ReaderHistory(Arc::clone(&self.readers))), request)
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.writer.compact(revision).await
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        self.writer.if_open()?;
        Ok(self.fanout.revision())
    }

    async fn compacted_revision(&self) -> Result<Revision, Error> {
        self.writer.if_open()?;
        Ok(self.fanout.compacted())
    }

    async fn close(&self) -> Result<(), Error> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.fanout.close();
        // Readers first: the last connection to go folds the write-ahead log into the file, and that needs the writer's.
        self.readers.close().await;
        self.writer.close().await
    }
}
