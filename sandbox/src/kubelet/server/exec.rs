//! `exec` and `attach`: the built-in shell, or a container's log, behind remote-command streams.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    cache::Key,
    kubelet::{
        Kubelets,
        behaviour::{self, Behaviour},
        hostname, logs, volumes,
    },
    meta::uid,
    shell::{self, Environment, Files, Io, Output, for_terminal},
    spdy::{Session, Stream},
};

use super::{
    Body, Found, Query, Refusal,
    log_stream::Reader,
    upgrade::{Protocol, negotiate},
    websocket,
};

/// A session that moves nothing for this long is ended (upstream: `streaming-connection-idle-timeout`).
const IDLE: Duration = Duration::from_secs(4 * 60 * 60);
/// A client that asked for streams has to open them within this time.
const OPENING: Duration = Duration::from_secs(30);
/// What a runtime takes to start a process, at the least. kubectl 1.34 reads a WebSocket before it knows its own
/// streams, and drops what comes sooner (client-go, `StreamWithContext`: "Unknown stream id").
const STARTING: Duration = Duration::from_millis(30);
/// A client has this long to read the rest and close.
const CLOSING: Duration = Duration::from_secs(5);
const QUEUE: usize = 16;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const CLOSE: u8 = 255;

/// Which streams a client asked for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Wanted {
    /// Kubelets say `input`, `output`, `error`; API servers say `stdin`, `stdout`, `stderr`.
    fn read(query: &Query) -> Result<Self, Refusal> {
        let either = |a: &str, b: &str| query.flag(a) || query.flag(b);
        let tty = query.flag("tty");
        let wanted = Self {
            stdin: either("input", "stdin"),
            stdout: either("output", "stdout"),
            stderr: either("error", "stderr") && !tty,
            tty,
        };
        if !wanted.stdin && !wanted.stdout && !wanted.stderr {
            return Err((StatusCode::BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr".to_owned()));
        }
        Ok(wanted)
    }
}

/// What runs behind the streams.
enum Work {
    Command(Vec<String>, Box<Environment>, Scene),
    /// A container that serves, and reads no input.
    Attach(logs::LogWriter),
    /// A container that runs a command to its end.
    Watch(Box<Reader>),
    /// A container that is nothing but this session.
    Main(Vec<String>, Box<Environment>, Scene),
}

/// The container that a command runs in.
struct Scene {
    kubelets: Arc<Kubelets>,
    pod: Arc<Pod>,
    container: String,
}

impl Scene {
    /// Keeps what a command has done to files for those that come after it, probes among them.
    fn keep(&self, before: &Files, after: &Files) {
        if self.kubelets.contents.keep(uid(&*self.pod), &self.container, before, after) {
            self.kubelets.forget_gone(&self.pod);
            self.kubelets.queue.add(Key::of(&*self.pod));
        }
    }
}

impl Kubelets {
    pub(super) fn exec<B>(
        self: &Arc<Self>,
        found: Found,
        query: &Query,
        request: &mut Request<B>,
    ) -> Result<Response<Body>, Refusal> {
        found.require_running()?;
        let argv: Vec<String> = query.all("command").map(str::to_owned).collect();
        if argv.is_empty() {
            return Err((StatusCode::BAD_REQUEST, "you must specify at least 1 command for the container".to_owned()));
        }
        let wanted = Wanted::read(query)?;
        let (response, protocol, upgrade) = agree(request)?;
        let this = self.clone();
        let token = self.cluster.token.clone();
        self.cluster.tasks.spawn(async move {
            let work = async {
                let environment = Box::new(this.environment(&found).await);
                let scene = Scene { kubelets: this, pod: found.pod, container: found.container.name };
                talk(upgrade, protocol, wanted, Work::Command(argv, environment, scene)).await;
            };
            tokio::select! {
                () = token.cancelled() => {}
                () = work => {}
            }
        });
        Ok(response)
    }

    pub(super) fn attach<B>(
        self: &Arc<Self>,
        found: Found,
        query: &Query,
        request: &mut Request<B>,
    ) -> Result<Response<Body>, Refusal> {
        found.require_running()?;
        let wanted = Wanted::read(query)?;
        let (response, protocol, upgrade) = agree(request)?;
        let this = self.clone();
        let token = self.cluster.token.clone();
        self.cluster.tasks.spawn(async move {
            let work = async {
                let work = this.attached(found).await;
                talk(upgrade, protocol, wanted, work).await;
            };
            tokio::select! {
                () = token.cancelled() => {}
                () = work => {}
            }
        });
        Ok(response)
    }

    /// What a client that attaches to a container sees.
    async fn attached(self: &Arc<Self>, found: Found) -> Work {
        let is_program = |image: &str| self.is_program(image);
        let course = self.course(&found.pod, &found.container, found.status.restart_count).await;
        match behaviour::of(&found.container, Duration::ZERO, &is_program, course.as_deref()) {
            Behaviour::Exit { .. } => {
                let options = logs::Options { follow: true, ..logs::Options::default() };
                Work::Watch(Box::new(Reader::new(self, found, options)))
            }
            Behaviour::Program => Work::Attach(self.log_of(&found.pod, &found.container.name)),
            Behaviour::Serve => match behaviour::session(&found.container) {
                None => Work::Attach(self.log_of(&found.pod, &found.container.name)),
                Some(argv) => {
                    let environment = self.environment(&found).await;
                    let scene = Scene { kubelets: self.clone(), pod: found.pod, container: found.container.name };
                    Work::Main(argv, Box::new(environment), scene)
                }
            },
        }
    }

    async fn environment(&self, found: &Found) -> Environment {
        let resolved = volumes::resolve(&self.cluster.client, &found.pod, &found.container).await;
        let (variables, mut files) = match resolved {
            Ok(resolved) => (resolved.env, resolved.files),
            // A missing Secret keeps no one from looking around.
            Err(_) => (volumes::plain_environment(&found.pod, &found.container), BTreeMap::new()),
        };
        let hostname = hostname(&found.pod);
        files.insert("/etc/hostname".to_owned(), format!("{hostname}\n").into());
        let motd = "This container is simulated: no process runs in it.\n";
        files.insert("/etc/motd".to_owned(), motd.into());
        let directory = found.container.working_dir.clone().filter(|path| !path.is_empty());
        let now = self.cluster.clock.now();
        let started = logs::span(&found.status, false).map_or(now, |span| span.start);
        let ran = Duration::try_from(now.duration_since(started)).unwrap_or_default();
        let course = self.course(&found.pod, &found.container, found.status.restart_count).await;
        let written = self.written(&found.pod, &found.container, course.as_deref(), ran);
        Environment {
            variables,
            hostname,
            files,
            written,
            mounts: self.volumes.mounts(&self.cluster.claims, &found.pod, &found.container),
            directory: directory.unwrap_or_else(|| "/".to_owned()),
            sleeps: true,
        }
    }
}

fn agree<B>(request: &mut Request<B>) -> Result<(Response<Body>, Protocol, OnUpgrade), Refusal> {
    let versions = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
    negotiate(request, &versions, &versions)
}

async fn talk(upgrade: OnUpgrade, protocol: Protocol, wanted: Wanted, work: Work) {
    let Ok(upgraded) = upgrade.await else { return };
    let ended = tokio::time::timeout(IDLE, async {
        match protocol {
            Protocol::WebSocket(version) => over_websocket(upgraded, &version, wanted, work).await,
            Protocol::Spdy(_) => over_spdy(upgraded, wanted, work).await,
        }
    });
    if ended.await.is_err() {
        tracing::debug!("a remote command session was ended: it was open for too long");
    }
}

/// Runs the work to the status object of the error channel.
async fn perform(work: Work, wanted: Wanted, stdin: mpsc::Receiver<Bytes>, output: mpsc::Sender<Output>) -> Value {
    match work {
        Work::Command(argv, mut environment, scene) => {
            let stdin = wanted.stdin.then_some(stdin);
            let mut io = Io::new(stdin, output, wanted.tty);
            let before = environment.written.clone();
            let code = shell::run(&argv, &mut environment, &mut io).await;
            scene.keep(&before, &environment.written);
            exit_status(&argv, code)
        }
        Work::Attach(log) => {
            attach(log, stdin, output).await;
            success()
        }
        Work::Watch(mut log) => {
            while let Some(bytes) = log.next().await {
                if output.send(Output::Stdout(for_terminal(bytes, wanted.tty))).await.is_err() {
                    break;
                }
            }
            success()
        }
        Work::Main(argv, mut environment, scene) => {
            let stdin = wanted.stdin.then_some(stdin);
            let mut io = Io::new(stdin, output, wanted.tty);
            let code = shell::run(&argv, &mut environment, &mut io).await;
            scene.kubelets.end(&scene.pod, &scene.container, code);
            success()
        }
    }
}

/// An attached client hears that nothing runs here, and sees its own input again.
async fn attach(log: logs::LogWriter, mut stdin: mpsc::Receiver<Bytes>, output: mpsc::Sender<Output>) {
    let greeting = "attached to a simulated container: input is echoed\r\n";
    if output.send(Output::Stdout(Bytes::from_static(greeting.as_bytes()))).await.is_err() {
        return;
    }
    log.line(&json!({"level": "info", "msg": "client attached"}).to_string());
    loop {
        tokio::select! {
            bytes = stdin.recv() => {
                let Some(bytes) = bytes else { return };
                if output.send(Output::Stdout(bytes)).await.is_err() {
                    return;
                }
            }
            () = output.closed() => return,
        }
    }
}

fn success() -> Value {
    json!({"metadata": {}, "status": "Success"})
}

/// What the error channel says of an exit code, as kubelets put it.
fn exit_status(argv: &[String], code: i32) -> Value {
    if code == 0 {
        return success();
    }
    let command = argv.join(" ");
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: error executing command [{command}], exit code {code}"),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

async fn over_websocket(upgraded: Upgraded, version: &str, wanted: Wanted, work: Work) {
    let (mut to_client, mut from_client) = websocket::accept(upgraded).await.split();
    let (to_work, stdin) = mpsc::channel(QUEUE);
    let (output, mut printed) = mpsc::channel(QUEUE);
    let may_close = version == "v5.channel.k8s.io";
    let read = async {
        let mut to_work = Some(to_work);
        while let Some(Ok(message)) = from_client.next().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
            match websocket::payload(message) {
                Some((STDIN, bytes)) => {
                    if let Some(to_work) = &to_work
                        && !bytes.is_empty()
                    {
                        // A command that reads no more lets the rest fall.
                        let _ = to_work.send(bytes).await;
                    }
                }
                Some((CLOSE, channel)) if may_close && channel.first() == Some(&STDIN) => to_work = None,
                _ => {}
            }
        }
    };
    let write = async {
        tokio::time::sleep(STARTING).await;
        // Says that the session is open before there is any output, as kubelets do.
        if to_client.send(websocket::message(if wanted.stdout { STDOUT } else { ERROR }, &[])).await.is_err() {
            return;
        }
        let mut work = std::pin::pin!(perform(work, wanted, stdin, output));
        let mut status = None;
        loop {
            let message = tokio::select! {
                biased;
                chunk = printed.recv() => match chunk {
                    Some(Output::Stdout(bytes)) if wanted.stdout => websocket::message(STDOUT, &bytes),
                    Some(Output::Stderr(bytes)) if wanted.stderr => websocket::message(STDERR, &bytes),
                    Some(_) => continue,
                    None => break,
                },
                done = &mut work, if status.is_none() => {
                    status = Some(done);
                    continue;
                }
            };
            if to_client.send(message).await.is_err() {
                return;
            }
        }
        let status = match status {
            Some(status) => status,
            None => work.await,
        };
        // Nothing is left to do for a client that has gone.
        let _ = to_client.send(websocket::message(ERROR, status.to_string().as_bytes())).await;
        let _ = to_client.send(websocket::farewell()).await;
        let _ = to_client.close().await;
    };
    let (read, write) = (std::pin::pin!(read), std::pin::pin!(write));
    // The writer ends with the work; a client that leaves earlier ends the work.
    match futures::future::select(read, write).await {
        futures::future::Either::Left(_) => {}
        futures::future::Either::Right(((), read)) => {
            let _ = tokio::time::timeout(CLOSING, read).await;
        }
    }
}

async fn over_spdy(upgraded: Upgraded, wanted: Wanted, work: Work) {
    let (session, connection) = Session::start(TokioIo::new(upgraded));
    let session = std::pin::pin!(spdy_session(session, wanted, work));
    let connection = std::pin::pin!(connection);
    match futures::future::select(session, connection).await {
        futures::future::Either::Left(((), connection)) => {
            let _ = tokio::time::timeout(CLOSING, connection).await;
        }
        futures::future::Either::Right((Err(error), _)) => {
            tracing::debug!(error = %crate::error::chain(&error), "a SPDY connection broke");
        }
        futures::future::Either::Right((Ok(()), _)) => {}
    }
}

#[derive(Default)]
struct Streams {
    error: Option<Stream>,
    stdin: Option<Stream>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    resize: Option<Stream>,
}

impl Streams {
    fn take_in(&mut self, stream: Stream) {
        let slot = match stream.header("streamtype") {
            Some("error") => &mut self.error,
            Some("stdin") => &mut self.stdin,
            Some("stdout") => &mut self.stdout,
            Some("stderr") => &mut self.stderr,
            Some("resize") => &mut self.resize,
            _ => return,
        };
        *slot = Some(stream);
    }

    fn complete(&self, wanted: Wanted) -> bool {
        self.error.is_some()
            && (!wanted.stdin || self.stdin.is_some())
            && (!wanted.stdout || self.stdout.is_some())
            && (!wanted.stderr || self.stderr.is_some())
    }
}

async fn spdy_session(mut session: Session, wanted: Wanted, work: Work) {
    let mut streams = Streams::default();
    let opened = tokio::time::timeout(OPENING, async {
        while !streams.complete(wanted) {
            let Some(stream) = session.accept().await else { return };
            streams.take_in(stream);
        }
    });
    if opened.await.is_err() || !streams.complete(wanted) {
        return;
    }
    let Some(error) = streams.error.take() else { return };
    let (to_work, stdin) = mpsc::channel(QUEUE);
    let (output, mut printed) = mpsc::channel(QUEUE);
    let feed = async {
        if let Some(source) = &mut streams.stdin {
            while let Some(bytes) = source.read().await {
                if to_work.send(bytes).await.is_err() {
                    // The command reads no more; what the client still sends is passed over.
                    while source.read().await.is_some() {}
                }
            }
        }
        drop(to_work);
        // The window size has nobody to tell, and late streams nothing to do.
        while let Some(stream) = session.accept().await {
            drop(stream);
        }
    };
    let print = async {
        while let Some(chunk) = printed.recv().await {
            let (stream, bytes) = match chunk {
                Output::Stdout(bytes) => (&streams.stdout, bytes),
                Output::Stderr(bytes) => (&streams.stderr, bytes),
                Output::Pause(..) => continue,
            };
            if let Some(stream) = stream
                && !stream.write(bytes).await
            {
                return;
            }
        }
    };
    let run = async {
        let (status, ()) = tokio::join!(perform(work, wanted, stdin, output), print);
        error.write(status.to_string().into()).await;
        for stream in [&streams.stdout, &streams.stderr].into_iter().flatten() {
            stream.finish().await;
        }
        error.finish().await;
    };
    let (feed, run) = (std::pin::pin!(feed), std::pin::pin!(run));
    // When the connection goes first, what runs is dropped with it.
    futures::future::select(run, feed).await;
}
