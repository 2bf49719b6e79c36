//! The commands of the simulated shell.

use std::{fmt::Write, time::Duration};

use jiff::Timestamp;

use crate::volumes::Refusal;

use super::{Environment, Io, NOT_FOUND, Output, set, tar};

/// No single sleep lasts longer; the session's own limits end it earlier.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn run(name: &str, args: &[String], environment: &mut Environment, io: &mut Io) -> i32 {
    match name {
        "true" | ":" => 0,
        "false" => 1,
        "echo" => echo(args, io).await,
        "printf" => printf(args, io).await,
        "cat" => cat(args, environment, io).await,
        "ls" => list(args, environment, io).await,
        "env" | "printenv" => env(args, environment, io).await,
        "export" => export(args, environment, io).await,
        "pwd" => line(io, environment.directory.clone()).await,
        "cd" => change_directory(args, environment, io).await,
        "hostname" => line(io, environment.hostname.clone()).await,
        "whoami" => line(io, "root").await,
        "id" => line(io, "uid=0(root) gid=0(root) groups=0(root)").await,
        "uname" => uname(args, environment, io).await,
        "date" => line(io, Timestamp::now().strftime("%a %b %e %H:%M:%S UTC %Y").to_string()).await,
        "sleep" => sleep(args, environment, io).await,
        "test" | "[" => i32::from(!holds(args, environment)),
        "rm" => remove(args, environment, io).await,
        "tar" => tar::run(args, environment, io).await,
        "touch" => touch(args, environment, io).await,
        // There are no empty directories here: one is where a file is.
        "set" | "trap" | "umask" | "mkdir" | "chmod" | "chown" | "sync" => 0,
        _ => {
            io.complain(format!("sh: {name}: {NOT_FOUND}\n")).await;
            127
        }
    }
}

async fn line(io: &Io, text: impl Into<String>) -> i32 {
    io.print(text.into() + "\n").await;
    0
}

async fn echo(args: &[String], io: &Io) -> i32 {
    let (end, words) = match args.split_first() {
        Some((flag, rest)) if flag == "-n" => ("", rest),
        Some((flag, rest)) if flag == "-e" => ("\n", rest),
        _ => ("\n", args),
    };
    io.print(words.join(" ") + end).await;
    0
}

async fn printf(args: &[String], io: &Io) -> i32 {
    let Some((format, rest)) = args.split_first() else { return 2 };
    let mut values = rest.iter();
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('t')) => text.push('\t'),
            ('%', Some('s' | 'd')) => text.push_str(values.next().map_or("", String::as_str)),
            ('%', Some('%')) => text.push('%'),
            _ => {
                text.push(c);
                continue;
            }
        }
        chars.next();
    }
    io.print(text).await;
    0
}

async fn cat(args: &[String], environment: &Environment, io: &mut Io) -> i32 {
    if args.is_empty() || args == ["-"] {
        let Some(mut stdin) = io.stdin.take() else { return 0 };
        while let Some(bytes) = stdin.recv().await {
            // End of transmission, as a terminal sends it.
            if io.tty && bytes.contains(&4) {
                break;
            }
            io.write(bytes).await;
        }
        return 0;
    }
    let mut code = 0;
    for path in args.iter().filter(|arg| !arg.starts_with('-')) {
        match environment.file(&absolute(path, environment)) {
            Some(bytes) => io.write(bytes).await,
            None => {
                io.complain(format!("cat: can't open '{path}': No such file or directory\n")).await;
                code = 1;
            }
        }
    }
    code
}

pub(super) fn absolute(path: &str, environment: &Environment) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", environment.directory) };
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Directories that are always there.
const TOP: [&str; 10] = ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var"];

/// The names directly below a directory; the usual top-level ones are always there.
fn below(directory: &str, environment: &Environment) -> std::collections::BTreeSet<String> {
    let prefix = if directory == "/" { "/".to_owned() } else { format!("{directory}/") };
    let mounts = environment.mounts.iter().map(|mount| mount.path.clone());
    let paths = environment.all_files().into_keys().chain(mounts);
    let children = paths.filter_map(|path| Some(path.strip_prefix(&prefix)?.split('/').next()?.to_owned()));
    let mut names: std::collections::BTreeSet<String> = children.collect();
    if directory == "/" {
        names.extend(TOP.map(str::to_owned));
    }
    names
}

pub(super) fn is_directory(path: &str, environment: &Environment) -> bool {
    path == "/" || TOP.contains(&path.trim_start_matches('/')) || environment.lies_above(path)
}

