//! What a reader sees: the data as it was when the snapshot was opened, and before that.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, Row};
use store_core::{Batch, Content, Error, Event, EventKind, KeyValue, Page, Range, Revision};

use crate::{
    fault::Site,
    query::{self, Head},
    schema::{self, ChangeId, Position},
};

/// Bounds of one batch of past changes. A batch ends with the revision in which one of them is reached.
const BATCH_BYTES: usize = 2 << 20;
const BATCH_SCANNED: usize = 10_000;

/// Greater than any key: UTF-8 has no such byte.
const BEHIND_ALL_KEYS: &[u8] = &[0xFF];

pub(crate) struct Snapshot<'c> {
    connection: &'c Connection,
    site: &'c Site,
    position: Position,
}

impl<'c> Snapshot<'c> {
    /// Opens a snapshot, which lasts until the caller ends the transaction.
    pub(crate) fn open(connection: &'c Connection, site: &'c Site) -> Result<Self, Error> {
        let begin = || {
            connection.prepare_cached("BEGIN")?.execute(())?;
            schema::read_position(connection)
        };
        let position = begin().map_err(site.told("begin to read"))?;
        Ok(Self { connection, site, position })
    }

    /// The revision of the last change that can be seen.
    pub(crate) fn revision(&self) -> Revision {
        self.position.revision
    }

    pub(crate) fn get(&self, key: &str, at: Option<Revision>) -> Result<Option<KeyValue>, Error> {
        let at = self.resolve(at)?;
        self.key_at(key, at).map_err(self.site.told("read a key"))
    }

    pub(crate) fn range(&self, range: &Range) -> Result<Page, Error> {
        let at = self.resolve(range.at)?;
        self.page(range, at).map_err(self.site.told("read a range of keys"))
    }

    /// Changes under a prefix after a revision, complete up to the batch's revision.
    pub(crate) fn changes(&self, prefix: &str, after: Revision) -> Result<Batch, Error> {
        self.resolve(Some(after))?;
        self.batch(prefix, after).map_err(self.site.told("read past changes"))
    }

    /// The revision to read at.
    fn resolve(&self, at: Option<Revision>) -> Result<Revision, Error> {
        let Position { revision: current, compacted, .. } = self.position;
        match at {
            None => Ok(current),
            Some(requested) if requested < compacted => Err(Error::Compacted { requested, compacted }),
            Some(requested) if requested > current => Err(Error::FutureRevision { requested, current }),
            Some(at) => Ok(at),
        }
    }

    fn key_at(&self, key: &str, at: Revision) -> rusqlite::Result<Option<KeyValue>> {
        match query::head(self.connection, key)? {
            Some(head) => self.value_at(head, at),
            None => Ok(None),
        }
    }

    fn value_at(&self, head: Head, at: Revision) -> rusqlite::Result<Option<KeyValue>> {
        if head.deleted && head.id.revision() <= at {
            return Ok(None);
        }
        match query::in_force(self.connection, head.id, at)? {
            Some(id) => query::written(self.connection, id),
            None => Ok(None),
        }
    }

    fn page(&self, range: &Range, at: Revision) -> rusqlite::Result<Page> {
        let mut page = Page { items: Vec::new(), revision: at, more: false, remaining: 0 };
        let start = first_key(range);
        let end = range.span.end().map_or(BEHIND_ALL_KEYS, str::as_bytes);
        let limit = if range.limit == 0 { usize::MAX } else { range.limit };
        if range.content == Content::CountOnly {
            page.remaining = self.count(&start, end, at)?;
        } else if let Some(rest) = self.fill(&mut page.items, (&start, end), at, limit, range.content)? {
            page.remaining = self.count(&rest, end, at)?;
        }
        page.more = page.remaining > 0;
        Ok(page)
    }

