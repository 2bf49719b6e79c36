//! A log file that is set aside when it is full (upstream writes through `lumberjack`; names and limits are the same).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;

/// Where the log is and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    pub path: PathBuf,
    /// How large the file gets before it is set aside; 0 for never.
    pub max_bytes: u64,
    /// How many files set aside are kept; 0 for all.
    pub max_backups: usize,
    /// How long they are kept; zero for ever.
    pub max_age: Duration,
}

/// In the names of files set aside, as `lumberjack` writes it.
const STAMP: &str = "%Y-%m-%dT%H-%M-%S.%3f";

pub(crate) struct RotatingFile {
    options: FileOptions,
    file: File,
    size: u64,
    /// When the last file was set aside.
    last: Timestamp,
}

impl RotatingFile {
    /// Opens the file for appending. Only its owner may read it.
    pub(crate) fn open(options: FileOptions) -> io::Result<Self> {
        if let Some(folder) = options.path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = append(&options.path)?;
        let size = file.metadata()?.len();
        Ok(Self { options, file, size, last: Timestamp::UNIX_EPOCH })
    }

    /// Appends whole lines; they are never parted between two files.
    pub(crate) fn write(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        let max = self.options.max_bytes;
        if max > 0 && self.size > 0 && self.size + lines.len() as u64 > max {
            self.set_aside(now)?;
        }
        if let Err(error) = self.file.write_all(lines) {
            // A line of which a part is there would take the next one with it.
            self.file.set_len(self.size)?;
            return Err(error);
        }
        self.size += lines.len() as u64;
        Ok(())
    }

    fn set_aside(&mut self, now: Timestamp) -> io::Result<()> {
        // Later than the last one and over nothing that is there, even within a millisecond: names are their order.
        let mut stamp = now.max(self.last + Duration::from_millis(1));
        while self.backup(stamp).exists() {
            stamp += Duration::from_millis(1);
        }
        let backup = self.backup(stamp);
        self.last = stamp;
        fs::rename(&self.options.path, &backup)?;
        self.file = append(&self.options.path)?;
        self.size = 0;
        // Old files that stay cost space, not events.
        if let Err(error) = self.prune(now) {
            tracing::warn!(error = %error, "could not remove old audit logs");
        }
        Ok(())
    }

    fn backup(&self, at: Timestamp) -> PathBuf {
        let (stem, extension) = self.parts();
        let stamp = at.strftime(STAMP);
        self.options.path.with_file_name(format!("{stem}-{stamp}{extension}"))
    }

    /// `audit` and `.log`.
    fn parts(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let extension = match text(self.options.path.extension()) {
            none if none.is_empty() => none,
            some => format!(".{some}"),
        };
        (text(self.options.path.file_stem()), extension)
    }

    fn prune(&self, now: Timestamp) -> io::Result<()> {
        let folder = self.options.path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (stem, extension) = self.parts();
        let mut backups = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let stamp = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&*extension));
            if let Some(at) = stamp.and_then(parse_stamp) {
                backups.push((at, entry.path()));
            }
        }
        backups.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        for (index, (at, path)) in backups.iter().enumerate() {
            let too_many = self.options.max_backups > 0 && index >= self.options.max_backups;
            let age = Duration::try_from(now.duration_since(*at)).unwrap_or_default();
            if too_many || (!self.options.max_age.is_zero() && age > self.options.max_age) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn parse_stamp(text: &str) -> Option<Timestamp> {
    let parsed = strtime::parse("%Y-%m-%dT%H-%M-%S%.f", text).ok()?;
    parsed.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn options(folder: &Path) -> FileOptions {
        FileOptions {
            path: folder.join("logs").join("audit.log"),
            max_bytes: 10,
            max_backups: 0,
            max_age: Duration::ZERO,
        }
    }

    #[test]
    fn a_full_file_is_set_aside_whole() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let mut file = RotatingFile::open(options.clone()).unwrap();
        for second in 0..3 {
            file.write(b"12345678\n", at(second)).unwrap();
        }
        let folder = options.path.parent().unwrap();
        assert_eq!(
            names(folder),
            ["audit-2023-11-14T22-13-21.000.log", "audit-2023-11-14T22-13-22.000.log", "audit.log"]
        );
        for name in names(folder) {
            assert_eq!(fs::read(folder.join(&name)).unwrap(), b"12345678\n");
            assert_eq!(fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_was_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let options = FileOptions { max_bytes: 0, ..options(folder.path()) };
        for _ in 0..2 {
            RotatingFile::open(options.clone()).unwrap().write(b"12345678\n", at(0)).unwrap();
        }
        assert_eq!(fs::read(&options.path).unwrap(), b"12345678\n12345678\n");
    }

    #[test]
    fn old_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let options = FileOptions { max_backups: 2, ..options(folder.path()) };
        let mut file = RotatingFile::open(options.clone()).unwrap();
        let folder = options.path.parent().unwrap();
        fs::write(folder.join("audit-notes.log"), "not ours").unwrap();
        for _ in 0..5 {
            file.write(b"12345678\n", at(0)).unwrap();
        }
        assert_eq!(
            names(folder),
            ["audit-2023-11-14T22-13-20.002.log", "audit-2023-11-14T22-13-20.003.log", "audit-notes.log", "audit.log"]
        );
    }

    #[test]
    fn files_grow_too_old() {
        let folder = tempfile::tempdir().unwrap();
        let options = FileOptions { max_age: Duration::from_secs(60), ..options(folder.path()) };
        let mut file = RotatingFile::open(options.clone()).unwrap();
        for second in [0, 1, 100] {
            file.write(b"12345678\n", at(second)).unwrap();
        }
        assert_eq!(names(options.path.parent().unwrap()), ["audit-2023-11-14T22-15-00.000.log", "audit.log"]);
    }

    /// In a mount namespace, where no privilege is needed.
    #[test]
    fn a_full_disk_leaves_no_part_of_a_line() {
        let disk = tempfile::tempdir().unwrap();
        let output = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg("mount -t tmpfs -o size=16k tmpfs \"$0\" && cd \"$0\" && exec \"$@\"")
            .arg(disk.path())
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "file::tests::on_a_disk_of_16_kib", "--ignored"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    #[test]
    #[ignore = "runs on a disk of its own, for a_full_disk_leaves_no_part_of_a_line"]
    fn on_a_disk_of_16_kib() {
        fs::write("ballast", [0; 4096]).unwrap();
        let path = PathBuf::from("audit.log");
        let options = FileOptions { path: path.clone(), max_bytes: 0, max_backups: 0, max_age: Duration::ZERO };
        let mut log = RotatingFile::open(options).unwrap();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let written = (0..17).take_while(|_| log.write(&line, at(0)).is_ok()).count();
        assert!(written < 17, "the disk is full");
        fs::remove_file("ballast").unwrap();
        log.write(&line, at(1)).unwrap();
        assert!(fs::read(&path).unwrap() == line.repeat(written + 1), "only whole lines are there");
    }
}
