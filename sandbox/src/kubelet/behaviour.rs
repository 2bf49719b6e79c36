//! What a simulated container does, judged by its image, command and owner. The one place for these rules:
//!
//! 1. An image registered as an in-process program runs that program.
//! 2. A command that the simulated shell knows how to finish is finished: its exit code is the shell's, its output goes
//!    to the log, and it takes as long as its `sleep`s (and at least [`Timings::run`](crate::Timings)). So
//!    `sh -c "echo done"`, `sleep 5`, `false` and `sh -c "exit 1"` do what they say.
//! 3. A container of a Job, or an init container, that is not such a command and reads no input succeeds after
//!    [`Timings::run`](crate::Timings).
//! 4. Everything else serves until it is stopped. A client that attaches to one with `stdin` is given the simulated
//!    shell, and the container ends with it ([`session`]).

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod};

use crate::{
    meta::controller_of,
    shell::{self, Environment, Evaluation, evaluate},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    Program,
    Exit { code: i32, after: Duration },
    Serve,
}

/// The most output of a finished command that its log keeps.
const OUTPUT_LIMIT: usize = 64 * 1024;
const POLL_LIMIT: usize = 100_000;

pub(super) fn of(pod: &Pod, container: &Container, run: Duration, is_program: &dyn Fn(&str) -> bool) -> Behaviour {
    if is_program(container.image.as_deref().unwrap_or_default()) {
        return Behaviour::Program;
    }
    if let Some(Evaluation { code, slept, .. }) = finishes(&argv(container)) {
        return Behaviour::Exit { code, after: slept.max(run) };
    }
    let works = match sort(pod, container) {
        Sort::Init => true,
        Sort::Main => controller_of(&pod.metadata).is_some_and(|owner| owner.kind == "Job"),
        Sort::Beside => false,
    };
    match works && container.stdin != Some(true) {
        true => Behaviour::Exit { code: 0, after: run },
        false => Behaviour::Serve,
    }
}

enum Sort {
    Init,
    Main,
    Beside,
}

fn sort(pod: &Pod, container: &Container) -> Sort {
    let mut inits = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    match inits.find(|init| init.name == container.name) {
        Some(init) if is_sidecar(init) => Sort::Beside,
        Some(_) => Sort::Init,
        None => Sort::Main,
    }
}

/// Of an init container: whether it goes on running beside the others.
pub(super) fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// What a client that attaches to a serving container talks to; `None` if nothing there reads input.
pub(super) fn session(container: &Container) -> Option<Vec<String>> {
    let argv = argv(container);
    let readable = match argv.first().map(|first| first.rsplit('/').next().unwrap_or(first)) {
        None => return (container.stdin == Some(true)).then(|| vec!["sh".to_owned()]),
        Some(base) => matches!(base, "sh" | "bash" | "ash" | "cat"),
    };
    (container.stdin == Some(true) && readable).then_some(argv)
}

/// An ephemeral container as what it is besides: a container.
pub(super) fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let given = ephemeral.clone();
    Container {
        name: given.name,
        image: given.image,
        command: given.command,
        args: given.args,
        env: given.env,
        env_from: given.env_from,
        stdin: given.stdin,
        stdin_once: given.stdin_once,
        tty: given.tty,
        volume_mounts: given.volume_mounts,
        working_dir: given.working_dir,
        ..Container::default()
    }
}

pub(super) fn argv(container: &Container) -> Vec<String> {
    container.command.iter().chain(&container.args).flatten().cloned().collect()
}

/// What a command does that ends by itself in the simulated shell.
pub(super) fn finishes(argv: &[String]) -> Option<Evaluation> {
    let (first, _) = argv.split_first()?;
    let base = first.rsplit('/').next().unwrap_or(first);
    let known = match base {
        "sh" | "bash" | "ash" => argv.iter().any(|word| word.starts_with('-') && word.ends_with('c')),
        "true" | "false" | "echo" | "printf" | "sleep" | "date" | "env" | "printenv" | "hostname" | "ls" | "pwd"
        | "uname" | "id" | "whoami" | "exit" | "touch" => true,
        _ => false,
    };
    if !known {
        return None;
    }
    let done = output(argv, Environment { directory: "/".to_owned(), ..Environment::default() });
    // A script that the shell cannot read is a workload of its own, not a failure.
    let says = |text: &[u8]| done.printed.iter().any(|(_, bytes)| bytes.windows(text.len()).any(|part| part == text));
    let unreadable = done.code == 2 && says(shell::NOT_KNOWN.as_bytes());
    let unknown = done.code == 127;
    // It may well be there in the image, of which nothing is here.
    let missing = done.code != 0 && says(b"No such file or directory");
    // Held open for ever is how people keep a container running.
    let endless = done.slept >= Duration::from_secs(24 * 60 * 60);
    (!unreadable && !unknown && !missing && !endless).then_some(done)
}

