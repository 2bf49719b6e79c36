//! The data directory: private, and used by one process at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use store_core::Error;

/// A locked data directory. Dropping it gives up the lock.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The kernel releases the lock with the file, however the process ends. The file itself stays: removing it would
    /// let a third process lock a new one while a second still waits on the old.
    _lock: File,
}

impl Directory {
    /// Creates the directory if need be, makes it private and takes the lock.
    pub(crate) fn lock(path: &Path) -> Result<Self, Error> {
        let directory = Self::lock_only(path)?;
        // SQLite would create it for all to read; its other files take the mode of this one.
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(directory.database());
        opened.map_err(|source| Error::Unusable { directory: path.to_owned(), source: source.into() })?;
        Ok(directory)
    }

    /// As [`Self::lock`], without a file for the data.
    pub(crate) fn lock_only(path: &Path) -> Result<Self, Error> {
        let unusable = |source: io::Error| Error::Unusable { directory: path.to_owned(), source: source.into() };
        prepare(path).map_err(unusable)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { directory: path.to_owned(), holder: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        match sign(&mut lock) {
            // A full disk has no room for courtesies.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            signed => signed.map_err(unusable)?,
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The file that holds the data.
    pub(crate) fn database(&self) -> PathBuf {
        Self::database_in(&self.path)
    }

    /// The file that keeps room free.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    /// As [`Self::database`], of a directory that may be somebody else's.
    pub(crate) fn database_in(path: &Path) -> PathBuf {
        path.join("store.db")
    }
}

fn prepare(path: &Path) -> io::Result<()> {
    if !path.try_exists()? {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        // The entry of a new directory is durable only when its parent is synced.
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
    }
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Leaves our process id for whoever finds the directory locked. A courtesy: the lock itself does not depend on it.
fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
