//! Room that is kept free for the way out of a full disk.
//!
//! Deleting needs room before it makes any: a change is first written to the log. So the directory holds a file of no
//! content, and on a full disk its room is given to deletions, to sweeping and to a start. What may make the data grow
//! waits until the file has its room again, or the data has free pages enough.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// For the index of the write-ahead log, and the log's first frames.
const START_BYTES: u64 = 256 << 10;

#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There was never room for it, or none is wanted.
    None,
    Held,
    /// It was needed, and its room is not back yet.
    Given,
}

impl Reserve {
    /// The reserve at a path, as an earlier process left it.
    pub(crate) fn found(path: PathBuf, bytes: u64) -> Self {
        let state = match path.metadata() {
            Ok(found) if bytes > 0 && found.len() >= bytes => State::Held,
            Ok(_) if bytes > 0 => State::Given,
            _ => State::None,
        };
        Self { path, bytes, state }
    }

    /// Makes one where there is none yet. A disk that is too small for it is used without.
    pub(crate) fn make(&mut self) {
        if self.state == State::None && self.bytes > 0 && !self.take() {
            std::fs::remove_file(&self.path).ok();
        }
    }

    /// Whether the room was given away and is not back yet.
    pub(crate) fn is_out(&self) -> bool {
        self.state == State::Given
    }

    /// Gives the room away; false when there is none to give.
    pub(crate) fn release(&mut self) -> bool {
        if self.state != State::Held {
            return false;
        }
        self.state = State::Given;
        match OpenOptions::new().write(true).open(&self.path).and_then(|file| file.set_len(0)) {
            Ok(()) => {
                tracing::warn!(bytes = self.bytes, "the disk is full; the store's reserve is used to make room");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the store's reserve could not be released");
                false
            }
        }
    }

    /// Takes the room back that was given away, if it is there.
    pub(crate) fn recover(&mut self) {
        if self.is_out() {
            self.take();
        }
    }

    fn take(&mut self) -> bool {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path);
        let taken = file.and_then(|file| {
            allocate(&file, self.bytes).inspect_err(|_| {
                // Half a reserve would only take away from what is left.
                file.set_len(0).ok();
            })
        });
        match taken {
            Ok(()) => self.state = State::Held,
            Err(error) => tracing::debug!(%error, "there is no room for the store's reserve"),
        }
        self.state == State::Held
    }
}

/// Whether the disk of a file has less room than SQLite needs to start.
pub(crate) fn is_exhausted(file: &Path) -> bool {
    rustix::fs::statvfs(file).is_ok_and(|disk| disk.f_bavail * disk.f_frsize < START_BYTES)
}

fn allocate(mut file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        done => return done.map_err(Into::into),
    }
    let piece = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let some = left.min(piece.len() as u64);
        file.write_all(&piece[..some as usize])?;
        left -= some;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_held_given_away_and_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("reserve");
        let length = || path.metadata().map(|found| found.len()).unwrap_or_default();
        let mut reserve = Reserve::found(path.clone(), 1 << 20);
        assert!(!reserve.is_out() && !reserve.release(), "there is nothing to give yet");
        reserve.recover();
        assert!(!path.exists(), "what was not given does not come back");
        reserve.make();
        assert_eq!((reserve.is_out(), length()), (false, 1 << 20));
        assert!(reserve.release());
        assert_eq!((reserve.is_out(), length()), (true, 0));
        assert!(!reserve.release(), "it is given once");
        let mut next = Reserve::found(path.clone(), 1 << 20);
        assert!(next.is_out(), "the next process knows");
        next.recover();
        assert_eq!((next.is_out(), length()), (false, 1 << 20));
        assert!(Reserve::found(path.clone(), 1 << 20).release());
    }

    #[test]
    fn there_may_be_none() {
        let home = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::found(home.path().join("reserve"), 0);
        reserve.make();
        assert!(!reserve.is_out() && !reserve.release());
        assert!(!home.path().join("reserve").exists());
    }
}
