//! How a store in a directory behaves: what it keeps, and how much of the disk it takes and leaves.

use std::time::Duration;

use store_core::fanout::Limits;

/// How a store in a directory behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long history is kept; `None` leaves compaction to the caller.
    pub retention: Option<Retention>,
    /// Bounds for watchers.
    pub limits: Limits,
    /// How many reads may run at a time. Each may cache up to 2 MiB.
    pub readers: usize,
    /// Writes fail with [`Error::OverQuota`](store_core::Error::OverQuota) when the data takes more than this; `None` leaves the
    /// limit to the disk. One group of writes (about 8 MiB) may go over it.
    pub max_bytes: Option<u64>,
    /// Room on the disk that is kept for deleting when the disk is full, and for starting on a full disk; zero for none.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retention: Some(Retention::default()),
            limits: Limits::default(),
            readers: 4,
            max_bytes: None,
            reserve_bytes: 16 << 20,
        }
    }
}

/// Which history stays readable: what is young enough, unless there is too much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// States at least this young stay readable. Lists that are read page by page have this long.
    pub age: Duration,
    /// But never more than this many revisions, ...
    pub revisions: u64,
    /// ... nor, as far as this process wrote them, more than this many bytes.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_secs(5 * 60), revisions: 100_000, bytes: 256 << 20 }
    }
}
