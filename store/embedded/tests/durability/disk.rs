//! A disk of a few MiB, in memory and in a mount namespace, where no privilege is needed.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs a test of this program where it may mount disks. What it mounts goes with it.
pub(crate) fn in_a_namespace(test: &str) -> String {
    let probe = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).output();
    assert!(
        probe.as_ref().is_ok_and(|probe| probe.status.success()),
        "a full disk cannot be had here: `unshare --map-root-user --mount` does not work ({probe:?}); allow user \
         namespaces, or run as root with the right to mount"
    );
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    told
}

pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    pub(crate) fn mount(bytes: usize) -> Self {
        let path = tempfile::tempdir().unwrap().keep();
        mount(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs", path.to_str().unwrap()]);
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) {
        let mut ballast = File::options().append(true).create(true).open(self.ballast()).unwrap();
        let block = [0; 4096];
        loop {
            match ballast.write(&block) {
                Ok(written) if written > 0 => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Takes all the room but so much.
    pub(crate) fn fill_but(&self, bytes: u64) {
        self.fill();
        let ballast = File::options().write(true).open(self.ballast()).unwrap();
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length.checked_sub(bytes).unwrap()).unwrap();
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.ballast()).ok();
    }

    pub(crate) fn set_read_only(&self, read_only: bool) {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        mount(&["-o", how, self.path.to_str().unwrap()]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.path).status().ok();
        fs::remove_dir(&self.path).ok();
    }
}

fn mount(arguments: &[&str]) {
    let output = Command::new("mount").args(arguments).output().unwrap();
    assert!(output.status.success(), "mount {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
