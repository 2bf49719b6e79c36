//! The files: one for each session, private, replaced in one step, changed by one process at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{CachedToken, Owner};
use crate::env::Environment;
use crate::error::{BoxError, Error, Result};
use crate::kubeconfig::{make_private_dir, private_file, write_private};
use crate::text::Text;

/// Longer than whoever holds the lock may take to renew a token.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long to let others be before looking again.
const PAUSE: Duration = Duration::from_millis(10);

/// The cache file of a session. No name leaves the folder: the session's is encoded, the rest is a hash.
fn path(env: &Environment, owner: &Owner) -> Result<PathBuf> {
    let dir = env.cache_dir().ok_or_else(|| Error::told(Text::NoHome {}))?;
    let name = percent_encoding::utf8_percent_encode(&owner.session, percent_encoding::NON_ALPHANUMERIC);
    let whose = format!("{}\n{}", owner.platform_url, owner.username);
    let hash = ring::digest::digest(&ring::digest::SHA256, whose.as_bytes());
    let hash: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(dir.join("sessions").join(format!("{name}-{hash}.json")))
}

fn still_locked(env: &Environment, owner: &Owner) -> Result<Error> {
    Ok(Error::told(Text::CredentialsLocked { path: path(env, owner)?.display().to_string() }))
}

fn failed(path: &Path, error: impl Into<BoxError>) -> Error {
    Error::told(Text::CouldNotWriteFile { path: path.display().to_string() }).because(error)
}

/// Keeps a token.
pub fn store(env: &Environment, token: &CachedToken) -> Result<()> {
    Locked::take(env, &token.owner)?.store(token)
}

/// The owner's token, if one is kept.
pub fn load(env: &Environment, owner: &Owner) -> Option<CachedToken> {
    let text = std::fs::read(path(env, owner).ok()?).ok()?;
    let token: CachedToken = serde_json::from_slice(&text).ok()?;
    (token.owner == *owner).then_some(token)
}

/// Forgets the owner's token.
pub fn forget(env: &Environment, owner: &Owner) -> Result<()> {
    match path(env, owner)?.parent().is_some_and(Path::is_dir) {
        true => Locked::take(env, owner)?.forget(),
        false => Ok(()),
    }
}

/// The right to change one session's file.
///
/// The system gives the lock back when its process ends, however it ends. The file that is locked is gone with the
/// last token, so that nothing is left behind; whoever waited for it looks for the one that is there now.
pub(super) struct Locked {
    path: PathBuf,
    lock_path: PathBuf,
    /// Holds the lock.
    file: Option<File>,
}

impl Locked {
    /// Waits until nobody else changes the file.
    pub(super) fn take(env: &Environment, owner: &Owner) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::try_take(env, owner)? {
                Some(locked) => return Ok(locked),
                None if Instant::now() < deadline => std::thread::sleep(PAUSE),
                None => return Err(still_locked(env, owner)?),
            }
        }
    }

    /// The same, where the one who changes it may be another task of this process.
    pub(super) async fn wait(env: &Environment, owner: &Owner) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::try_take(env, owner)? {
                Some(locked) => return Ok(locked),
                None if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                None => return Err(still_locked(env, owner)?),
            }
        }
    }

    /// `None` while somebody else changes the file, or has just removed it.
    fn try_take(env: &Environment, owner: &Owner) -> Result<Option<Self>> {
        let path = path(env, owner)?;
        let lock_path = path.with_extension("lock");
        make_private_dir(path.parent().unwrap_or(Path::new("."))).map_err(|error| failed(&path, error))?;
        let file = private_file().create(true).truncate(false).open(&lock_path);
        let file = file.map_err(|error| failed(&lock_path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(is_at(&file, &lock_path).then_some(Self { path, lock_path, file: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(&lock_path, error)),
        }
    }

    /// Replaces the file.
    pub(super) fn store(&self, token: &CachedToken) -> Result<()> {
        let text = serde_json::to_vec(token).map_err(|error| failed(&self.path, error))?;
        write_private(&self.path, &text).map_err(|error| failed(&self.path, error))
    }

    /// Removes the file.
    pub(super) fn forget(mut self) -> Result<()> {
        let removed = std::fs::remove_file(&self.path);
        if cfg!(not(unix)) {
            // Elsewhere a file that is open cannot be removed.
            self.file = None;
        }
        // One that stays is used again.
        let _ = std::fs::remove_file(&self.lock_path);
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(&self.path, error)),
            _ => Ok(()),
        }
    }
}

/// Whether an open file is the one that a path names now.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::io::Result<std::fs::Metadata>| metadata.ok().map(|m| (m.dev(), m.ino()));
    let (open, named) = (identity(file.metadata()), identity(std::fs::metadata(path)));
    open.is_some() && open == named
}

/// A file that is open stays where it is.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}
