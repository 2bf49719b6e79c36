//! Unmodified kubectl, as people run it, and `ac`, which is run the same way.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::{PATIENCE, binary};

/// One kubectl with one kubeconfig.
#[derive(Clone)]
pub struct Kubectl {
    /// What runs the program.
    launcher: Vec<String>,
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Its caches belong to the test.
    home: PathBuf,
}

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub success: bool,
    /// `None` for a program that was killed.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A command that goes on, killed when it is dropped.
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Kubectl {
    /// The kubectl in `folder`, with the kubeconfig at `kubeconfig`.
    ///
    /// # Panics
    /// When the kubeconfig lies in no folder.
    pub fn new(folder: &Path, kubeconfig: &Path) -> Self {
        let home = kubeconfig.parent().expect("a kubeconfig lies in a folder").to_owned();
        Self { launcher: Vec::new(), program: folder.join("kubectl"), kubeconfig: kubeconfig.to_owned(), home }
    }

    /// `ac` with the kubeconfig at `kubeconfig`, which need not exist yet.
    ///
    /// # Panics
    /// When the kubeconfig lies in no folder.
    pub fn ac(kubeconfig: &Path) -> Self {
        Self { program: binary("ac"), ..Self::new(Path::new(""), kubeconfig) }
    }

    /// Runs it by another program, as on another machine.
    pub fn launched_by(self, launcher: Vec<String>) -> Self {
        Self { launcher, ..self }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.launcher.iter().map(OsStr::new).chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().expect("the program is one"));
        command
            .args(words)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.kubeconfig);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, "").await
    }

    /// Runs a command to its end, with that on its standard input.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("kubectl can be started");
        let mut stdin = child.stdin.take().expect("the input is a pipe");
        let input = input.to_owned();
        let write = tokio::spawn(async move {
            // A command that does not read its input may be gone already.
            let _ = stdin.write_all(input.as_bytes()).await;
        });
        let ended = tokio::time::timeout(2 * PATIENCE, child.wait_with_output()).await;
        let output = ended
            .unwrap_or_else(|_| panic!("{} {arguments:?} did not end", self.program.display()))
            .expect("output can be read");
        write.abort();
        Outcome {
            success: output.status.success(),
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What a command prints that has to succeed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn ok(&self, arguments: &[&str]) -> String {
        self.ok_with(arguments, "").await
    }

    /// As [`Kubectl::ok`], with that on its standard input.
    ///
    /// # Panics
    /// When it does not succeed.
    pub async fn ok_with(&self, arguments: &[&str], input: &str) -> String {
        let outcome = self.run_with(arguments, input).await;
        let program = self.program.display();
        assert!(outcome.success, "{program} {}\n{}{}", arguments.join(" "), outcome.out, outcome.err);
        outcome.out
    }

    /// Starts a command that goes on.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).stderr(Stdio::inherit()).spawn().expect("kubectl can be started");
        let out = child.stdout.take().expect("the output is a pipe");
        Running { child, lines: BufReader::new(out).lines() }
    }
}

impl Running {
    /// Waits for the end, and gives the exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ends(mut self) -> Option<i32> {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the command ends").expect("a child can be waited for").code()
    }

    /// The next line that contains `words`.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn line_with(&mut self, words: &str) -> String {
        let mut seen = Vec::new();
        let search = async {
            while let Some(line) = self.lines.next_line().await.expect("output is text") {
                if line.contains(words) {
                    return Some(line);
                }
                seen.push(line);
            }
            None
        };
        let found = tokio::time::timeout(PATIENCE, search).await.ok().flatten();
        found.unwrap_or_else(|| panic!("no line says {words:?}; there were {seen:#?}"))
    }
}

/// Writes a kubeconfig with a bearer token, or without any credential.
///
/// # Panics
/// When it cannot be written.
pub fn write_kubeconfig(path: &Path, server: &str, ca_pem: &str, token: Option<&str>) {
    use base64::Engine as _;
    let authority = base64::engine::general_purpose::STANDARD.encode(ca_pem);
    let user = token.map_or(Value::Object(serde_json::Map::new()), |token| json!({ "token": token }));
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
        "current-context": "it",
    });
    // JSON is YAML.
    std::fs::write(path, config.to_string()).expect("a kubeconfig can be written");
}
