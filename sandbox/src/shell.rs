//! The small shell that answers `exec` on simulated nodes.
//!
//! There is no process behind it: a handful of commands work on the pod's own data. Everything is bounded (input,
//! steps, nesting, what variables hold) and ends when its output is no longer wanted or its task is dropped.

mod commands;
mod files;
mod parse;
mod redirect;
mod tar;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::volumes::Mount;

use parse::{Join, parse};

/// What a command sees of its container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) hostname: String,
    pub(crate) directory: String,
    /// Files by path: what is mounted from ConfigMaps, Secrets and the pod itself.
    pub(crate) files: Files,
    /// Files by path that commands have written, but for those in volumes.
    pub(crate) written: Files,
    /// The volumes of claims.
    pub(crate) mounts: Vec<Mount>,
    /// Whether `sleep` takes time. It takes none where output is worked out after the fact; see [`Output::Pause`].
    pub(crate) sleeps: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout(Bytes),
    Stderr(Bytes),
    /// A sleep that took no time, where sleeping takes none, and the files that were there meanwhile.
    Pause(Duration, Files),
}

/// Files by path.
pub(crate) type Files = BTreeMap<String, Bytes>;

/// The streams of a command.
pub(crate) struct Io {
    pub(crate) stdin: Option<mpsc::Receiver<Bytes>>,
    pub(crate) output: mpsc::Sender<Output>,
    pub(crate) tty: bool,
    route: Route,
    /// What may still be spent, by all scripts together that come of one command or line.
    left: usize,
    /// How many scripts are being run, each by the one before it.
    depth: usize,
}

/// Where a command's standard output goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Route {
    #[default]
    Stdout,
    Stderr,
    Nowhere,
}

impl Io {
    pub(crate) fn new(stdin: Option<mpsc::Receiver<Bytes>>, output: mpsc::Sender<Output>, tty: bool) -> Self {
        Self { stdin, output, tty, route: Route::Stdout, left: WORK_LIMIT, depth: 0 }
    }

    /// Whether a command may still be run. Each word costs something, and a long one more: it may be a script that is
    /// read every time.
    fn takes(&mut self, argv: &[String]) -> bool {
        let cost = argv.iter().map(|word| 1 + word.len() / 64).sum::<usize>() + 1;
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    async fn gives_up(&self) -> Flow {
        self.complain("sh: script too long for the simulated shell\n").await;
        Flow::Next(2)
    }

    async fn print(&self, text: impl Into<String>) {
        self.write(Bytes::from(text.into())).await;
    }

    async fn write(&self, bytes: Bytes) {
        // A reader that went away also ends the task that runs the command.
        let bytes = self.translated(bytes);
        let _ = match self.route {
            Route::Stdout => self.output.send(Output::Stdout(bytes)).await,
            Route::Stderr if !self.tty => self.output.send(Output::Stderr(bytes)).await,
            Route::Stderr => self.output.send(Output::Stdout(bytes)).await,
            Route::Nowhere => Ok(()),
        };
    }

    async fn complain(&self, text: impl Into<String>) {
        let bytes = self.translated(Bytes::from(text.into()));
        let message = if self.tty { Output::Stdout(bytes) } else { Output::Stderr(bytes) };
        let _ = self.output.send(message).await;
    }

    fn translated(&self, bytes: Bytes) -> Bytes {
        for_terminal(bytes, self.tty)
    }
}

/// A terminal wants a carriage return before each line feed.
pub(crate) fn for_terminal(bytes: Bytes, tty: bool) -> Bytes {
    if !tty || !bytes.contains(&b'\n') {
        return bytes;
    }
    String::from_utf8_lossy(&bytes).replace("\r\n", "\n").replace('\n', "\r\n").into()
}

const LINE_LIMIT: usize = 64 * 1024;
/// As many words, or a little more than a mebibyte of them.
const WORK_LIMIT: usize = 20_000;
/// A script may run itself by way of a variable, and each of them takes its part of this process's stack.
const DEPTH_LIMIT: usize = 8;
/// What all variables hold together that a script may set.
const VARIABLES: usize = 1 << 20;
/// The most of different sets of files that an evaluation keeps, all their files counted.
const MOMENTS: usize = 10_000;
/// The most bytes that it keeps of files that differ from one such set to the next, but for the last.
const MOMENT_BYTES: usize = 1 << 20;

/// Said of what this shell cannot read, and of commands it does not have.
pub(crate) const NOT_KNOWN: &str = "the simulated shell does not know";
pub(crate) const NOT_FOUND: &str = "not found (this is a simulated container)";

/// The end of a shell: it goes on, or `exit` was called.
enum Flow {
    Next(i32),
    Exit(i32),
}

/// Runs a command to its exit code. `127` means that there is no such command here.
pub(crate) async fn run(argv: &[String], environment: &mut Environment, io: &mut Io) -> i32 {
    let flow = match io.takes(argv) {
        true => command(argv, environment, io).await,
        false => io.gives_up().await,
    };
    match flow {
        Flow::Next(code) | Flow::Exit(code) => code,
    }
}

async fn command(argv: &[String], environment: &mut Environment, io: &mut Io) -> Flow {
    let Some((first, rest)) = argv.split_first() else { return Flow::Next(0) };
    let base = first.rsplit('/').next().unwrap_or(first);
    match base {
        "sh" | "bash" | "ash" => Flow::Next(shell(rest, environment, io).await),
        "exit" => Flow::Exit(rest.first().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0) & 0xff),
        _ => Flow::Next(commands::run(base, rest, environment, io).await),
    }
}

