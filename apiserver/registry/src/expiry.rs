//! Objects that go by themselves some time after the last write to them, as events do.
//!
//! Upstream gives each write a lease of the store. Here a sweep that the server
//! repeats removes what is due, so an object may stay one interval longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api_meta::{Object, Status, Value};
use jiff::{SignedDuration, Timestamp};

use crate::entry::Entry;
use crate::{Registry, Served};

/// The objects of one resource that stay for a time.
pub struct Expiry {
    registry: Registry,
    served: Arc<Served>,
    lifetime: SignedDuration,
    /// For each object its revision and since when it has it, as far as is known here. As many as there are objects.
    written: HashMap<Box<str>, (u64, Timestamp)>,
    /// Whether a revision that is new here was written since the last sweep, and not before this process.
    is_first: bool,
}

impl Expiry {
    pub fn new(registry: Registry, served: Arc<Served>, lifetime: Duration) -> Self {
        let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
        Self { registry, served, lifetime, written: HashMap::new(), is_first: true }
    }

    /// Removes what was last written longer ago than its lifetime, and says how many that were.
    ///
    /// May be dropped half way: what is left goes next time.
    ///
    /// # Errors
    ///
    /// The store's. An object that somebody writes meanwhile is left alone.
    pub async fn sweep(&mut self, now: Timestamp) -> Result<usize, Status> {
        let entries = self.served.stored()?.list("");
        let mut written = HashMap::with_capacity(entries.len());
        let mut due = Vec::new();
        for entry in entries {
            let since = match self.written.get(entry.relative_key()) {
                Some((revision, since)) if *revision == entry.revision() => *since,
                _ if self.is_first => last_written(&entry).unwrap_or(now).min(now),
                _ => now,
            };
            written.insert(entry.relative_key().into(), (entry.revision(), since));
            if now.duration_since(since) >= self.lifetime {
                due.push(entry);
            }
        }
        self.written = written;
        self.is_first = false;
        let mut removed = 0;
        for entry in due {
            removed += usize::from(self.registry.remove_entry(&entry).await?);
        }
        Ok(removed)
    }
}

/// What an event itself says of when it was last written. Only the server's own word cannot be wrong, but that is not
/// renewed when an event is merely counted once more.
fn last_written(entry: &Entry) -> Option<Timestamp> {
    const SAID: [&[&str]; 4] = [
        &["metadata", "creationTimestamp"],
        &["lastTimestamp"],
        &["deprecatedLastTimestamp"],
        &["series", "lastObservedTime"],
    ];
    let object: Object = entry.object().ok()?;
    let said = SAID.iter().filter_map(|path| object.at(path).and_then(Value::as_str)?.parse::<Timestamp>().ok());
    said.max()
}
