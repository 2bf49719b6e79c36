//! What a simulated container does, judged by its image, command and owner. The one place for these rules:
//!
//! 1. An image registered as an in-process program runs that program.
//! 2. A command that the simulated shell knows how to finish is finished: its exit code is the shell's, its output goes
//!    to the log, and it takes as long as its `sleep`s (and at least [`Timings::run`](crate::Timings)). So
//!    `sh -c "echo done"`, `sleep 5`, `false` and `sh -c "exit 1"` do what they say, and what they do may depend on
//!    the container's variables and files.
//! 3. A container of a Job, or an init container, that is not such a command and reads no input succeeds after
//!    [`Timings::run`](crate::Timings). What the shell made of its command goes to the log.
//! 4. Everything else serves until it is stopped. A client that attaches to one with `stdin` is given the simulated
//!    shell, and the container ends with it ([`session`]).
//!
//! A command of the rules 2 and 3 is carried out once, when its container starts; what came of it is its [`Course`].

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod};

use crate::{
    meta::controller_of,
    shell::{self, Environment, Evaluation, Files, evaluate},
};

use super::logs;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    Program,
    Exit { code: i32, after: Duration },
    Serve,
}

/// What a command does that ends by itself, from its start on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) code: i32,
    /// How long it takes, but for the time that every command takes.
    takes: Duration,
    /// What it prints, each line with the time from its start until the line is whole.
    pub(super) lines: Vec<(Duration, String)>,
    /// The files that it has written, each time they differ.
    files: Vec<(Duration, Files)>,
}

impl Course {
    /// The files that it has written by that time.
    pub(super) fn files_at(&self, ran: Duration) -> Files {
        let there = self.files.iter().rev().find(|(at, _)| *at <= ran);
        there.map(|(_, files)| files.clone()).unwrap_or_default()
    }

    /// When it writes after that time.
    pub(super) fn writes_after(&self, ran: Duration) -> Option<Duration> {
        self.files.iter().map(|(at, _)| *at).find(|at| *at > ran)
    }
}

/// The most output of a finished command that its log keeps.
const OUTPUT_LIMIT: usize = 64 * 1024;
const POLL_LIMIT: usize = 100_000;

/// What a container does whose command has that course, if it has one.
pub(super) fn of(
    container: &Container,
    run: Duration,
    is_program: &dyn Fn(&str) -> bool,
    course: Option<&Course>,
) -> Behaviour {
    if is_program(container.image.as_deref().unwrap_or_default()) {
        return Behaviour::Program;
    }
    match course {
        Some(course) => Behaviour::Exit { code: course.code, after: course.takes.max(run) },
        None => Behaviour::Serve,
    }
}

/// Whether a container's command may end by itself; of others there is no [`Course`] to be worked out.
pub(super) fn may_end(pod: &Pod, container: &Container) -> bool {
    works(pod, container) || shell_knows(words(container))
}

/// Carries out a container's command, with its arguments as the container is given them. `None` if it does not end by
/// itself.
pub(super) fn course(pod: &Pod, container: &Container, argv: &[String], environment: Environment) -> Option<Course> {
    let done = output(argv, environment);
    let (code, takes) = match shell_knows(argv.iter()) && is_finished(&done) {
        true => (done.code, done.slept),
        false if works(pod, container) => (0, Duration::ZERO),
        false => return None,
    };
    let lines = lines(&done).into_iter().take(logs::LINES).collect();
    let writes = done.files.iter().any(|(_, files)| !files.is_empty());
    Some(Course { code, takes, lines, files: if writes { done.files } else { Vec::new() } })
}

