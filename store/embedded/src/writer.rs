//! The one thread that writes.
//!
//! It commits in groups: whatever waits when a commit ends goes into the next, so many writers share one sync to the
//! disk, and a single one does not wait for company. When a group fails, each of its transactions is tried alone, so
//! that one that does not fit on the disk fails alone.
//!
//! Between groups it sweeps up after compaction, in small steps: more the more is being written, so that it gets on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;
use store_core::{Error, Event, Op, Revision, Txn, TxnOutcome, fanout::Fanout};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{
    Options,
    directory::Directory,
    fault::Site,
    reserve::Reserve,
    retention::Growth,
    schema::{self, Position},
    sweep::{self, Stride},
    transact::{self, Applied},
};

/// Transactions that wait for the writer, and their size. Callers wait in line beyond that.
const QUEUE: usize = 1024;
const QUEUE_KIB: u32 = 64 << 10;
/// How much is committed at once.
const GROUP: usize = 256;
const GROUP_KIB: u32 = 8 << 10;
/// While transactions keep waiting, a step of sweeping comes after so many groups, or so many changes.
const GROUPS_BETWEEN_SWEEPS: u32 = 16;
const CHANGES_BETWEEN_SWEEPS: usize = 128;
/// What a change takes in the history beside its key and value.
const ROW_BYTES: usize = 32;
/// Free pages that let the data take one more group without growing, while the reserve is out.
const FREE_BYTES: u64 = 2 * ((GROUP_KIB as u64) << 10);

/// What the writing thread owns.
pub(crate) struct Disk {
    pub(crate) directory: Directory,
    pub(crate) connection: Connection,
    pub(crate) reserve: Reserve,
}

/// A handle to the writing thread. The thread ends when the handle is closed or dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    closed: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Command {
    Txn { txn: Txn, answer: Answer<TxnOutcome>, room: OwnedSemaphorePermit },
    Compact { revision: Revision, answer: Answer<()> },
    Close,
}

type Answer<T> = oneshot::Sender<Result<T, Error>>;

