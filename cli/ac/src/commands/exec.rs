//! `exec`: a command in a container, over a WebSocket, with a real terminal when asked for one.

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, AttachedProcess, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Cx;
use super::logs::{default_container, find_pod};
use crate::args::Exec;
use crate::error::{Error, Result};
use crate::http::from_kube;
use crate::text::Text;

/// Runs the command; its exit code becomes ours.
pub async fn exec(cx: &Cx, args: &Exec) -> Result<i32> {
    let opened = cx.open().await?;
    let pod = find_pod(cx, &opened, &args.resource).await?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(Error::told(Text::PodCompleted { phase: phase.to_owned() }));
    }
    let container = args.container.clone().or_else(|| default_container(cx, &pod));
    let tty = args.tty && cx.env.stdin_is_terminal && args.stdin;
    if args.tty && args.stdin && !tty {
        cx.ui.err_line("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    let mut params = AttachParams::default().stdin(args.stdin).stdout(true).stderr(!args.tty).tty(args.tty);
    params.container = container;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let server = opened.target.cluster["server"].as_str().unwrap_or_default().to_owned();
    let pods: Api<Pod> = Api::namespaced(opened.endpoint.client(), &opened.target.namespace);
    opened.endpoint.announce(&Method::GET, &format!("/api/v1/namespaces/{}/pods/{name}/exec", opened.target.namespace));
    let deadline = crate::http::DEADLINE;
    let attached = tokio::time::timeout(deadline, pods.exec(&name, args.command.clone(), &params)).await;
    let attached = attached.map_err(|_| Error::told(Text::Deadline {}))?.map_err(|error| from_kube(error, &server))?;
    let _raw = if tty { Some(terminal::Raw::enter()?) } else { None };
    relay(cx, attached, tty, &server).await
}

/// Moves bytes both ways until the command ends.
async fn relay(cx: &Cx, mut attached: AttachedProcess, tty: bool, server: &str) -> Result<i32> {
    let status = attached.take_status();
    let input = attached.stdin().map(|stdin| tokio::spawn(copy_input(stdin)));
    let sizes = if tty { attached.terminal_size().map(|sizes| tokio::spawn(send_sizes(sizes))) } else { None };
    let output = copy(attached.stdout(), tokio::io::stdout());
    let errors = copy(attached.stderr(), tokio::io::stderr());
    let (output, errors) = futures::future::join(output, errors).await;
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    // Nobody reads what is typed now.
    input.into_iter().for_each(|task| task.abort());
    sizes.into_iter().for_each(|task| task.abort());
    output?;
    errors?;
    let Some(status) = status else {
        return match attached.join().await {
            Ok(()) => Ok(0),
            Err(error) => Err(Error::Connect { server: server.to_owned(), source: error.into() }),
        };
    };
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
        None => {
            let message = status.message.unwrap_or_default();
            Err(Error::told(Text::RemoteFailed { message }))
        }
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
