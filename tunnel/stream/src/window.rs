//! How much may be under way on each stream of a connection.
//!
//! Credit takes a round trip to come back, and longer from ends that are busy, so a small window is what bounds a stream, and
//! not the link. A large one has a price: whoever opens streams and stops reading fills it, in our memory. So windows are
//! as large as the link is long, as long as readers keep up, and small for all once there is too much that nobody has read.
//!
//! HTTP/2 has one setting for the windows of all streams of a connection, which holds for open ones too (RFC 9113 section
//! 6.9.2).

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use tunnel_protocol::limits::{STREAM_WINDOW, UNREAD, stream_window};

use crate::Meter;
use crate::alive::Link;

/// How many bytes may arrive before what is unread is counted again: little beside [`UNREAD`], and much beside counting.
const COUNTED_EACH: u64 = 1024 * 1024;

/// What nobody has read of all connections of a process whose windows are large.
#[derive(Clone, Debug, Default)]
pub struct Unread(Arc<AtomicU64>);

/// The window of a connection's streams.
#[derive(Debug)]
pub struct Window {
    link: Link,
    meter: Arc<Meter>,
    unread: Unread,
    /// What it has of us.
    ours: u64,
    /// What the far end was told.
    size: u32,
    /// There was too much unread, and there still is.
    is_held: bool,
    arrived: u64,
    trips: u64,
}

impl Window {
    /// That of a connection which has begun, with [`STREAM_WINDOW`].
    pub fn new(link: Link, meter: Arc<Meter>, unread: Unread) -> Self {
        Self { link, meter, unread, ours: 0, size: STREAM_WINDOW, is_held: false, arrived: 0, trips: 0 }
    }

    /// Completes when the windows are to have another size, which the caller tells the far end. If that takes no settings
    /// now, as it has not acknowledged the last, they keep the one they have, and this completes again by and by.
    ///
    /// Of no use but beside the connection, in one task: it is what arrives there that wakes both.
    pub async fn changed(&mut self) -> u32 {
        poll_fn(|_| self.change().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// The far end has been told of a size.
    pub fn told(&mut self, size: u32) {
        self.size = size;
    }

    fn change(&mut self) -> Option<u32> {
        let (trips, arrived) = (self.link.trips_made(), self.link.arrived());
        let has_arrived = self.size > STREAM_WINDOW && arrived - self.arrived >= COUNTED_EACH;
        if trips == self.trips && !has_arrived {
            return None;
        }
        (self.trips, self.arrived) = (trips, arrived);
        let reaching = stream_window(self.link.shortest_trip()?);
        let all = self.count();
        self.is_held = all > if self.is_held { UNREAD / 2 } else { UNREAD };
        let wanted = if self.is_held { STREAM_WINDOW } else { reaching };
        // No link takes twice equally long, and each change is a frame.
        let differs = wanted >= 2 * self.size || wanted <= self.size / 2 || (self.is_held && wanted != self.size);
        differs.then_some(wanted)
    }

    /// What is unread in the whole process, with what we have of it now.
    fn count(&mut self) -> u64 {
        let now = self.meter.buffered();
        let others = self.unread.0.fetch_sub(self.ours, Ordering::Relaxed) - self.ours;
        self.unread.0.fetch_add(now, Ordering::Relaxed);
        self.ours = now;
        others + now
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.unread.0.fetch_sub(self.ours, Ordering::Relaxed);
    }
}
