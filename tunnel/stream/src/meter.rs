//! The figures of the streams of one tunnel.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use h2::{FlowControl, StreamId};

/// Counts the bytes of streams, and knows which streams stand still.
#[derive(Debug, Default)]
pub struct Meter {
    received: AtomicU64,
    sent: AtomicU64,
    /// Streams whose writer waits for credit.
    waiting: AtomicUsize,
    /// The credit that readers of open streams give.
    open: Mutex<HashMap<StreamId, FlowControl>>,
}

/// What a [`Meter`] shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes that were read from streams.
    pub received: u64,
    /// Bytes that were written to streams.
    pub sent: u64,
    /// Bytes that have arrived and that nobody has read: they lie in memory.
    pub buffered: u64,
    /// Streams whose reader is so far behind that the far end may send little more, or nothing.
    pub unread: usize,
    /// Streams whose writer waits, as the far end or the link takes nothing more now.
    pub untaken: usize,
}

impl Meter {
    /// The figures as they are.
    pub fn figures(&self) -> Figures {
        let (mut buffered, mut unread) = (0, 0);
        for credit in self.open().values() {
            let used = credit.used_capacity();
            buffered += used as u64;
            // Credit goes back in halves of a window: with more than a half unread the far end has got none of it back.
            unread +=
                usize::from(used > 0 && isize::try_from(used).unwrap_or(isize::MAX) > credit.available_capacity());
        }
        Figures {
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            buffered,
            unread,
            untaken: self.waiting.load(Ordering::Relaxed),
        }
    }

    /// Bytes that have arrived and that nobody has read.
    pub(crate) fn buffered(&self) -> u64 {
        self.open().values().map(|credit| credit.used_capacity() as u64).sum()
    }

    pub(crate) fn enter(&self, stream: StreamId, credit: FlowControl) {
        self.open().insert(stream, credit);
    }

    /// What was noted of a stream keeps it alive in h2, so this comes before its end.
    pub(crate) fn leave(&self, stream: StreamId) {
        let credit = self.open().remove(&stream);
        drop(credit);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn waits(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn goes_on(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<StreamId, FlowControl>> {
        // Every change is one insertion or removal: a panic leaves nothing half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
