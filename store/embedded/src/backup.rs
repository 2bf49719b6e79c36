//! Snapshots: a store in one file, taken while a server runs, and put back where there is none.
//!
//! # Taking one
//!
//! The server's lock keeps a second writer out, and a snapshot only reads: SQLite's write-ahead log gives it one state
//! for as long as it takes, and the server goes on. The file is a compact copy made by `VACUUM INTO`, with a digest
//! behind it (SQLite itself does not notice a flipped bit in a value). It gets its name when it is whole and synced.
//!
//! # Putting one back
//!
//! A server that went on after the snapshot was taken has told its clients of revisions that the snapshot does not know.
//! They must not come again with other content, so a restored store starts far beyond them, with everything before
//! compacted: clients that watch are told so and list anew. This is etcd's `--bump-revision` with `--mark-compacted`.
//! How far is a matter of the clock, since the same snapshot may be put back twice.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use sha2::{Digest, Sha256};
use store_core::{BoxError, Error as StoreError, Revision};

use crate::{
    directory::Directory,
    fault::Site,
    schema::{self, Position},
};

/// What stands behind the data: this, and the SHA-256 of all before it.
const MARK: &[u8; 8] = b"ACPsnap1";
const DIGEST: usize = 32;
const TRAILER: u64 = (MARK.len() + DIGEST) as u64;

/// A restored store starts at least so far beyond the snapshot, ...
const BUMP: u64 = 1_000_000_000;
/// ... and at least at so many revisions for each second since 1970. No server writes as fast, so what an earlier
/// restored one wrote is behind.
const REVISIONS_A_SECOND: u64 = 100_000;

/// Why there is no snapshot, or no store from it. In either case nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to take a snapshot of.
    #[error("there is no store in {}", .0.display())]
    NoStore(PathBuf),
    /// The store cannot be read.
    #[error("could not read the store in {}", directory.display())]
    Source {
        /// Where it is.
        directory: PathBuf,
        /// What the layer below says.
        #[source]
        source: BoxError,
    },
    /// The snapshot's file cannot be written.
    #[error("could not write the snapshot {}", file.display())]
    Target {
        /// Its name.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: BoxError,
    },
    /// No room for the snapshot, or for the store from it.
    #[error("no space is left on the disk of {}", .0.display())]
    DiskFull(PathBuf),
    /// The snapshot's file cannot be read.
    #[error("could not read the snapshot {}", file.display())]
    Unreadable {
        /// Its name.
        file: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It is not a snapshot, or not a whole one.
    #[error("{} is not a whole snapshot: {found}", file.display())]
    Damaged {
        /// Its name.
        file: PathBuf,
        /// How it was noticed.
        found: String,
    },
    /// The place is taken.
    #[error("{} already has a store; a snapshot is restored only where there is none", .0.display())]
    NotEmpty(PathBuf),
    /// The store's own words: the directory is in use, cannot be used, or the format is another.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The restored store cannot be put in its place.
    #[error("could not put the store into {}", directory.display())]
    Place {
        /// Where it was to be.
        directory: PathBuf,
        /// What the system says.
        #[source]
        source: BoxError,
    },
}

/// What is in a snapshot, or in the store from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The store's revision.
    pub revision: Revision,
    /// How many keys there are.
    pub keys: u64,
    /// How large the file is.
    pub bytes: u64,
}

/// Writes a snapshot of the store in a directory, which a server may be using. A file of the name is replaced when the
/// new one is whole.
///
/// # Errors
///
/// See [`BackupError`]; nothing is left behind then.
pub fn save_snapshot(directory: &Path, file: &Path) -> Result<Contents, BackupError> {
    let database = Directory::database_in(directory);
    match fs::metadata(&database) {
        Ok(found) if found.len() > 0 => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(BackupError::Source { directory: directory.to_owned(), source: error.into() });
        }
        _ => return Err(BackupError::NoStore(directory.to_owned())),
    }
    let target = Unfinished::beside(file, "saving");
    // SQLite would create it for all to read.
    target.create().map_err(|error| failed_target(file, error))?;
    let (revision, keys) = copy(directory, &database, file, target.path())?;
    let bytes = seal(target.path()).map_err(|error| failed_target(file, error))?;
    target.become_file(file).map_err(|error| failed_target(file, error))?;
    Ok(Contents { revision, keys, bytes })
}

fn failed_target(file: &Path, error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            BackupError::DiskFull(file.to_owned())
        }
        _ => BackupError::Target { file: file.to_owned(), source: error.into() },
    }
}

