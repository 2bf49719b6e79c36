//! What a store can say instead of an answer.

use std::path::PathBuf;

use crate::Revision;

/// Any cause of an error that the backend reports.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state that was asked for is gone. Read again at the current revision.
    #[error("revision {requested} was compacted; the oldest readable revision is {compacted}")]
    Compacted {
        /// The revision in the question.
        requested: Revision,
        /// The oldest revision that can be read.
        compacted: Revision,
    },
    /// The state that was asked for does not exist yet.
    #[error("revision {requested} is in the future; the current revision is {current}")]
    FutureRevision {
        /// The revision in the question.
        requested: Revision,
        /// The latest revision.
        current: Revision,
    },
    /// The reader of a watch was slower than the bounded queue in front of it. Watch again from the last revision.
    #[error("the watch fell too far behind after revision {after}")]
    WatchLagged {
        /// Everything up to here was delivered.
        after: Revision,
    },
    /// The request itself is wrong; repeating it will not help.
    #[error("invalid transaction: {reason} (key {key:?})")]
    Invalid {
        /// The first key that breaks a rule.
        key: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// Another process uses the data directory.
    #[error(
        "the data directory {} is in use by another process{}",
        directory.display(),
        holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The directory that cannot be shared.
        directory: PathBuf,
        /// The process that holds the lock, as far as it can be known.
        holder: Option<u32>,
    },
    /// The data directory cannot be created, read or written.
    #[error("the data directory {} cannot be used", directory.display())]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        #[source]
        source: BoxError,
    },
    /// The data was written by another version of this program, or by another program.
    #[error("{} has format {found}; this program reads format {supported}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format that it says it has.
        found: String,
        /// The format that can be read.
        supported: String,
    },
    /// There is no room for the write. It was not applied; reads go on.
    #[error("the data in {} has reached its limit of {limit} bytes", directory.display())]
    OverQuota {
        /// Where the data is.
        directory: PathBuf,
        /// How much there may be.
        limit: u64,
    },
    /// The disk has no room for the write. It was not applied; reads go on.
    #[error("no space is left on the disk of {}", directory.display())]
    DiskFull {
        /// Where the data is.
        directory: PathBuf,
    },
    /// What keeps the data has no room. Reads go on; the write may have been the last that was applied.
    #[error("the store is full: {reason}")]
    Full {
        /// What is full, and the way out.
        reason: &'static str,
    },
    /// What is stored does not make sense; a person has to restore a backup.
    #[error("the stored data in {} is damaged", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// How it was noticed.
        #[source]
        source: BoxError,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Anything else that went wrong underneath.
    #[error("could not {doing}")]
    Backend {
        /// What was being done.
        doing: &'static str,
        /// What the layer below says.
        #[source]
        source: BoxError,
    },
}
