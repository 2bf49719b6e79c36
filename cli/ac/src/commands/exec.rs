//! `exec`: a command in a container, over a WebSocket, with a real terminal when asked for one.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::logs::{default_container, find_pod};
use super::{Cx, Opened};
use crate::args::Exec;
use crate::error::{Error, Result};
use crate::text::Text;

/// How much of a command's output may wait for us.
const BUFFER: usize = 64 * 1024;
/// How long the last bytes of a broken connection may take to be read; they are in memory already.
const REMAINS: Duration = Duration::from_secs(1);

/// Runs the command; its exit code becomes ours.
pub async fn exec(cx: &Cx, args: &Exec) -> Result<i32> {
    let opened = cx.open().await?;
    let pod = find_pod(cx, &opened, &args.resource).await?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(Error::told(Text::PodCompleted { phase: phase.to_owned() }));
    }
    let container = args.container.clone().or_else(|| default_container(cx, &pod));
    let tty = args.tty && args.stdin && cx.env.stdin_is_terminal;
    if args.tty && args.stdin && !tty {
        cx.ui.err_line("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    let mut params = AttachParams::default().stdin(args.stdin).stdout(true).stderr(!tty).tty(tty);
    params = params.max_stdin_buf_size(BUFFER).max_stdout_buf_size(BUFFER);
    if !tty {
        params = params.max_stderr_buf_size(BUFFER);
    }
    params.container = container;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let attached = attach(cx, &opened, name, &args.command, &params).await?;
    let _raw = if tty { Some(terminal::Raw::enter()?) } else { None };
    tokio::select! {
        code = relay(cx, attached, tty) => code,
        // Ended from outside: the terminal is put back before we go.
        code = terminal::ended(), if tty => Err(Error::Reported(code)),
    }
}

/// Starts the command in the container.
async fn attach(
    cx: &Cx,
    opened: &Opened,
    pod: &str,
    command: &[String],
    params: &AttachParams,
) -> Result<AttachedProcess> {
    let namespace = &opened.target.namespace;
    opened.endpoint.announce(&Method::GET, &format!("/api/v1/namespaces/{namespace}/pods/{pod}/exec"));
    let pods: Api<Pod> = Api::namespaced(opened.endpoint.client().await?, namespace);
    let deadline = cx.connector.selection.timeout.unwrap_or(crate::http::DEADLINE);
    let attached = tokio::time::timeout(deadline, pods.exec(pod, command.iter().cloned(), params)).await;
    attached.map_err(|_| Error::told(Text::Deadline {}))?.map_err(|error| opened.endpoint.failed(error))
}

/// Moves bytes both ways until the command ends; its exit code becomes ours.
async fn relay(cx: &Cx, mut attached: AttachedProcess, tty: bool) -> Result<i32> {
    let status = attached.take_status();
    let input = attached.stdin().map(|stdin| tokio::spawn(copy_input(stdin)));
    let sizes = if tty { attached.terminal_size().map(|sizes| tokio::spawn(send_sizes(sizes))) } else { None };
    // When one of our own outputs is closed nobody wants the rest, on either stream.
    let output = futures::future::try_join(
        copy(attached.stdout(), tokio::io::stdout()),
        copy(attached.stderr(), tokio::io::stderr()),
    );
    let status = async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    };
    let ended = last_words(output, status).await;
    // Nobody reads what is typed now.
    input.into_iter().for_each(|task| task.abort());
    sizes.into_iter().for_each(|task| task.abort());
    match ended? {
        Some(status) => outcome(cx, status),
        None => {
            let lost = Error::told(Text::CommandLost {});
            Err(match attached.join().await {
                Ok(()) => lost,
                Err(error) => lost.because(error),
            })
        }
    }
}

/// Waits for the end of the output and for the status. A broken connection brings no status, and then the output has
/// no end either that could be waited for.
async fn last_words<T>(
    output: impl Future<Output = Result<T>>,
    status: impl Future<Output = Option<Status>>,
) -> Result<Option<Status>> {
    let (mut output, mut status) = (std::pin::pin!(output), std::pin::pin!(status));
    let status = tokio::select! {
        copied = &mut output => {
            copied?;
            return Ok(status.await);
        }
        status = &mut status => status,
    };
    match status {
        Some(status) => output.await.map(|_| Some(status)),
        None => tokio::time::timeout(REMAINS, output).await.map_or(Ok(None), |copied| copied.map(|_| None)),
    }
}

