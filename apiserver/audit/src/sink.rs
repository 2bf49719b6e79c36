//! From events to bytes on disk: one thread that writes, and a bounded way to it.
//!
//! Whoever has a line waits until it is written. What came in meanwhile is
//! written at once with it, so a hundred requests pay for one write.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::file::{FileOptions, RotatingFile};

/// How many bytes of lines may wait. A longer line waits alone.
const ROOM: u32 = 64 << 20;
const QUEUE: usize = 4096;
/// How many bytes are written at once.
const BATCH: usize = 1 << 20;

/// What happens to requests when events cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They go on; the loss is counted and logged.
    #[default]
    Blocking,
    /// They are refused when the first event of a request is lost.
    BlockingStrict,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Stdout,
    File(FileOptions),
}

/// An event was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit event could not be written")]
pub struct Lost;

struct Line {
    bytes: Vec<u8>,
    written: oneshot::Sender<bool>,
}

/// The way to the writer.
pub struct Sink {
    lines: mpsc::Sender<Line>,
    room: Arc<Semaphore>,
    /// Events whose request is over already: of streams that were dropped.
    late: TaskTracker,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[cfg(test)]
type Write = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

enum Target {
    Stdout(io::Stdout),
    File(RotatingFile),
    #[cfg(test)]
    Test(Write),
}

impl Target {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(out) => {
                let mut out = out.lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::File(file) => file.write(lines, Timestamp::now()),
            #[cfg(test)]
            Self::Test(write) => write(lines),
        }
    }
}

impl Sink {
    /// # Errors
    ///
    /// The file cannot be opened for writing.
    pub fn open(output: Output) -> io::Result<Self> {
        let target = match output {
            Output::Stdout => Target::Stdout(io::stdout()),
            Output::File(options) => Target::File(RotatingFile::open(options)?),
        };
        Self::with(target)
    }

    fn with(target: Target) -> io::Result<Self> {
        let (lines, queue) = mpsc::channel(QUEUE);
        let writer = std::thread::Builder::new().name("audit".into()).spawn(move || run(target, queue))?;
        Ok(Self {
            lines,
            room: Arc::new(Semaphore::new(ROOM as usize)),
            late: TaskTracker::new(),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Returns when the line is written. It brings its end of line along.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub async fn write(&self, bytes: Vec<u8>) -> Result<(), Lost> {
        let weight = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(ROOM);
        let _room = self.room.acquire_many(weight).await.map_err(|_| Lost)?;
        let (written, done) = oneshot::channel();
        self.lines.send(Line { bytes, written }).await.map_err(|_| Lost)?;
        if done.await == Ok(true) { Ok(()) } else { Err(Lost) }
    }

    /// Runs what writes the last event of a request that nobody waits for any more.
    pub(crate) fn later(&self, task: impl Future<Output = ()> + Send + 'static) {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.late.spawn(task);
        }
    }

    /// Returns when all that was begun is written.
    pub async fn close(&self) {
        self.late.close();
        self.late.wait().await;
        // Closing the room ends whoever still waits for it; the writer ends with the last line.
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (written, done) = oneshot::channel();
        let last = Line { bytes: Vec::new(), written };
        if writer.is_some() && self.lines.send(last).await.is_ok() {
            let _ = done.await;
        }
        self.room.close();
    }
}

fn run(mut target: Target, mut queue: mpsc::Receiver<Line>) {
    let mut failing = false;
    while let Some(first) = queue.blocking_recv() {
        let mut batch = first.bytes;
        let mut waiting = vec![first.written];
        while batch.len() < BATCH
            && let Ok(line) = queue.try_recv()
        {
            batch.extend_from_slice(&line.bytes);
            waiting.push(line.written);
        }
        let result = target.write(&batch);
        match &result {
            Err(error) if !failing => {
                tracing::error!(error = %error, events = waiting.len(), "audit events could not be written");
            }
            Ok(()) if failing => tracing::info!("audit events are written again"),
            _ => {}
        }
        failing = result.is_err();
        for written in waiting {
            let _ = written.send(!failing);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc as threads;

    use super::*;

    /// A sink whose every write waits for the other end to say whether it succeeds.
    pub(crate) fn controlled() -> (Sink, threads::Sender<bool>, threads::Receiver<String>) {
        let (answer, answers) = threads::channel::<bool>();
        let (wrote, written) = threads::channel::<String>();
        let write = move |lines: &[u8]| {
            let succeeds = answers.recv().unwrap_or(false);
            if !succeeds {
                return Err(io::Error::other("the disk is full"));
            }
            let _ = wrote.send(String::from_utf8_lossy(lines).into_owned());
            Ok(())
        };
        (Sink::with(Target::Test(Box::new(write))).unwrap(), answer, written)
    }

    #[tokio::test]
    async fn threat_75_a_slow_disk_holds_writers_up_and_loses_nothing() {
        let (sink, answer, written) = controlled();
        let sink = Arc::new(sink);
        let mut writers = tokio::task::JoinSet::new();
        for n in 0..5000 {
            let sink = sink.clone();
            writers.spawn(async move { sink.write(format!("{n}\n").into_bytes()).await });
        }
        tokio::task::yield_now().await;
        assert!(writers.try_join_next().is_none(), "nobody goes on before the disk does");
        let all = writers.join_all();
        // One word for each batch there can be.
        for _ in 0..5000 {
            answer.send(true).unwrap();
        }
        assert!(all.await.iter().all(Result::is_ok));
        let mut lines: Vec<u32> =
            written.try_iter().flat_map(|b| b.lines().map(|l| l.parse().unwrap()).collect::<Vec<u32>>()).collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..5000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_loss_is_told() {
        let (sink, answer, written) = controlled();
        answer.send(false).unwrap();
        assert_eq!(sink.write(b"a\n".to_vec()).await, Err(Lost));
        answer.send(true).unwrap();
        assert_eq!(sink.write(b"b\n".to_vec()).await, Ok(()));
        assert_eq!(written.recv().unwrap(), "b\n");
    }

    #[tokio::test]
    async fn closing_waits_for_what_was_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let options =
            FileOptions { path: path.clone(), max_bytes: 0, max_backups: 0, max_age: std::time::Duration::ZERO };
        let sink = Arc::new(Sink::open(Output::File(options)).unwrap());
        for n in 0..100 {
            let late = sink.clone();
            sink.later(async move {
                let _ = late.write(format!("{n}\n").into_bytes()).await;
            });
        }
        sink.close().await;
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 100);
        assert_eq!(sink.write(b"x\n".to_vec()).await, Err(Lost));
    }
}
