//! etcd as a program: found, started on free ports, and ended with the test.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running etcd with one member.
pub struct Etcd {
    child: Child,
    pub endpoint: String,
    home: PathBuf,
    /// The home, unless somebody else keeps it.
    _own: Option<TempDir>,
}

/// What the suite asks for and no etcd takes by itself.
const GENEROUS: &[&str] = &["--max-txn-ops=4096", "--max-request-bytes=16777216"];

impl Etcd {
    /// One with room for the largest transactions that a store may make.
    pub fn generous() -> Self {
        Self::start(GENEROUS)
    }

    /// One as it comes.
    pub fn plain() -> Self {
        Self::start(&[])
    }

    pub fn start(arguments: &[&str]) -> Self {
        Self::with(tempfile::tempdir().unwrap(), "http", arguments)
    }

    /// One that keeps its data in a folder, and finds there what an earlier one has left.
    pub fn at(home: &Path) -> Self {
        std::fs::create_dir_all(home).unwrap();
        let (child, endpoint) = launch(home, "http://127.0.0.1:0", &[]);
        Self { child, endpoint, home: home.to_owned(), _own: None }
    }

    /// One that speaks TLS. The arguments name its certificates.
    pub fn secure(arguments: &[&str]) -> Self {
        Self::with(tempfile::tempdir().unwrap(), "https", arguments)
    }

    fn with(home: TempDir, scheme: &str, arguments: &[&str]) -> Self {
        let (child, endpoint) = launch(home.path(), &format!("{scheme}://127.0.0.1:0"), arguments);
        Self { child, endpoint, home: home.path().to_owned(), _own: Some(home) }
    }

    /// Kills it and starts it again on the same data and address.
    pub fn restart(&mut self) {
        self.kill();
        let endpoint = self.endpoint.clone();
        (self.child, _) = launch(&self.home, &endpoint, &[]);
    }

    /// Loses its data.
    pub fn forget(&self) {
        std::fs::remove_dir_all(self.home.join("data")).unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Runs etcdctl against it, as a user if one is given.
    pub fn ctl(&self, user: Option<&str>, arguments: &[&str]) -> String {
        let user = user.map(|user| format!("--user={user}"));
        let arguments = user.iter().map(String::as_str).chain(arguments.iter().copied()).map(OsStr::new);
        self.ctl_bytes(&arguments.collect::<Vec<_>>())
    }

    /// As [`Self::ctl`], with words that are not text.
    pub fn ctl_bytes(&self, arguments: &[&OsStr]) -> String {
        let output = Command::new(folder().join("etcdctl"))
            .arg(format!("--endpoints={}", self.endpoint))
            .args(arguments)
            .env("ETCDCTL_API", "3")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn launch(home: &Path, address: &str, arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(folder().join("etcd"))
        .arg(format!("--data-dir={}", home.join("data").display()))
        .args([format!("--listen-client-urls={address}"), format!("--advertise-client-urls={address}")])
        .args(["--listen-peer-urls=http://127.0.0.1:0", "--initial-advertise-peer-urls=http://127.0.0.1:0"])
        .args(["--initial-cluster=default=http://127.0.0.1:0", "--logger=zap", "--log-level=info"])
        // It elects itself sooner, and the disk is not what is tested.
        .args(["--heartbeat-interval=10", "--election-timeout=100", "--unsafe-no-fsync"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    let port = loop {
        let Some(Ok(line)) = log.next() else { panic!("etcd ended before it served:\n{told}") };
        if let Some(port) = serving(&line) {
            break port;
        }
        told.push_str(&line);
        told.push('\n');
    };
    // Read on, so that etcd never waits for its log to be read.
    std::thread::spawn(move || log.for_each(drop));
    let scheme = address.split(':').next().unwrap();
    (child, format!("{scheme}://127.0.0.1:{port}"))
}

/// The port, from the line in which etcd says that it serves clients.
fn serving(line: &str) -> Option<u16> {
    let says = ["serving client traffic", "serving insecure client requests", "serving client requests"];
    if !says.iter().any(|say| line.contains(say)) {
        return None;
    }
    let (_, rest) = line.split_once("127.0.0.1:")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The folder of etcd and etcdctl: `ACP_TEST_ETCD`, or where they are on a machine that has them.
fn folder() -> PathBuf {
    if let Some(folder) = env::var_os("ACP_TEST_ETCD") {
        let folder = PathBuf::from(folder);
        assert!(has_both(&folder), "ACP_TEST_ETCD names {}, which has no etcd and etcdctl", folder.display());
        return folder;
    }
    // Where `cargo xtask test` puts them, seen from this program in `target/debug/deps`.
    let program = env::current_exe().unwrap();
    let target = program.ancestors().nth(3).map(|target| target.join("tools/etcd"));
    let usual = env::var_os("PATH").unwrap_or_default();
    let found = target.into_iter().chain(env::split_paths(&usual)).find(|folder| has_both(folder));
    found.expect("there is no etcd; `cargo xtask test` fetches one, and ACP_TEST_ETCD may name the folder of another")
}

fn has_both(folder: &Path) -> bool {
    ["etcd", "etcdctl"].iter().all(|program| folder.join(program).is_file())
}