/// What a probe or a handler does in a container; `None` if the simulated shell cannot tell.
pub(super) fn asked(argv: &[String], environment: Environment) -> Option<Evaluation> {
    let done = output(argv, environment);
    let text = done.text();
    let known = done.code != 127 && !text.contains(shell::NOT_KNOWN) && !text.contains(shell::NOT_FOUND);
    known.then_some(done)
}

/// Runs a command to its end at once. The shell waits for nothing but its own two ends of a channel here, so polling
/// on is all it takes; the bound is for scripts that would print for ever.
pub(super) fn output(argv: &[String], environment: Environment) -> Evaluation {
    let mut work = std::pin::pin!(tokio::task::unconstrained(evaluate(argv, environment, OUTPUT_LIMIT)));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..POLL_LIMIT {
        if let Poll::Ready(result) = work.as_mut().poll(&mut context) {
            return result;
        }
    }
    Evaluation { code: 124, ..Evaluation::default() }
}

/// The lines that a command prints, each with the time from its start until the line is whole.
pub(super) fn lines(evaluation: &Evaluation) -> Vec<(Duration, String)> {
    let (mut lines, mut open) = (Vec::new(), Vec::new());
    for (at, bytes) in &evaluation.printed {
        for byte in bytes {
            match byte {
                b'\n' => lines.push((*at, String::from_utf8_lossy(&std::mem::take(&mut open)).into_owned())),
                byte => open.push(*byte),
            }
        }
    }
    if !open.is_empty() {
        lines.push((evaluation.slept, String::from_utf8_lossy(&open).into_owned()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RUN: Duration = Duration::from_millis(100);

    #[track_caller]
    fn check(command: &[&str], owner: Option<&str>, expect: Behaviour) {
        let owners =
            owner.map(|kind| json!([{"apiVersion": "v1", "kind": kind, "name": "o", "uid": "u", "controller": true}]));
        let pod: Pod = serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).unwrap();
        let container: Container =
            serde_json::from_value(json!({"name": "main", "image": "registry.example/app:1", "command": command}))
                .unwrap();
        assert_eq!(of(&pod, &container, RUN, &|image| image.starts_with("acp:")), expect);
    }

    #[test]
    fn servers_serve() {
        check(&[], None, Behaviour::Serve);
        check(&["nginx", "-g", "daemon off;"], Some("ReplicaSet"), Behaviour::Serve);
        check(&["sleep", "infinity"], None, Behaviour::Serve);
        check(&["sh", "-c", "while true; do date; sleep 1; done"], None, Behaviour::Serve);
        check(&["sh", "-c", "/app/server --port 80"], None, Behaviour::Serve);
    }

    #[test]
    fn jobs_finish() {
        check(&[], Some("Job"), Behaviour::Exit { code: 0, after: RUN });
        check(&["perl", "-e", "print 1"], Some("Job"), Behaviour::Exit { code: 0, after: RUN });
    }

    #[test]
    fn commands_do_what_they_say() {
        check(&["sh", "-c", "exit 1"], Some("Job"), Behaviour::Exit { code: 1, after: RUN });
        check(&["false"], None, Behaviour::Exit { code: 1, after: RUN });
        check(&["sh", "-c", "sleep 5; echo done"], None, Behaviour::Exit { code: 0, after: Duration::from_secs(5) });
        check(&["sh", "-c", "true || sleep 5"], None, Behaviour::Exit { code: 0, after: RUN });
    }

    #[test]
    fn lines_come_when_they_are_printed() {
        let argv = ["sh", "-c", "printf be; echo gin; sleep 5; echo done; printf rest"].map(str::to_owned);
        let at = Duration::from_secs;
        let expect = [(at(0), "begin".to_owned()), (at(5), "done".to_owned()), (at(5), "rest".to_owned())];
        assert_eq!(lines(&output(&argv, Environment::default())), expect);
    }

    #[test]
    fn sessions() {
        let container = |stdin: bool, command: &[&str]| -> Container {
            serde_json::from_value(json!({"name": "main", "stdin": stdin, "command": command})).unwrap()
        };
        assert_eq!(session(&container(true, &[])), Some(vec!["sh".to_owned()]));
        assert_eq!(session(&container(true, &["/bin/cat"])), Some(vec!["/bin/cat".to_owned()]));
        assert_eq!(session(&container(true, &["python"])), None);
        assert_eq!(session(&container(false, &[])), None);
    }

    #[test]
    fn registered_images_are_programs() {
        let container: Container = serde_json::from_value(json!({"name": "main", "image": "acp:agent"})).unwrap();
        let is_program: &dyn Fn(&str) -> bool = &|image| image == "acp:agent";
        assert_eq!(of(&Pod::default(), &container, RUN, is_program), Behaviour::Program);
    }
}