async fn shell(args: &[String], environment: &mut Environment, io: &mut Io) -> i32 {
    let mut rest = args.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-c" | "-ec" | "-lc" | "-xc" | "-exc" => {
                let text = rest.next().cloned().unwrap_or_default();
                return match Box::pin(script(&text, environment, io)).await {
                    Flow::Next(code) | Flow::Exit(code) => code,
                };
            }
            flag if flag.starts_with('-') => {}
            file => {
                io.complain(format!("sh: can't open '{file}': No such file or directory\n")).await;
                return 2;
            }
        }
    }
    Box::pin(interactive(environment, io)).await
}

async fn interactive(environment: &mut Environment, io: &mut Io) -> i32 {
    let Some(mut stdin) = io.stdin.take() else { return 0 };
    let (mut line, mut code) = (Vec::new(), 0);
    prompt(environment, io).await;
    'reading: while let Some(bytes) = stdin.recv().await {
        for byte in bytes {
            match byte {
                // End of transmission, typed on an empty line.
                4 if io.tty && line.is_empty() => break 'reading,
                3 if io.tty => {
                    io.print("^C\n").await;
                    line.clear();
                    prompt(environment, io).await;
                }
                8 | 127 if io.tty => erase(&mut line, io).await,
                b'\r' | b'\n' => {
                    if io.tty {
                        io.print("\n").await;
                    }
                    match entered(&mut line, environment, io).await {
                        Flow::Next(status) => code = status,
                        Flow::Exit(status) => return status,
                    }
                    prompt(environment, io).await;
                }
                byte if line.len() < LINE_LIMIT => {
                    line.push(byte);
                    if io.tty {
                        io.write(Bytes::copy_from_slice(&[byte])).await;
                    }
                }
                _ => {}
            }
        }
    }
    if !line.is_empty() {
        match entered(&mut line, environment, io).await {
            Flow::Next(status) | Flow::Exit(status) => code = status,
        }
    }
    code
}

/// Runs a line as a script of its own, whatever those before it have spent.
async fn entered(line: &mut Vec<u8>, environment: &mut Environment, io: &mut Io) -> Flow {
    let text = String::from_utf8_lossy(&std::mem::take(line)).into_owned();
    io.left = WORK_LIMIT;
    script(&text, environment, io).await
}

/// Takes back the last byte typed, on the terminal too.
async fn erase(line: &mut Vec<u8>, io: &Io) {
    if line.pop().is_some() {
        io.print("\u{8} \u{8}").await;
    }
}

async fn prompt(environment: &Environment, io: &Io) {
    if io.tty {
        io.print(format!("{} # ", environment.directory)).await;
    }
}

/// Runs `a; b && c || d`, line by line.
async fn script(text: &str, environment: &mut Environment, io: &mut Io) -> Flow {
    if io.depth == DEPTH_LIMIT {
        io.complain(format!("sh: {NOT_KNOWN} scripts that run each other so deep\n")).await;
        return Flow::Next(2);
    }
    io.depth += 1;
    let flow = steps(text, environment, io).await;
    io.depth -= 1;
    flow
}