async fn list(args: &[String], environment: &Environment, io: &Io) -> i32 {
    let mut paths: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
    if paths.is_empty() {
        paths.push(".");
    }
    let mut code = 0;
    for path in paths {
        let full = absolute(path, environment);
        if environment.file(&full).is_some() {
            line(io, path).await;
        } else if is_directory(&full, environment) {
            let mut text = String::new();
            for name in below(&full, environment) {
                let _ = writeln!(text, "{name}");
            }
            io.print(text).await;
        } else {
            io.complain(format!("ls: {path}: No such file or directory\n")).await;
            code = 1;
        }
    }
    code
}

async fn touch(args: &[String], environment: &mut Environment, io: &Io) -> i32 {
    let mut code = 0;
    for path in args.iter().filter(|arg| !arg.starts_with('-')) {
        let full = absolute(path, environment);
        let content = environment.file(&full).unwrap_or_default();
        if let Err(why) = environment.write(&full, content) {
            io.complain(format!("touch: {path}: {why}\n")).await;
            code = 1;
        }
    }
    code
}

async fn remove(args: &[String], environment: &mut Environment, io: &Io) -> i32 {
    let forced = args.iter().any(|arg| arg.starts_with('-') && arg.contains('f'));
    let whole = args.iter().any(|arg| arg.starts_with('-') && (arg.contains('r') || arg.contains('R')));
    let mut code = 0;
    for path in args.iter().filter(|arg| !arg.starts_with('-')) {
        let full = absolute(path, environment);
        let below = format!("{}/", full.trim_end_matches('/'));
        let files: Vec<String> = match whole {
            true => {
                environment.all_files().into_keys().filter(|file| *file == full || file.starts_with(&below)).collect()
            }
            false => vec![full],
        };
        for file in files {
            match environment.remove(&file) {
                Err(Refusal::Missing) if forced => {}
                Err(why) => {
                    io.complain(format!("rm: can't remove '{path}': {why}\n")).await;
                    code = 1;
                }
                Ok(()) => {}
            }
        }
    }
    code
}

async fn change_directory(args: &[String], environment: &mut Environment, io: &Io) -> i32 {
    let path = absolute(args.first().map_or("/root", String::as_str), environment);
    if is_directory(&path, environment) {
        environment.directory = path;
        return 0;
    }
    io.complain(format!("sh: cd: can't cd to {path}: No such file or directory\n")).await;
    1
}

async fn env(args: &[String], environment: &Environment, io: &Io) -> i32 {
    if let Some(name) = args.first() {
        return match environment.variables.get(name) {
            Some(value) => line(io, value.clone()).await,
            None => 1,
        };
    }
    let mut text = String::new();
    for (name, value) in &environment.variables {
        let _ = writeln!(text, "{name}={value}");
    }
    io.print(text).await;
    0
}

async fn export(args: &[String], environment: &mut Environment, io: &Io) -> i32 {
    let mut code = 0;
    for (name, value) in args.iter().filter_map(|arg| arg.split_once('=')) {
        code = code.max(set(name, value, environment, io).await);
    }
    code
}

async fn uname(args: &[String], environment: &Environment, io: &Io) -> i32 {
    let text = match args.first().map(String::as_str) {
        Some("-a") => format!("Linux {} 6.6.0-simulated #1 SMP x86_64 GNU/Linux", environment.hostname),
        Some("-n") => environment.hostname.clone(),
        Some("-r") => "6.6.0-simulated".to_owned(),
        Some("-m") => "x86_64".to_owned(),
        _ => "Linux".to_owned(),
    };
    line(io, text).await
}

/// Reads `5`, `0.5`, `2m` and `infinity`.
fn duration(text: &str) -> Option<Duration> {
    if text == "infinity" {
        return Some(LONGEST_SLEEP);
    }
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (&text[..at], 1.0),
        (at, 'm') => (&text[..at], 60.0),
        (at, 'h') => (&text[..at], 3600.0),
        (at, 'd') => (&text[..at], 86400.0),
        _ => (text, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST_SLEEP))
}

async fn sleep(args: &[String], environment: &Environment, io: &Io) -> i32 {
    let Some(wait) = args.first().and_then(|text| duration(text)) else {
        io.complain("sleep: invalid number\n").await;
        return 1;
    };
    if environment.sleeps {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = io.output.closed() => {}
        }
    } else {
        // Nobody who listens means that nobody asks how long it took.
        let _ = io.output.send(Output::Pause(wait, environment.written.clone())).await;
    }
    0
}

fn holds(args: &[String], environment: &Environment) -> bool {
    let args: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "]").collect();
    match args.as_slice() {
        ["-n", text] | [text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        ["-d", path] => is_directory(&absolute(path, environment), environment),
        ["-f", path] => environment.file(&absolute(path, environment)).is_some(),
        ["-e", path] => {
            let path = absolute(path, environment);
            environment.file(&path).is_some() || is_directory(&path, environment)
        }
        [a, "=" | "==", b] => a == b,
        [a, "!=", b] => a != b,
        [a, "-eq", b] => a == b,
        _ => false,
    }
}