/// Copies one state of the database into an empty file.
fn copy(directory: &Path, database: &Path, file: &Path, target: &Path) -> Result<(Revision, u64), BackupError> {
    let site = Site::new(database);
    let source = |error: rusqlite::Error| BackupError::Source { directory: directory.to_owned(), source: error.into() };
    let connection = schema::open_reader(database).map_err(source)?;
    schema::check_format(&connection, database, &site)?;
    // A path that is not text goes to SQLite as the bytes that it is.
    let name = std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str());
    let name = std::str::from_utf8(name).map_err(|error| BackupError::Target {
        file: file.to_owned(),
        source: format!("its path is not UTF-8: {error}").into(),
    })?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(|error| match error.sqlite_error_code() {
        // The source is only read, so it is the target's disk that is full.
        Some(ErrorCode::DiskFull) => BackupError::DiskFull(file.to_owned()),
        Some(
            ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure,
        ) => BackupError::Target { file: file.to_owned(), source: error.into() },
        _ => source(error),
    })?;
    let copied = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(source)?;
    contents(&copied).map_err(source)
}

fn contents(connection: &Connection) -> rusqlite::Result<(Revision, u64)> {
    let position = schema::read_position(connection)?;
    let keys = connection.query_row("SELECT count(*) FROM keys WHERE deleted = 0", (), |row| row.get::<_, i64>(0))?;
    Ok((position.revision, keys as u64))
}

/// Puts the digest behind the data, and all of it on the disk.
fn seal(path: &Path) -> io::Result<u64> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut digest = Sha256::new();
    let length = pour(&mut file, &mut io::sink(), &mut digest)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(MARK)?;
    file.write_all(&digest.finalize())?;
    file.sync_all()?;
    Ok(length + TRAILER)
}

/// Copies what is left of a reader, and takes the digest of it.
fn pour(from: &mut impl Read, to: &mut impl Write, digest: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(length),
            read => {
                digest.update(&buffer[..read]);
                to.write_all(&buffer[..read])?;
                length += read as u64;
            }
        }
    }
}

/// Makes a store from a snapshot, in a directory that has none.
///
/// # Errors
///
/// See [`BackupError`]; the directory is as it was then.
pub fn restore_snapshot(directory: &Path, file: &Path, now: SystemTime) -> Result<Contents, BackupError> {
    let mut snapshot = File::open(file).map_err(|source| BackupError::Unreadable { file: file.to_owned(), source })?;
    let length = whole_length(&mut snapshot, file)?;
    let made = Made::before(directory);
    let locked = Directory::lock_only(directory)?;
    if !is_vacant(directory).map_err(|error| failed_place(directory, error))? {
        return Err(BackupError::NotEmpty(directory.to_owned()));
    }
    let database = locked.database();
    let target = Unfinished::beside(&database, "restoring");
    let written = target.create().map_err(|error| failed_place(directory, error))?;
    extract(snapshot, length, file, written, directory)?;
    let (revision, keys) = adapt(target.path(), file, directory, now)?;
    let bytes = fs::metadata(target.path()).map_err(|error| failed_place(directory, error))?.len();
    target.become_file(&database).map_err(|error| failed_place(directory, error))?;
    made.stays();
    Ok(Contents { revision, keys, bytes })
}

fn failed_place(directory: &Path, error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            BackupError::DiskFull(directory.to_owned())
        }
        _ => BackupError::Place { directory: directory.to_owned(), source: error.into() },
    }
}

fn damaged(file: &Path, found: impl Into<String>) -> BackupError {
    BackupError::Damaged { file: file.to_owned(), found: found.into() }
}

/// How much data is in front of the digest.
fn whole_length(snapshot: &mut File, file: &Path) -> Result<u64, BackupError> {
    let unreadable = |source| BackupError::Unreadable { file: file.to_owned(), source };
    let length = snapshot.metadata().map_err(unreadable)?.len();
    let Some(data) = length.checked_sub(TRAILER) else { return Err(damaged(file, "it is too short")) };
    snapshot.seek(SeekFrom::Start(data)).map_err(unreadable)?;
    let mut mark = [0; MARK.len()];
    snapshot.read_exact(&mut mark).map_err(unreadable)?;
    if mark != *MARK {
        return Err(damaged(file, "it does not end as snapshots do; it was cut short, or is something else"));
    }
    snapshot.rewind().map_err(unreadable)?;
    Ok(data)
}