async fn steps(text: &str, environment: &mut Environment, io: &mut Io) -> Flow {
    let steps = match parse(text) {
        Ok(steps) => steps,
        Err(what) => {
            io.complain(format!("sh: {NOT_KNOWN} {what}\n")).await;
            return Flow::Next(2);
        }
    };
    let mut code = 0;
    for step in steps {
        let wanted = match step.join {
            Join::Always => true,
            Join::IfOk => code == 0,
            Join::IfFailed => code != 0,
        };
        if !wanted {
            continue;
        }
        let Some((argv, target)) = step.expand(&environment.variables, code) else {
            io.complain(format!("sh: {NOT_KNOWN} commands this long\n")).await;
            return Flow::Next(2);
        };
        if !io.takes(&argv) {
            return io.gives_up().await;
        }
        if let Some((name, value)) = assignment(&argv) {
            code = set(name, value, environment, io).await;
            continue;
        }
        let before = io.route;
        io.route = step.route.unwrap_or(before);
        let flow = match target {
            Some(target) => Box::pin(redirect::run(&target, &argv, environment, io)).await,
            None => Box::pin(command(&argv, environment, io)).await,
        };
        io.route = before;
        match flow {
            Flow::Next(status) => code = status,
            Flow::Exit(status) => return Flow::Exit(status),
        }
    }
    Flow::Next(code)
}

/// Sets a variable to a value, if there is room for it.
async fn set(name: &str, value: &str, environment: &mut Environment, io: &Io) -> i32 {
    let others = environment.variables.iter().filter(|(other, _)| *other != name);
    let held: usize = others.map(|(other, value)| other.len() + value.len()).sum();
    if held + name.len() + value.len() > VARIABLES {
        io.complain("sh: out of memory\n").await;
        return 1;
    }
    environment.variables.insert(name.to_owned(), value.to_owned());
    0
}

fn assignment(argv: &[String]) -> Option<(&str, &str)> {
    let [only] = argv else { return None };
    let (name, value) = only.split_once('=')?;
    let first = name.chars().next()?;
    let valid =
        (first.is_ascii_alphabetic() || first == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    valid.then_some((name, value))
}

/// What a command that reads nothing would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evaluation {
    pub(crate) code: i32,
    /// What is printed, and how long after the start.
    pub(crate) printed: Vec<(Duration, Bytes)>,
    /// How long it sleeps in all.
    pub(crate) slept: Duration,
    /// The files that it has written, each time they differ, with the time from its start.
    pub(crate) files: Vec<(Duration, Files)>,
}

impl Evaluation {
    /// All that is printed.
    pub(crate) fn text(&self) -> String {
        let bytes: Vec<u8> = self.printed.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Runs a command that reads nothing, in no time. It keeps up to `limit` bytes of what the command prints.
pub(crate) async fn evaluate(argv: &[String], mut environment: Environment, limit: usize) -> Evaluation {
    environment.sleeps = false;
    let (output, mut printed) = mpsc::channel(16);
    let work = async move {
        let mut io = Io::new(None, output, false);
        (run(argv, &mut environment, &mut io).await, environment.written)
    };
    let collect = async {
        let (mut all, mut room, mut slept) = (Vec::new(), limit, Duration::ZERO);
        let (mut moments, mut fresh) = (MOMENTS, MOMENT_BYTES);
        let mut files: Vec<(Duration, Files)> = Vec::new();
        while let Some(output) = printed.recv().await {
            match output {
                Output::Pause(wait, there) => {
                    let before = files.last().map(|(_, before)| before);
                    let differs = before.map_or(!there.is_empty(), |before| *before != there);
                    let bytes = new_bytes(before, &there);
                    if differs && there.len() < moments && bytes <= fresh {
                        // One that has none takes room as well.
                        moments -= there.len() + 1;
                        fresh -= bytes;
                        files.push((slept, there));
                    }
                    slept = slept.saturating_add(wait);
                }
                Output::Stdout(mut bytes) | Output::Stderr(mut bytes) => {
                    bytes.truncate(room);
                    room -= bytes.len();
                    if !bytes.is_empty() {
                        all.push((slept, bytes));
                    }
                }
            }
        }
        (all, slept, files)
    };
    let ((code, left), (printed, slept, mut files)) = tokio::join!(work, collect);
    files.push((slept, left));
    Evaluation { code, printed, slept, files }
}

/// How much is in files that were not there before, or held something else. The others share what they hold.
fn new_bytes(before: Option<&Files>, there: &Files) -> usize {
    let is_new = |path: &String, bytes: &Bytes| before.and_then(|before| before.get(path)) != Some(bytes);
    there.iter().filter(|(path, bytes)| is_new(path, bytes)).map(|(_, bytes)| bytes.len()).sum()
}

#[cfg(test)]
mod tests;
