//! A started `acp`: what it prints, where it listens, how it ends.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::binaries::binary;

/// A running `acp`, killed when it is dropped.
pub struct Server {
    child: Child,
    printed: Printed,
    /// The scheme, host and port of the first address on its standard output.
    pub url: String,
}

/// How a process ended by itself.
#[derive(Debug)]
pub struct Exited {
    pub status: ExitStatus,
    /// Standard output and standard error, in the order in which lines came.
    pub printed: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Stream {
    Output,
    Errors,
}

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<(Stream, String)>>>);

impl Printed {
    fn follow(&self, stream: Stream, from: impl AsyncRead + Unpin + Send + 'static) -> tokio::task::JoinHandle<()> {
        let lines = self.0.clone();
        tokio::spawn(async move {
            let mut from = BufReader::new(from).lines();
            while let Ok(Some(line)) = from.next_line().await {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push((stream, line));
            }
        })
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
    }

    fn errors(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|(stream, _)| *stream == Stream::Errors).map(|(_, line)| line.clone()).collect()
    }

    /// An error may name an address too, and that is of another.
    fn url(&self) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut said = lines.iter().filter(|(stream, _)| *stream == Stream::Output);
        let rest = said.find_map(|(_, line)| line.split_once("https://"))?.1;
        let host = rest.split(|end: char| end == '/' || end.is_whitespace()).next()?;
        Some(format!("https://{host}"))
    }
}

impl Server {
    /// Starts `acp` and waits until it has said where it listens.
    ///
    /// # Errors
    /// When it ends instead.
    pub async fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Self, Exited> {
        let mut command = Command::new(binary("acp"));
        command.args(arguments);
        Self::launch(command).await
    }

    /// The same for a command line that somebody else has made, as to run it on another machine.
    ///
    /// # Errors
    /// When it ends instead.
    pub async fn launch(mut command: Command) -> Result<Self, Exited> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("acp can be started");
        let printed = Printed::default();
        let out = printed.follow(Stream::Output, child.stdout.take().expect("the output is a pipe"));
        let err = printed.follow(Stream::Errors, child.stderr.take().expect("the errors are a pipe"));
        let url = {
            let said = crate::eventually("acp to say where it listens", crate::PATIENCE, || async {
                printed.url().ok_or_else(|| printed.text())
            });
            tokio::select! {
                url = said => Some(url),
                status = child.wait() => {
                    let (_, _) = tokio::join!(out, err);
                    return Err(Exited { status: status.expect("a child can be waited for"), printed: printed.text() });
                }
            }
        };
        Ok(Self { child, printed, url: url.expect("the other branch has returned") })
    }

    /// All that it printed so far.
    pub fn printed(&self) -> String {
        self.printed.text()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub async fn ended(&mut self) -> Exited {
        let status = self.child.wait().await.expect("a child can be waited for");
        Exited { status, printed: self.printed.text() }
    }

    /// Asks it to end, as Ctrl-C does, and waits until it has.
    ///
    /// # Panics
    /// When it does not.
    pub async fn interrupt(mut self) -> Exited {
        let sent = Command::new("kill").args(["-INT", &self.pid().to_string()]).status().await;
        assert!(sent.expect("kill can be started").success());
        let ended = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        let status = ended.expect("acp ends after Ctrl-C").expect("a child can be waited for");
        Exited { status, printed: self.printed.text() }
    }

    /// Ends it without asking, as kill -9 and a power cut do.
    pub async fn kill(mut self) {
        self.crash().await;
    }

    /// The same, for whoever goes on to look at what it left.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn crash(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }
}

impl Drop for Server {
    /// A test that fails is often explained by what the server said of it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in self.printed.errors() {
                eprintln!("acp {}: {line}", self.url);
            }
        }
    }
}
