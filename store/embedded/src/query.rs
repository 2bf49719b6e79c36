//! The few statements that readers and the writer share.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, types::Type};
use store_core::{Key, KeyValue, Revision};

use crate::schema::ChangeId;

/// The last change of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: ChangeId,
    pub(crate) deleted: bool,
}

pub(crate) fn head(connection: &Connection, key: &str) -> rusqlite::Result<Option<Head>> {
    let mut statement = connection.prepare_cached("SELECT id, deleted FROM keys WHERE key = ?1")?;
    let head = |row: &Row<'_>| Ok(Head { id: ChangeId(row.get(0)?), deleted: row.get(1)? });
    statement.query_row([key.as_bytes()], head).optional()
}

/// What a change wrote; `None` when it was a deletion or is gone.
pub(crate) fn written(connection: &Connection, id: ChangeId) -> rusqlite::Result<Option<KeyValue>> {
    let mut statement =
        connection.prepare_cached("SELECT key, create_revision, version, value FROM history WHERE id = ?1")?;
    let key_value = |row: &Row<'_>| {
        let Some(value) = row.get_ref(3)?.as_blob_or_null()? else { return Ok(None) };
        Ok(Some(KeyValue {
            key: key(row, 0)?,
            value: Bytes::copy_from_slice(value),
            create_revision: revision(row, 1)?,
            mod_revision: id.revision(),
            version: version(row, 2)?,
        }))
    };
    Ok(statement.query_row([id.0], key_value).optional()?.flatten())
}

/// The change of the same key that was in force at a revision, found by walking back from a later one.
pub(crate) fn in_force(connection: &Connection, from: ChangeId, at: Revision) -> rusqlite::Result<Option<ChangeId>> {
    let mut statement = connection.prepare_cached("SELECT prev FROM history WHERE id = ?1")?;
    let mut id = from;
    while id.revision() > at {
        match statement.query_row([id.0], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten() {
            Some(prev) => id = ChangeId(prev),
            None => return Ok(None),
        }
    }
    Ok(Some(id))
}

/// Whether a change left the key in existence.
pub(crate) fn is_put(connection: &Connection, id: ChangeId) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT value IS NOT NULL FROM history WHERE id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get(0)).optional()?.unwrap_or(false))
}

pub(crate) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<Key> {
    let text = std::str::from_utf8(row.get_ref(column)?.as_blob()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, error.into()))?;
    Ok(Key::from(text))
}

pub(crate) fn revision(row: &Row<'_>, column: usize) -> rusqlite::Result<Revision> {
    row.get::<_, i64>(column).map(|revision| Revision(revision as u64))
}

pub(crate) fn version(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|version| version as u64)
}
