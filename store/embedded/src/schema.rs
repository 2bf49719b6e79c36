//! The file: its tables, its version, and how connections to it are set up.
//!
//! `history` is a log: one row for each change of a key, in the order of the changes, found by an id made of the
//! revision and the position in its transaction. `prev` is the id of the same key's change before. `keys` holds the id
//! of each key's last change, deletions included until they are compacted.
//!
//! The usual layout has an index over (key, revision) instead. This one writes less (the log only grows at its end, and
//! `keys` rows are small), reads the current state without touching history, and makes compaction a walk along the log:
//! once a revision is compacted, the `prev` of each change up to it is what nobody can ask for any more.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};
use store_core::{Error, Revision};

use crate::fault::Site;

/// "ACPs": marks the file as ours.
const APPLICATION_ID: i32 = 0x4143_5073;
const VERSION: i32 = 1;
const POSITION_BITS: u32 = 12;
/// Beyond it a change has no id.
pub(crate) const LAST_REVISION: u64 = (1 << (63 - POSITION_BITS)) - 1;

const TABLES: &str = "
    CREATE TABLE history (
        id              INTEGER PRIMARY KEY,
        prev            INTEGER,
        key             BLOB NOT NULL,
        create_revision INTEGER NOT NULL,
        version         INTEGER NOT NULL,
        value           BLOB -- NULL when the key was deleted
    ) STRICT;
    CREATE TABLE keys (
        key     BLOB PRIMARY KEY,
        id      INTEGER NOT NULL,
        deleted INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE position (
        one       INTEGER PRIMARY KEY CHECK (one = 1),
        revision  INTEGER NOT NULL,
        compacted INTEGER NOT NULL,
        swept     INTEGER NOT NULL
    ) STRICT;
    INSERT INTO position VALUES (1, 1, 0, 0);
";

/// How far the store has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The last change.
    pub(crate) revision: Revision,
    /// Nothing before this may be read.
    pub(crate) compacted: Revision,
    /// Up to this change, what only compacted states need is removed.
    pub(crate) swept: ChangeId,
}

/// Where a change stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChangeId(pub(crate) i64);

impl ChangeId {
    /// The change of a transaction at a position, which is less than `store_core::MAX_TXN_OPS`.
    pub(crate) fn new(revision: Revision, position: usize) -> Self {
        debug_assert!(position < 1 << POSITION_BITS, "a transaction has fewer changes than positions");
        Self(((revision.0 << POSITION_BITS) | position as u64) as i64)
    }

    /// The first id behind everything at or before a revision.
    pub(crate) fn behind(revision: Revision) -> Self {
        Self::new(revision.next(), 0)
    }

    /// The last id at or before a revision.
    pub(crate) fn last(revision: Revision) -> Self {
        Self(Self::behind(revision).0 - 1)
    }

    pub(crate) fn revision(self) -> Revision {
        Revision((self.0 >> POSITION_BITS) as u64)
    }
}

const _: () = assert!(store_core::MAX_TXN_OPS <= 1 << POSITION_BITS);

/// Opens the one connection that writes; creates the tables in an empty file.
pub(crate) fn open_writer(file: &Path, site: &Site) -> Result<(Connection, Position), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).map_err(site.told("open the store's file"))?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(site.told("set up the store's file"))?;
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0));
    let fresh = tables.map_err(site.told("read the store's tables"))? == 0;
    if !fresh {
        check_format(&connection, file, site)?;
    }
    set_up(&mut connection, fresh).map_err(site.told("set up the store's file"))?;
    let position = read_position(&connection).map_err(site.told("read the store's position"))?;
    let last = connection
        .query_row("SELECT max(id) FROM history", (), |row| row.get::<_, Option<i64>>(0))
        .map_err(site.told("read the store's last change"))?;
    if last.is_some_and(|id| ChangeId(id).revision() > position.revision) {
        return Err(site.corrupt("there are changes after the last revision"));
    }
    Ok((connection, position))
}

fn set_up(connection: &mut Connection, fresh: bool) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -2048)?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(32);
    if fresh {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    Ok(())
}

pub(crate) fn check_format(connection: &Connection, file: &Path, site: &Site) -> Result<(), Error> {
    let pragma = |name: &str| {
        let value = connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        value.map_err(site.told("read the store's format"))
    };
    let found = (pragma("application_id")?, pragma("user_version")?);
    if found == (APPLICATION_ID, VERSION) {
        return Ok(());
    }
    let name = |(application, version): (i32, i32)| match application {
        APPLICATION_ID => version.to_string(),
        other => format!("{version} of application {other:#x}"),
    };
    Err(Error::Format { path: file.to_owned(), found: name(found), supported: name((APPLICATION_ID, VERSION)) })
}

/// Opens a connection that only reads.
pub(crate) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "cache_size", -2048)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

pub(crate) fn read_position(connection: &Connection) -> rusqlite::Result<Position> {
    let mut statement = connection.prepare_cached("SELECT revision, compacted, swept FROM position")?;
    statement.query_row((), |row| {
        let revision = |column| row.get::<_, i64>(column).map(|n| Revision(n as u64));
        Ok(Position { revision: revision(0)?, compacted: revision(1)?, swept: ChangeId(row.get(2)?) })
    })
}

pub(crate) fn write_position(connection: &Connection, position: Position) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE position SET revision = ?1, compacted = ?2, swept = ?3 WHERE one = 1")?;
    let Position { revision, compacted, swept } = position;
    statement.execute((revision.0 as i64, compacted.0 as i64, swept.0)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_synced() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("store.db");
        for _fresh_then_again in 0..2 {
            let (connection, _) = open_writer(&file, &Site::new(&file)).unwrap();
            let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0));
            let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            assert_eq!(pragma("journal_mode").unwrap(), "wal");
            assert_eq!(number("synchronous").unwrap(), 2, "FULL");
        }
    }

    #[test]
    fn change_ids_order_as_revisions_and_positions() {
        let id = ChangeId::new(Revision(7), store_core::MAX_TXN_OPS - 1);
        assert_eq!(id.revision(), Revision(7));
        assert!(ChangeId::new(Revision(7), 0) < id);
        assert!(id <= ChangeId::last(Revision(7)));
        assert!(ChangeId::last(Revision(7)) < ChangeId::behind(Revision(7)));
        assert_eq!(ChangeId::behind(Revision(7)), ChangeId::new(Revision(8), 0));
    }
}