fn outcome(cx: &Cx, status: Status) -> Result<i32> {
    if status.status.as_deref() != Some("Failure") {
        return Ok(0);
    }
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    let code = causes
        .iter()
        .find(|cause| cause.reason.as_deref() == Some("ExitCode"))
        .and_then(|cause| cause.message.as_deref()?.parse::<i32>().ok());
    match code {
        Some(code) => {
            cx.ui.err_line(&format!("command terminated with exit code {code}"));
            Err(Error::Reported(code))
        }
        None => Err(Error::told(Text::RemoteFailed { message: status.message.unwrap_or_default() })),
    }
}

async fn copy(from: Option<impl AsyncRead + Unpin>, mut to: impl AsyncWrite + Unpin) -> Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        // The far end closing its side is how a command's output ends.
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
    }
}

async fn copy_input(mut to: impl AsyncWrite + Unpin) {
    let mut from = tokio::io::stdin();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    // The command sees the end of its input; if it is gone already there is nobody to tell.
    let _ = to.shutdown().await;
}

async fn send_sizes(mut sizes: futures::channel::mpsc::Sender<TerminalSize>) {
    use futures::SinkExt;
    let mut changes = terminal::Changes::new();
    loop {
        if let Some((width, height)) = terminal::size()
            && sizes.send(TerminalSize { width, height }).await.is_err()
        {
            return;
        }
        if !changes.next().await {
            return;
        }
    }
}

#[cfg(unix)]
mod terminal {
    //! The local terminal: every key goes to the other side, and its size is watched.

    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use crate::error::{Error, Result};
    use crate::text::Text;

    /// The terminal without line editing and signals, until dropped.
    pub(super) struct Raw(Termios);

    impl Raw {
        pub(super) fn enter() -> Result<Self> {
            let failed = |error: rustix::io::Errno| Error::told(Text::NoRawTerminal {}).because(error);
            let before = tcgetattr(rustix::stdio::stdin()).map_err(failed)?;
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
            Ok(Self(before))
        }
    }

    impl Drop for Raw {
        fn drop(&mut self) {
            // A terminal that is gone needs no repair.
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
        }
    }

    pub(super) fn size() -> Option<(u16, u16)> {
        let size = tcgetwinsize(rustix::stdio::stdin()).ok()?;
        (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
    }

    /// Waits until somebody ends this process, and gives the exit code that shells report for it.
    pub(super) async fn ended() -> i32 {
        let (Ok(mut hangup), Ok(mut terminate)) = (signal(SignalKind::hangup()), signal(SignalKind::terminate()))
        else {
            return std::future::pending().await;
        };
        let kind = tokio::select! {
            _ = hangup.recv() => SignalKind::hangup(),
            _ = terminate.recv() => SignalKind::terminate(),
        };
        128 + kind.as_raw_value()
    }

    pub(super) struct Changes(Option<Signal>);

    impl Changes {
        pub(super) fn new() -> Self {
            Self(signal(SignalKind::window_change()).ok())
        }

        pub(super) async fn next(&mut self) -> bool {
            match &mut self.0 {
                Some(signal) => signal.recv().await.is_some(),
                None => false,
            }
        }
    }
}

#[cfg(not(unix))]
mod terminal {
    //! Where we cannot switch the terminal we leave it as it is: input arrives line by line.

    use crate::error::Result;

    pub(super) struct Raw;

    impl Raw {
        pub(super) fn enter() -> Result<Self> {
            Ok(Self)
        }
    }

    pub(super) fn size() -> Option<(u16, u16)> {
        None
    }

    pub(super) async fn ended() -> i32 {
        std::future::pending().await
    }

    pub(super) struct Changes;

    impl Changes {
        pub(super) fn new() -> Self {
            Self
        }

        pub(super) async fn next(&mut self) -> bool {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success() -> Status {
        Status { status: Some("Success".to_owned()), ..Status::default() }
    }

    #[tokio::test]
    async fn a_status_waits_for_the_rest_of_the_output() {
        let (send, rest) = tokio::sync::oneshot::channel::<()>();
        let output = async {
            rest.await.unwrap();
            Ok(())
        };
        let status = async {
            tokio::spawn(async move { send.send(()) });
            Some(success())
        };
        assert_eq!(last_words(output, status).await.unwrap(), Some(success()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_connection_ends_although_its_output_does_not() {
        let output = std::future::pending::<Result<()>>();
        assert_eq!(last_words(output, async { None }).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_closed_output_ends_a_command_that_goes_on() {
        let output = async { Err::<(), _>(Error::OutputClosed) };
        let ended = last_words(output, std::future::pending()).await;
        assert!(matches!(ended, Err(Error::OutputClosed)));
    }
}
