//! What SQLite's errors mean to a store.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use store_core::Error;

/// Where an error happened, to say so.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    file: PathBuf,
    directory: PathBuf,
}

impl Site {
    pub(crate) fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), directory: file.parent().unwrap_or(file).to_owned() }
    }

    pub(crate) fn over_quota(&self, limit: u64) -> Error {
        Error::OverQuota { directory: self.directory.clone(), limit }
    }

    pub(crate) fn disk_full(&self) -> Error {
        Error::DiskFull { directory: self.directory.clone() }
    }

    pub(crate) fn corrupt(&self, found: &'static str) -> Error {
        Error::Corrupt { path: self.file.clone(), source: found.into() }
    }

    /// Says what a failed statement means.
    pub(crate) fn told(&self, doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
        move |error| match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => self.disk_full(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Error::Corrupt { path: self.file.clone(), source: error.into() }
            }
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Error::Unusable { directory: self.directory.clone(), source: error.into() }
            }
            _ => Error::Backend { doing, source: error.into() },
        }
    }
}
