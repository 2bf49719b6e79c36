//! What time it is on a host, which a test can change while programs run there.
//!
//! Only the time of day: how long something lasts stays as it is, as when somebody sets a machine's clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The clock of one host, or of several.
pub struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// One that is right.
    ///
    /// # Panics
    /// When libfaketime is not installed.
    pub fn new(folder: &Path) -> Self {
        let clock = Self { library: library(), offset: folder.join("clock") };
        clock.step("+0");
        clock
    }

    /// By how much it is ahead from now on, in the words of libfaketime: `+1h`, `+1y`.
    ///
    /// # Panics
    /// When it cannot be set.
    pub fn step(&self, by: &str) {
        let written = self.offset.with_extension("next");
        fs::write(&written, by).and_then(|()| fs::rename(&written, &self.offset)).expect("a clock can be set");
    }

    /// Has a program look at this clock.
    pub fn show(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.offset)
            // The default is to look again after ten.
            .env("FAKETIME_CACHE_DURATION", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

/// Where Debian puts it: below the folder of the machine's kind.
fn library() -> PathBuf {
    let kinds = fs::read_dir("/usr/lib").expect("there are libraries").flatten();
    let found = kinds.map(|kind| kind.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.is_file());
    found.expect("libfaketime is installed; `cargo xtask tools` does it")
}
