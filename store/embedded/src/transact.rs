//! Applies one transaction inside an open SQLite transaction.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Connection;
use store_core::{Event, EventKind, Key, KeyValue, Op, Revision, Txn, TxnOutcome};

use crate::{
    query::{Head, head, written},
    schema::ChangeId,
};

/// What a transaction did. It changed something exactly when there are events.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) outcome: TxnOutcome,
    pub(crate) events: Vec<Arc<Event>>,
}

/// Applies a checked transaction to the state at `revision`.
pub(crate) fn apply(connection: &Connection, txn: &Txn, revision: Revision) -> rusqlite::Result<Applied> {
    let heads = txn.compare.iter().map(|compare| live(connection, &compare.key)).collect::<Result<Vec<_>, _>>()?;
    let mut comparisons = txn.compare.iter().zip(&heads);
    let succeeded = comparisons.all(|(compare, head)| compare.holds(head.map(|head| head.id.revision())));
    let (ops, current) = if succeeded {
        (&txn.success, Vec::new())
    } else {
        let value = |head: &Option<Head>| head.map_or(Ok(None), |head| written(connection, head.id));
        (&txn.failure, heads.iter().map(value).collect::<Result<_, _>>()?)
    };
    let mut events = Vec::with_capacity(ops.len());
    for op in ops {
        let id = ChangeId::new(revision.next(), events.len());
        events.extend(change(connection, op, id)?.map(Arc::new));
    }
    let revision = if events.is_empty() { revision } else { revision.next() };
    Ok(Applied { outcome: TxnOutcome { succeeded, revision, current }, events })
}

fn live(connection: &Connection, key: &str) -> rusqlite::Result<Option<Head>> {
    Ok(head(connection, key)?.filter(|head| !head.deleted))
}

/// Makes one change, unless it deletes what is not there.
fn change(connection: &Connection, op: &Op, id: ChangeId) -> rusqlite::Result<Option<Event>> {
    let last = head(connection, op.key())?;
    let prev = match last {
        Some(Head { id, deleted: false }) => written(connection, id)?,
        _ => None,
    };
    let (kind, key, value) = match (op, &prev) {
        (Op::Put { key, value }, _) => (EventKind::Put, key, Some(value)),
        (Op::Delete { key }, Some(_)) => (EventKind::Delete, key, None),
        (Op::Delete { .. }, None) => return Ok(None),
    };
    let kv = after(kind, key, value, prev.as_ref(), id.revision());
    append(connection, id, last.map(|head| head.id), &kv, value)?;
    point(connection, key, Head { id, deleted: value.is_none() })?;
    Ok(Some(Event { kind, kv, prev }))
}

fn after(kind: EventKind, key: &Key, value: Option<&Bytes>, prev: Option<&KeyValue>, revision: Revision) -> KeyValue {
    let (create_revision, version) = match (kind, prev) {
        (EventKind::Delete, _) => (Revision::ZERO, 0),
        (EventKind::Put, Some(prev)) => (prev.create_revision, prev.version + 1),
        (EventKind::Put, None) => (revision, 1),
    };
    let value = value.cloned().unwrap_or_default();
    KeyValue { key: key.clone(), value, create_revision, mod_revision: revision, version }
}

fn append(
    connection: &Connection,
    id: ChangeId,
    prev: Option<ChangeId>,
    kv: &KeyValue,
    value: Option<&Bytes>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO history (id, prev, key, create_revision, version, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let (create, version) = (kv.create_revision.0 as i64, kv.version as i64);
    statement
        .execute((id.0, prev.map(|prev| prev.0), kv.key.as_bytes(), create, version, value.map(|value| &value[..])))
        .map(|_| ())
}

fn point(connection: &Connection, key: &Key, head: Head) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO keys (key, id, deleted) VALUES (?1, ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET id = excluded.id, deleted = excluded.deleted",
    )?;
    statement.execute((key.as_bytes(), head.id.0, head.deleted)).map(|_| ())
}