impl Writer {
    pub(crate) fn start(
        disk: Disk,
        position: Position,
        growth: Arc<Growth>,
        fanout: Arc<Fanout>,
        options: &Options,
    ) -> Result<Self, Error> {
        let (commands, queue) = mpsc::channel(QUEUE);
        let Disk { directory, connection, reserve } = disk;
        let site = Site::new(&directory.database());
        let thread = Thread {
            queue,
            connection,
            position,
            site,
            max_bytes: options.max_bytes,
            fanout: CloseOnDrop(fanout),
            reserve,
            growth,
            groups_since_sweep: 0,
            unswept: Stride { changes: 0, bytes: 0 },
            _directory: directory,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || thread.run())
            .map_err(|source| Error::Backend { doing: "start the writing thread", source: source.into() })?;
        Ok(Self {
            commands,
            room: Arc::new(Semaphore::new(QUEUE_KIB as usize)),
            closed: AtomicBool::new(false),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn if_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    pub(crate) async fn txn(&self, txn: Txn) -> Result<TxnOutcome, Error> {
        let weight = kib(&txn).min(QUEUE_KIB);
        let room = Arc::clone(&self.room).acquire_many_owned(weight).await.map_err(|_| Error::Closed)?;
        self.ask(|answer| Command::Txn { txn, answer, room }).await
    }

    pub(crate) async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.ask(|answer| Command::Compact { revision, answer }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, Error> {
        self.if_open()?;
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Commits what waits, then releases the file and the directory.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.closed.store(true, Ordering::Release);
        // Held while waiting, so that a second caller returns no sooner than the first.
        let mut thread = self.thread.lock().await;
        let Some(handle) = thread.take() else { return Ok(()) };
        // A failure means that the thread has ended already.
        self.commands.send(Command::Close).await.ok();
        let joined = tokio::task::spawn_blocking(move || handle.join()).await;
        match joined {
            Ok(Ok(())) => Ok(()),
            _ => Err(Error::Backend { doing: "end the writing thread", source: "it panicked".into() }),
        }
    }
}

/// The size of a transaction, in KiB and at least one.
fn kib(txn: &Txn) -> u32 {
    let bytes = |op: &Op| match op {
        Op::Put { key, value } => key.len() + value.len(),
        Op::Delete { key } => key.len(),
    };
    let bytes = txn.success.iter().chain(&txn.failure).map(bytes).sum::<usize>();
    u32::try_from(bytes / 1024).unwrap_or(u32::MAX).saturating_add(1)
}

/// However the thread ends, no watcher is left waiting.
struct CloseOnDrop(Arc<Fanout>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Fields are dropped in order: the lock on the directory is given up last.
struct Thread {
    queue: mpsc::Receiver<Command>,
    connection: Connection,
    position: Position,
    site: Site,
    max_bytes: Option<u64>,
    fanout: CloseOnDrop,
    reserve: Reserve,
    growth: Arc<Growth>,
    groups_since_sweep: u32,
    /// What was written since the last step of sweeping.
    unswept: Stride,
    _directory: Directory,
}

/// What a command will be answered when the group is committed.
enum Prepared {
    Txn(Result<Applied, Error>),
    Compact(Result<(), Error>),
}

impl Thread {
    fn run(mut self) {
        while let Some(first) = self.next_command() {
            let (group, last) = self.gather(first);
            // Not between attempts: one that was given the room would lose it again.
            self.reserve.recover();
            self.commit_group(group);
            if last {
                break;
            }
            self.groups_since_sweep += 1;
            let much = self.unswept.changes >= CHANGES_BETWEEN_SWEEPS;
            if much || self.groups_since_sweep >= GROUPS_BETWEEN_SWEEPS {
                self.sweep();
            }
        }
    }

    /// Waits for a command, and sweeps while there is none.
    fn next_command(&mut self) -> Option<Command> {
        loop {
            match self.queue.try_recv() {
                Ok(command) => return Some(command),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) if self.sweep() => {}
                Err(mpsc::error::TryRecvError::Empty) => return self.queue.blocking_recv(),
            }
        }
    }

    /// Takes what else waits. Says whether the store is to be closed after it.
    fn gather(&mut self, first: Command) -> (Vec<Command>, bool) {
        let (mut group, mut size) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(command) = next {
            match &command {
                Command::Close => return (group, true),
                Command::Txn { room, .. } => size += room.num_permits() as u32,
                Command::Compact { .. } => {}
            }
            group.push(command);
            let full = group.len() == GROUP || size >= GROUP_KIB;
            next = if full { None } else { self.queue.try_recv().ok() };
        }
        (group, false)
    }

    fn commit_group(&mut self, group: Vec<Command>) {
        match self.attempt(&group) {
            Ok(prepared) => answer_all(group, prepared),
            Err(error) => match <[Command; 1]>::try_from(group) {
                // What makes room may use the room that is kept for it.
                Ok([command])
                    if matches!(error, Error::DiskFull { .. }) && !command.may_grow() && self.reserve.release() =>
                {
                    self.commit_group(vec![command]);
                }
                Ok([command]) => command.fail(error),
                Err(group) => group.into_iter().for_each(|command| self.commit_group(vec![command])),
            },
        }
    }

    /// Applies and commits a group, and tells the watchers. On an error nothing has happened.
    fn attempt(&mut self, group: &[Command]) -> Result<Vec<Prepared>, Error> {
        let mut position = self.position;
        let begun = self.begin().and_then(|()| self.bound());
        let bound = begun.map_err(|error| self.roll_back(error, "begin to write"))?;
        let mut prepared = Vec::with_capacity(group.len());
        let mut events = Vec::new();
        for command in group {
            prepared.push(match command {
                Command::Txn { txn, .. } if bound != Bound::None && may_grow(txn) => Prepared::Txn(Err(match bound {
                    Bound::Quota(limit) => self.site.over_quota(limit),
                    Bound::Disk | Bound::None => self.site.disk_full(),
                })),
                Command::Txn { txn, .. } => {
                    let applied = transact::apply(&self.connection, txn, position.revision);
                    let applied = applied.map_err(|error| self.roll_back(error, "apply a transaction"))?;
                    position.revision = applied.outcome.revision;
                    events.extend(applied.events.iter().cloned());
                    Prepared::Txn(Ok(applied))
                }
                Command::Compact { revision, .. } => Prepared::Compact(compact(&mut position, *revision)),
                Command::Close => continue,
            });
        }
        self.commit(position).map_err(|error| self.roll_back(error, "commit"))?;
        self.tell(position, events);
        Ok(prepared)
    }

    fn begin(&self) -> rusqlite::Result<()> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute(()).map(|_| ())
    }

    fn commit(&self, position: Position) -> rusqlite::Result<()> {
        if position != self.position {
            schema::write_position(&self.connection, position)?;
        }
        self.connection.prepare_cached("COMMIT")?.execute(()).map(|_| ())
    }

    /// SQLite has rolled back by itself after some errors. If this fails, the next `begin` tries again.
    fn roll_back(&self, error: rusqlite::Error, doing: &'static str) -> Error {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "a failed write could not be rolled back yet");
        }
        self.site.told(doing)(error)
    }

    fn tell(&mut self, position: Position, events: Vec<Arc<Event>>) {
        let before = std::mem::replace(&mut self.position, position);
        if position.revision > before.revision {
            let bytes = events.iter().map(|event| event.kv.key.len() + event.kv.value.len()).sum::<usize>();
            self.unswept = Stride { changes: self.unswept.changes + events.len(), bytes: self.unswept.bytes + bytes };
            self.growth.add((bytes + events.len() * ROW_BYTES) as u64);
            self.fanout.0.publish(events, position.revision);
        }
        if position.compacted > before.compacted {
            self.fanout.0.forget(position.compacted);
        }
    }

    /// What keeps the data from growing now.
    fn bound(&self) -> rusqlite::Result<Bound> {
        if self.max_bytes.is_none() && !self.reserve.is_out() {
            return Ok(Bound::None);
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT (page_count - freelist_count) * page_size, freelist_count * page_size
             FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()",
        )?;
        let (used, free) =
            statement.query_row((), |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))?;
        Ok(match self.max_bytes {
            Some(limit) if used > limit => Bound::Quota(limit),
            _ if self.reserve.is_out() && free < FREE_BYTES => Bound::Disk,
            _ => Bound::None,
        })
    }

    /// Makes a step of sweeping; false when there was nothing to do or it failed.
    fn sweep(&mut self) -> bool {
        self.groups_since_sweep = 0;
        let written = std::mem::replace(&mut self.unswept, Stride { changes: 0, bytes: 0 });
        if !sweep::is_due(&self.position) {
            return false;
        }
        let stride = Stride::keeping_up_with(written);
        let swept = self.begin().and_then(|()| sweep::step(&self.connection, &self.position, stride));
        let swept = swept.and_then(|swept| {
            let position = Position { swept, ..self.position };
            self.commit(position).map(|()| position)
        });
        match swept {
            Ok(position) => {
                self.position = position;
                true
            }
            Err(error) => {
                let error = self.roll_back(error, "remove compacted history");
                if matches!(error, Error::DiskFull { .. }) && self.reserve.release() {
                    return true;
                }
                tracing::warn!(%error, "compacted history takes up space for longer");
                false
            }
        }
    }
}

/// What keeps the data from growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    None,
    Quota(u64),
    /// The disk was full, and what was kept for that is in use.
    Disk,
}