/// Copies the data and compares its digest.
fn extract(
    mut snapshot: File,
    length: u64,
    file: &Path,
    mut written: File,
    directory: &Path,
) -> Result<(), BackupError> {
    let unreadable = |source| BackupError::Unreadable { file: file.to_owned(), source };
    let mut digest = Sha256::new();
    let mut data = (&mut snapshot).take(length);
    let poured = pour(&mut data, &mut written, &mut digest).map_err(|error| failed_place(directory, error))?;
    let mut trailer = Vec::new();
    snapshot.read_to_end(&mut trailer).map_err(unreadable)?;
    let expected = trailer.get(MARK.len()..).unwrap_or_default();
    if poured != length || expected != digest.finalize().as_slice() {
        return Err(damaged(file, "its content is not what was saved"));
    }
    written.sync_all().map_err(|error| failed_place(directory, error))
}

/// Checks the database from within, and moves it on to where nobody has been.
fn adapt(database: &Path, file: &Path, directory: &Path, now: SystemTime) -> Result<(Revision, u64), BackupError> {
    let place = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => BackupError::DiskFull(directory.to_owned()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(file, error.to_string()),
        _ => BackupError::Place { directory: directory.to_owned(), source: error.into() },
    };
    let mut connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(place)?;
    schema::check_format(&connection, file, &Site::new(file))?;
    let verdict =
        connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get::<_, String>(0)).map_err(place)?;
    if verdict != "ok" {
        return Err(damaged(file, verdict));
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(place)?;
    let transaction = connection.transaction().map_err(place)?;
    let found = schema::read_position(&transaction).map_err(place)?;
    let Some(revision) = bumped(found.revision, now) else {
        return Err(damaged(file, format!("its revision {} leaves no room for more", found.revision)));
    };
    let position = Position { revision, compacted: revision, ..found };
    schema::write_position(&transaction, position).map_err(place)?;
    let contents = contents(&transaction).map_err(place)?;
    transaction.commit().map_err(place)?;
    connection.close().map_err(|(_, error)| place(error))?;
    Ok(contents)
}

/// Where a store from a snapshot of this revision begins.
fn bumped(revision: Revision, now: SystemTime) -> Option<Revision> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map(|age| age.as_secs()).unwrap_or_default();
    let by_clock = seconds.checked_mul(REVISIONS_A_SECOND)?;
    let bumped = revision.0.checked_add(BUMP)?.max(by_clock);
    (bumped < schema::LAST_REVISION).then_some(Revision(bumped))
}

/// Whether a directory has nothing but its lock, and what a restore that was killed left.
fn is_vacant(directory: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let known = name == "lock" || name.to_string_lossy().starts_with("store.db.restoring");
        if !known {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A file that goes away unless it is finished.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(file: &Path, doing: &str) -> Self {
        let mut name: OsString = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{doing}"));
        Self(file.with_file_name(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn create(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&self.0)
    }

    /// Takes the name, for good: the directory is synced too.
    fn become_file(self, file: &Path) -> io::Result<()> {
        fs::rename(&self.0, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Of a finished one nothing is left under these names.
        for suffix in ["", "-journal"] {
            let mut path = self.0.clone().into_os_string();
            path.push(suffix);
            fs::remove_file(path).ok();
        }
    }
}

/// A directory that goes away again if it was made for nothing.
struct Made(Option<PathBuf>);

impl Made {
    fn before(directory: &Path) -> Self {
        Self((!directory.exists()).then(|| directory.to_owned()))
    }

    fn stays(mut self) {
        self.0 = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(directory) = self.0.take() {
            fs::remove_file(directory.join("lock")).ok();
            fs::remove_dir(directory).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(revision: u64, seconds: u64, expect: Option<u64>) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(bumped(Revision(revision), now).map(|revision| revision.0), expect);
    }

    #[test]
    fn a_restored_store_begins_beyond_all_that_was_told() {
        check(500, 0, Some(1_000_000_500));
        check(500, 2_000_000_000, Some(200_000_000_000_000));
        // Restored before, and written to ever since.
        check(200_000_000_000_000 + 86_400 * 50_000, 2_000_086_400, Some(200_008_640_000_000));
        check(300_000_000_000_000, 2_000_000_000, Some(300_001_000_000_000));
    }

    #[test]
    fn there_is_an_end_to_revisions() {
        check(schema::LAST_REVISION - 1, 0, None);
        check(u64::MAX, 0, None);
        check(1, u64::MAX >> 1, None);
    }
}