/// Whether a container is there to come to an end, whatever its command.
fn works(pod: &Pod, container: &Container) -> bool {
    let works = match sort(pod, container) {
        Sort::Init => true,
        Sort::Main => controller_of(&pod.metadata).is_some_and(|owner| owner.kind == "Job"),
        Sort::Beside => false,
    };
    works && container.stdin != Some(true)
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

fn words(container: &Container) -> impl Iterator<Item = &String> {
    container.command.iter().chain(&container.args).flatten()
}

pub(super) fn argv(container: &Container) -> Vec<String> {
    words(container).cloned().collect()
}

/// Whether the simulated shell may be able to finish a command.
fn shell_knows<'a>(mut words: impl Iterator<Item = &'a String>) -> bool {
    let Some(first) = words.next() else { return false };
    match first.rsplit('/').next().unwrap_or(first) {
        "sh" | "bash" | "ash" => words.any(|word| word.starts_with('-') && word.ends_with('c')),
        "true" | "false" | "echo" | "printf" | "sleep" | "date" | "env" | "printenv" | "hostname" | "ls" | "pwd"
        | "uname" | "id" | "whoami" | "exit" | "touch" => true,
        _ => false,
    }
}

/// Whether a command has come to its own end, and not to that of what the simulated shell knows.
fn is_finished(done: &Evaluation) -> bool {
    // A script that the shell cannot read is a workload of its own, not a failure.
    let says = |text: &[u8]| done.printed.iter().any(|(_, bytes)| bytes.windows(text.len()).any(|part| part == text));
    let unreadable = done.code == 2 && says(shell::NOT_KNOWN.as_bytes());
    let unknown = done.code == 127;
    // It may well be there in the image, of which nothing is here.
    let missing = done.code != 0 && says(b"No such file or directory");
    // Held open for ever is how people keep a container running.
    let endless = done.slept >= Duration::from_secs(24 * 60 * 60);
    !unreadable && !unknown && !missing && !endless
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
fn output(argv: &[String], environment: Environment) -> Evaluation {
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
fn lines(evaluation: &Evaluation) -> Vec<(Duration, String)> {
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

    fn is_program(image: &str) -> bool {
        image.starts_with("acp:")
    }

    #[track_caller]
    fn check(command: &[&str], owner: Option<&str>, expect: Behaviour) {
        check_with(command, owner, &[], expect);
    }

    #[track_caller]
    fn check_with(command: &[&str], owner: Option<&str>, variables: &[(&str, &str)], expect: Behaviour) {
        let owners =
            owner.map(|kind| json!([{"apiVersion": "v1", "kind": kind, "name": "o", "uid": "u", "controller": true}]));
        let pod: Pod = serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).unwrap();
        let container: Container =
            serde_json::from_value(json!({"name": "main", "image": "registry.example/app:1", "command": command}))
                .unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let environment = Environment { variables, directory: "/".to_owned(), ..Environment::default() };
        let course = course(&pod, &container, &argv(&container), environment);
        assert!(course.is_none() || may_end(&pod, &container));
        assert_eq!(of(&container, RUN, &is_program, course.as_ref()), expect);
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
    fn commands_go_by_their_variables() {
        let script = ["sh", "-c", "[ $INDEX = 1 ] && sleep 5 && exit 3; echo part $INDEX"];
        let index = |index| [("INDEX", index)];
        check_with(&script, Some("Job"), &index("0"), Behaviour::Exit { code: 0, after: RUN });
        check_with(&script, Some("Job"), &index("1"), Behaviour::Exit { code: 3, after: Duration::from_secs(5) });
        let serves = ["sh", "-c", "$SERVER"];
        check_with(&serves, None, &[("SERVER", "nginx")], Behaviour::Serve);
        check_with(&serves, None, &[("SERVER", "true")], Behaviour::Exit { code: 0, after: RUN });
    }

    #[test]
    fn files_come_when_they_are_written() {
        let script: Container = serde_json::from_value(json!({"name": "main",
            "command": ["sh", "-c", "touch /tmp/a; sleep 5; touch /tmp/b"]}))
        .unwrap();
        let course = course(&Pod::default(), &script, &argv(&script), Environment::default()).unwrap();
        let names = |seconds| course.files_at(Duration::from_secs(seconds)).into_keys().collect::<Vec<_>>();
        assert_eq!((names(4), names(5)), (vec!["/tmp/a".to_owned()], vec!["/tmp/a".to_owned(), "/tmp/b".to_owned()]));
        assert_eq!(course.writes_after(Duration::ZERO), Some(Duration::from_secs(5)));
        assert_eq!(course.writes_after(Duration::from_secs(5)), None);
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
        assert_eq!(of(&container, RUN, &is_program, Some(&Course::default())), Behaviour::Program);
    }
}
