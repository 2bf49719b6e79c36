//! The directory that a command keeps everything in. One that was made for a command that fails goes with it, as long as
//! nothing is in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lib_tls::create_private_dir;

pub(crate) struct DataDir {
    path: PathBuf,
    made_for_now: bool,
}

impl DataDir {
    /// Makes the directory, readable by nobody else, unless it is there.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let made_for_now = !path.exists();
        create_private_dir(path).with_context(|| format!("could not use the data directory {}", path.display()))?;
        Ok(Self { path: path.to_owned(), made_for_now })
    }

    /// Something is to stay in it.
    pub(crate) fn keep(mut self) {
        self.made_for_now = false;
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if self.made_for_now {
            // Refused where it is not empty, which is then as it should be.
            let _ = fs::remove_dir(&self.path);
        }
    }
}
