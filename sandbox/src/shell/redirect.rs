//! `>` and `>>`: what a command prints becomes a file.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::volumes::Refusal;

use super::{
    Environment, Flow, Io, Output, Route, command, commands::absolute, files::ROOM, for_terminal, parse::Target,
};

/// Runs a command whose output goes to a file. The file is there before the command begins, and stays empty when what
/// is printed has no room.
pub(super) async fn run(target: &Target, argv: &[String], environment: &mut Environment, io: &mut Io) -> Flow {
    let path = absolute(&target.path, environment);
    let kept = if target.append { environment.file(&path).unwrap_or_default() } else { Bytes::new() };
    if let Err(why) = open(&path, &kept, environment) {
        io.complain(format!("sh: can't create {}: {why}\n", target.path)).await;
        return Flow::Next(1);
    }
    let (flow, printed) = captured(argv, environment, io).await;
    let content: Bytes = [kept, printed].concat().into();
    match environment.write(&path, content) {
        Ok(()) => flow,
        Err(why) => {
            let speaker = match argv.first().map(|first| first.rsplit('/').next().unwrap_or(first)) {
                // These are the shell's own.
                Some("echo" | "printf") | None => "sh",
                Some(command) => command,
            };
            io.complain(format!("{speaker}: write error: {why}\n")).await;
            Flow::Next(1)
        }
    }
}

fn open(path: &str, kept: &Bytes, environment: &mut Environment) -> Result<(), Refusal> {
    match environment.refusal(path) {
        Some(why) => Err(why),
        // What was there before still has its room.
        None => environment.write(path, kept.clone()).or_else(|why| if kept.is_empty() { Err(why) } else { Ok(()) }),
    }
}

/// Runs a command and keeps what it prints. What it complains of goes where it went before.
async fn captured(argv: &[String], environment: &mut Environment, io: &mut Io) -> (Flow, Bytes) {
    let (to, mut from) = mpsc::channel(16);
    let (tty, route) = (io.tty, io.route);
    let outer = std::mem::replace(&mut io.output, to);
    (io.tty, io.route) = (false, Route::Stdout);
    let given_back = outer.clone();
    let work = async {
        let flow = command(argv, environment, io).await;
        // With the last sender the collection ends.
        io.output = given_back;
        (io.tty, io.route) = (tty, route);
        flow
    };
    let collect = async {
        let mut printed = BytesMut::new();
        while let Some(output) = from.recv().await {
            let passed_on = match output {
                Output::Stdout(bytes) => {
                    // One byte more than there is room for is enough to know.
                    let room = (ROOM + 1).saturating_sub(printed.len());
                    printed.extend_from_slice(&bytes[..bytes.len().min(room)]);
                    continue;
                }
                Output::Stderr(bytes) if tty => Output::Stdout(for_terminal(bytes, true)),
                other => other,
            };
            if outer.send(passed_on).await.is_err() {
                break;
            }
        }
        printed.freeze()
    };
    tokio::join!(work, collect)
}
