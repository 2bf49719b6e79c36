//! What a simulated container does, judged by its image, command and owner. The one place for these rules:
//!
//! 1. An image registered as an in-process program runs that program.
//! 2. A command that the simulated shell knows how to finish is finished: its exit code is the shell's, its output goes
//!    to the log, and it takes as long as its `sleep`s (and at least [`Timings::run`](crate::Timings)). So
//!    `sh -c "echo done"`, `sleep 5`, `false` and `sh -c "exit 1"` do what they say.
//! 3. A container of a Job that is not such a command succeeds after [`Timings::run`](crate::Timings).
//! 4. Everything else serves until it is stopped.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::{
    meta::controller_of,
    shell::{Environment, commands::duration, evaluate},
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
    let argv = argv(container);
    if let Some((code, slept)) = finishes(&argv) {
        return Behaviour::Exit { code, after: slept.max(run) };
    }
    match controller_of(&pod.metadata) {
        Some(owner) if owner.kind == "Job" => Behaviour::Exit { code: 0, after: run },
        _ => Behaviour::Serve,
    }
}

pub(super) fn argv(container: &Container) -> Vec<String> {
    container.command.iter().chain(&container.args).flatten().cloned().collect()
}

/// The exit code of a command that ends by itself in the simulated shell, and how long it sleeps before that.
fn finishes(argv: &[String]) -> Option<(i32, Duration)> {
    let (first, _) = argv.split_first()?;
    let base = first.rsplit('/').next().unwrap_or(first);
    let slept = sleeps(argv);
    // Held open for ever is how people keep a container running.
    if slept >= Duration::from_secs(24 * 60 * 60) {
        return None;
    }
    let known = match base {
        "sh" | "bash" | "ash" => argv.iter().any(|word| word.starts_with('-') && word.ends_with('c')),
        "true" | "false" | "echo" | "printf" | "sleep" | "date" | "env" | "printenv" | "hostname" | "ls" | "pwd"
        | "uname" | "id" | "whoami" | "exit" => true,
        _ => false,
    };
    if !known {
        return None;
    }
    let (code, printed) = output(argv, Environment { directory: "/".to_owned(), ..Environment::default() });
    // A script that the shell cannot read is a workload of its own, not a failure.
    let unreadable = code == 2 && printed.windows(19).any(|part| part == b"the simulated shell");
    let unknown = code == 127;
    (!unreadable && !unknown).then_some((code, slept))
}

/// Runs a command to its end at once. The shell waits for nothing but its own two ends of a channel here, so polling
/// on is all it takes; the bound is for scripts that would print for ever.
pub(super) fn output(argv: &[String], environment: Environment) -> (i32, Vec<u8>) {
    let mut work = std::pin::pin!(tokio::task::unconstrained(evaluate(argv, environment, OUTPUT_LIMIT)));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..POLL_LIMIT {
        if let Poll::Ready(result) = work.as_mut().poll(&mut context) {
            return result;
        }
    }
    (124, Vec::new())
}

fn sleeps(argv: &[String]) -> Duration {
    let words: Vec<&str> =
        argv.iter().flat_map(|word| word.split([' ', ';', '\n', '&', '|'])).filter(|word| !word.is_empty()).collect();
    words
        .windows(2)
        .filter(|pair| pair[0] == "sleep" || pair[0].ends_with("/sleep"))
        .filter_map(|pair| duration(pair[1]))
        .fold(Duration::ZERO, Duration::saturating_add)
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
    }

    #[test]
    fn registered_images_are_programs() {
        let container: Container = serde_json::from_value(json!({"name": "main", "image": "acp:agent"})).unwrap();
        let is_program: &dyn Fn(&str) -> bool = &|image| image == "acp:agent";
        assert_eq!(of(&Pod::default(), &container, RUN, is_program), Behaviour::Program);
    }
}