    /// Collects up to `limit` keys. Returns the first key that found no room.
    fn fill(
        &self,
        items: &mut Vec<KeyValue>,
        (start, end): (&[u8], &[u8]),
        at: Revision,
        limit: usize,
        content: Content,
    ) -> rusqlite::Result<Option<Vec<u8>>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT k.key, k.id, k.deleted, h.create_revision, h.version, h.value
             FROM keys k LEFT JOIN history h ON h.id = k.id
             WHERE k.key >= ?1 AND k.key < ?2 ORDER BY k.key",
        )?;
        let mut rows = statement.query((start, end))?;
        while let Some(row) = rows.next()? {
            if items.len() == limit {
                return Ok(Some(row.get_ref(0)?.as_blob()?.to_vec()));
            }
            let head = Head { id: ChangeId(row.get(1)?), deleted: row.get(2)? };
            let item = match (head.id.revision() <= at, head.deleted) {
                (true, true) => None,
                (true, false) => Some(latest(row, head.id, content)?),
                (false, _) => self.value_at(head, at)?.map(|kv| reduced(kv, content)),
            };
            items.extend(item);
        }
        Ok(None)
    }

    fn count(&self, start: &[u8], end: &[u8], at: Revision) -> rusqlite::Result<u64> {
        let behind = ChangeId::behind(at).0;
        let mut unchanged = self
            .connection
            .prepare_cached("SELECT count(*) FROM keys WHERE key >= ?1 AND key < ?2 AND id < ?3 AND deleted = 0")?;
        let mut count = unchanged.query_row((start, end, behind), |row| row.get::<_, i64>(0))? as u64;
        if at < self.position.revision {
            let mut changed =
                self.connection.prepare_cached("SELECT id FROM keys WHERE key >= ?1 AND key < ?2 AND id >= ?3")?;
            let mut rows = changed.query((start, end, behind))?;
            while let Some(row) = rows.next()? {
                let before = query::in_force(self.connection, ChangeId(row.get(0)?), at)?;
                let existed = before.map_or(Ok(false), |id| query::is_put(self.connection, id))?;
                count += u64::from(existed);
            }
        }
        Ok(count)
    }

    fn batch(&self, prefix: &str, after: Revision) -> rusqlite::Result<Batch> {
        let mut statement = self.connection.prepare_cached(
            "SELECT key, id, prev, create_revision, version, value FROM history WHERE id >= ?1 ORDER BY id",
        )?;
        let mut rows = statement.query([ChangeId::behind(after).0])?;
        let mut batch = Batch { revision: after, events: Vec::new() };
        let (mut bytes, mut scanned) = (0, 0);
        while let Some(row) = rows.next()? {
            let id = ChangeId(row.get(1)?);
            if id.revision() > batch.revision && (bytes >= BATCH_BYTES || scanned >= BATCH_SCANNED) {
                return Ok(batch);
            }
            batch.revision = id.revision();
            scanned += 1;
            if row.get_ref(0)?.as_blob()?.starts_with(prefix.as_bytes()) {
                let event = self.event(row, id)?;
                bytes += event.weight();
                batch.events.push(Arc::new(event));
            }
        }
        batch.revision = self.position.revision;
        Ok(batch)
    }

    fn event(&self, row: &Row<'_>, id: ChangeId) -> rusqlite::Result<Event> {
        let prev = match row.get::<_, Option<i64>>(2)? {
            Some(prev) => query::written(self.connection, ChangeId(prev))?,
            None => None,
        };
        let value = row.get_ref(5)?.as_blob_or_null()?;
        let kv = KeyValue {
            key: query::key(row, 0)?,
            value: value.map(Bytes::copy_from_slice).unwrap_or_default(),
            create_revision: query::revision(row, 3)?,
            mod_revision: id.revision(),
            version: query::version(row, 4)?,
        };
        let kind = if value.is_some() { EventKind::Put } else { EventKind::Delete };
        Ok(Event { kind, kv, prev })
    }
}

/// The least key that a range may return.
fn first_key(range: &Range) -> Vec<u8> {
    match range.after.as_deref() {
        // A key and a zero byte is the next greater key.
        Some(after) if after >= range.span.start() => [after.as_bytes(), &[0]].concat(),
        _ => range.span.start().as_bytes().to_vec(),
    }
}

/// A key's last change, from a row of the page statement. Columns that are not wanted are not read.
fn latest(row: &Row<'_>, id: ChangeId, content: Content) -> rusqlite::Result<KeyValue> {
    let value = match content {
        Content::Values => Bytes::copy_from_slice(row.get_ref(5)?.as_blob()?),
        Content::KeysOnly | Content::CountOnly => Bytes::new(),
    };
    Ok(KeyValue {
        key: query::key(row, 0)?,
        value,
        create_revision: query::revision(row, 3)?,
        mod_revision: id.revision(),
        version: query::version(row, 4)?,
    })
}

fn reduced(kv: KeyValue, content: Content) -> KeyValue {
    match content {
        Content::Values => kv,
        Content::KeysOnly | Content::CountOnly => KeyValue { value: Bytes::new(), ..kv },
    }
}
