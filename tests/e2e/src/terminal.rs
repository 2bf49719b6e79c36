//! A program in a pseudo-terminal, driven as a person drives it: read what stands there, type an answer.
//!
//! util-linux's `script` makes the terminal; it is on every Debian.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::PATIENCE;

/// A program that believes a person sits in front of it.
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: ChildStdout,
    /// What has come and was not yet waited for.
    unread: String,
    /// All that has come.
    seen: String,
}

impl Terminal {
    /// Starts a shell command line with these variables alone.
    ///
    /// # Panics
    /// When there is no `script`.
    pub fn start(line: &str, home: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command", line, "/dev/null"])
            .env_clear()
            .envs([
                ("PATH", "/usr/local/bin:/usr/bin:/bin"),
                ("TERM", "xterm"),
                ("SHELL", "/bin/sh"),
                ("LANG", "C.UTF-8"),
            ])
            .envs(variables.iter().copied())
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("`script` of util-linux can be started");
        let keyboard = child.stdin.take().expect("the input is a pipe");
        let screen = child.stdout.take().expect("the output is a pipe");
        Self { child, keyboard, screen, unread: String::new(), seen: String::new() }
    }

    /// Waits until these words stand on the screen, and gives what came up to them.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn shows(&mut self, words: &str) -> String {
        let wait = async {
            loop {
                if let Some(at) = self.unread.find(words) {
                    let rest = self.unread.split_off(at + words.len());
                    return Some(std::mem::replace(&mut self.unread, rest));
                }
                if !self.read().await {
                    return None;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await.ok().flatten();
        found.unwrap_or_else(|| panic!("{words:?} does not appear; the screen shows:\n{}", self.seen))
    }

    /// Types a line.
    ///
    /// # Panics
    /// When nobody reads it.
    pub async fn types(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).await.expect("the program reads its input");
        self.keyboard.flush().await.expect("the program reads its input");
    }

    /// Waits for the end, and gives the exit code and all that was ever on the screen.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ends(mut self) -> (i32, String) {
        let end = async {
            while self.read().await {}
            self.child.wait().await.expect("a child can be waited for")
        };
        let status = tokio::time::timeout(PATIENCE, end).await.expect("the program ends");
        (status.code().expect("it was not killed"), self.seen)
    }

    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let count = self.screen.read(&mut bytes).await.expect("the screen can be read");
        let text = String::from_utf8_lossy(&bytes[..count]);
        self.unread.push_str(&text);
        self.seen.push_str(&text);
        count > 0
    }
}
