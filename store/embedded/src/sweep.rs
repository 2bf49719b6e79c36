//! Removes, a little at a time, what only compacted states need.
//!
//! A change up to the compacted revision makes the change before it unreadable, and a deletion up to there has nothing
//! left to hide. So a sweep walks the log once, from where it stopped to the compacted revision.

use rusqlite::Connection;

use crate::schema::{ChangeId, Position};

/// How much one step may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stride {
    pub(crate) changes: usize,
    pub(crate) bytes: usize,
}

impl Stride {
    /// Little enough that a write hardly notices waiting for it.
    pub(crate) const SHORT: Self = Self { changes: 128, bytes: 1 << 20 };

    /// Twice what was written since the last step: so a sweep ends, however much is being written.
    pub(crate) fn keeping_up_with(written: Self) -> Self {
        let Self { changes, bytes } = Self::SHORT;
        Self { changes: changes.max(2 * written.changes), bytes: bytes.max(2 * written.bytes) }
    }
}

pub(crate) fn is_due(position: &Position) -> bool {
    position.swept < ChangeId::last(position.compacted)
}

/// Sweeps on inside an open transaction. Returns up to where.
pub(crate) fn step(connection: &Connection, position: &Position, stride: Stride) -> rusqlite::Result<ChangeId> {
    let end = ChangeId::last(position.compacted);
    let mut select = connection.prepare_cached(
        "SELECT id, prev, value IS NULL, coalesce((SELECT length(p.value) FROM history p WHERE p.id = h.prev), 0)
         FROM history h WHERE id > ?1 AND id <= ?2 ORDER BY id",
    )?;
    let mut rows = select.query((position.swept.0, end.0))?;
    let (mut changes, mut bytes) = (Vec::new(), 0usize);
    let mut swept = end;
    while let Some(row) = rows.next()? {
        let (id, prev, deleted) = (row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, bool>(2)?);
        changes.push((id, prev, deleted));
        bytes += row.get::<_, i64>(3)? as usize;
        if changes.len() >= stride.changes || bytes >= stride.bytes {
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

#[cfg(test)]
mod tests {
    use store_core::{Op, Revision, Txn};

    use super::*;
    use crate::{fault::Site, schema, transact};

    fn count(connection: &Connection, table: &str) -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).unwrap()
    }

    /// Writes each key `writes` times, then deletes all but `live` of them, and sweeps at the end of it all.
    #[track_caller]
    fn check(keys: usize, writes: usize, live: usize, bytes: usize) {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("store.db");
        let (connection, mut position) = schema::open_writer(&file, &Site::new(&file)).unwrap();
        let names = (0..keys).map(|n| format!("/{n}")).collect::<Vec<_>>();
        let put = |name: &String| Op::put(name.as_str(), vec![0; bytes]);
        let mut txns = vec![Txn { success: names.iter().map(put).collect(), ..Txn::default() }; writes];
        txns.push(Txn {
            success: names[live..].iter().map(|name| Op::delete(name.as_str())).collect(),
            ..Txn::default()
        });
        for txn in &txns {
            position.revision = transact::apply(&connection, txn, position.revision).unwrap().outcome.revision;
        }
        assert_eq!(count(&connection, "keys"), keys as i64);
        position.compacted = position.revision;
        let mut steps = 0;
        while is_due(&position) {
            let swept = step(&connection, &position, Stride::SHORT).unwrap();
            assert!(swept > position.swept, "every step gets on");
            position.swept = swept;
            steps += 1;
        }
        let changes = keys * writes + keys - live;
        assert!(steps >= changes / Stride::SHORT.changes, "{steps} steps for {changes} changes are too big");
        assert_eq!(count(&connection, "keys"), live as i64);
        assert_eq!(count(&connection, "history"), live as i64);
        let last = transact::apply(&connection, &Txn::default().then(Op::put("/0", "")), position.revision).unwrap();
        assert_eq!(last.outcome.revision, Revision(position.revision.0 + 1), "and writing goes on");
    }

    #[test]
    fn only_the_last_version_of_a_live_key_stays() {
        check(10, 50, 3, 10);
    }

    #[test]
    fn a_revision_with_more_changes_than_a_step_is_swept() {
        check(Stride::SHORT.changes * 3, 2, Stride::SHORT.changes * 2, 10);
    }

    #[test]
    fn big_values_make_short_steps() {
        check(5, 4, 0, 300 << 10);
    }
}