impl Command {
    /// Whether the data may take more room after it.
    fn may_grow(&self) -> bool {
        matches!(self, Self::Txn { txn, .. } if may_grow(txn))
    }

    // Whoever asked may have stopped waiting; then nobody hears the answer.
    fn fail(self, error: Error) {
        match self {
            Self::Txn { answer, .. } => answer.send(Err(error)).map_err(drop).ok(),
            Self::Compact { answer, .. } => answer.send(Err(error)).map_err(drop).ok(),
            Self::Close => None,
        };
    }

    fn succeed(self, prepared: Prepared) {
        match (self, prepared) {
            (Self::Txn { answer, .. }, Prepared::Txn(applied)) => {
                answer.send(applied.map(|applied| applied.outcome)).ok();
            }
            (Self::Compact { answer, .. }, Prepared::Compact(done)) => {
                answer.send(done).ok();
            }
            _ => debug_assert!(false, "each command has its own kind of answer"),
        }
    }
}

fn answer_all(group: Vec<Command>, prepared: Vec<Prepared>) {
    group.into_iter().zip(prepared).for_each(|(command, prepared)| command.succeed(prepared));
}

fn may_grow(txn: &Txn) -> bool {
    txn.success.iter().chain(&txn.failure).any(|op| matches!(op, Op::Put { .. }))
}

fn compact(position: &mut Position, requested: Revision) -> Result<(), Error> {
    if requested > position.revision {
        return Err(Error::FutureRevision { requested, current: position.revision });
    }
    if requested <= position.compacted {
        return Err(Error::Compacted { requested, compacted: position.compacted });
    }
    position.compacted = requested;
    Ok(())
}
