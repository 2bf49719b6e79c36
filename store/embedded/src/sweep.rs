//! Removes, a little at a time, what only compacted states need.
//!
//! A change up to the compacted revision makes the change before it unreadable, and a deletion up to there has nothing
//! left to hide. So a sweep walks the log once, from where it stopped to the compacted revision.

use rusqlite::Connection;

use crate::schema::{ChangeId, Position};

/// How much one step may do: little enough that a write hardly notices waiting for it.
const STEP_CHANGES: usize = 128;
const STEP_BYTES: i64 = 1 << 20;

pub(crate) fn is_due(position: &Position) -> bool {
    position.swept < ChangeId::last(position.compacted)
}

/// Sweeps on inside an open transaction. Returns up to where.
pub(crate) fn step(connection: &Connection, position: &Position) -> rusqlite::Result<ChangeId> {
    let end = ChangeId::last(position.compacted);
    let mut select = connection.prepare_cached(
        "SELECT id, prev, value IS NULL, coalesce((SELECT length(p.value) FROM history p WHERE p.id = h.prev), 0)
         FROM history h WHERE id > ?1 AND id <= ?2 ORDER BY id",
    )?;
    let mut rows = select.query((position.swept.0, end.0))?;
    let (mut changes, mut bytes) = (Vec::new(), 0);
    let mut swept = end;
    while let Some(row) = rows.next()? {
        let (id, prev, deleted) = (row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, bool>(2)?);
        changes.push((id, prev, deleted));
        bytes += row.get::<_, i64>(3)?;
        if changes.len() == STEP_CHANGES || bytes >= STEP_BYTES {
            swept = ChangeId(id);
            break;
        }
    }
    drop(rows);
    for (id, prev, deleted) in changes {
        if let Some(prev) = prev {
            remove(connection, prev)?;
        }
        if deleted {
            let mut forget = connection
                .prepare_cached("DELETE FROM keys WHERE id = ?1 AND key = (SELECT key FROM history WHERE id = ?1)")?;
            forget.execute([id])?;
            remove(connection, id)?;
        }
    }
    Ok(swept)
}

fn remove(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM history WHERE id = ?1")?.execute([id]).map(|_| ())
}
