//! How containers are stopped: one that fails its probes, those of a pod that is deleted or has had its time, and the
//! sidecars of one whose work is done.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;

use super::{
    Behaviour, Turn, behaviour,
    container::End,
    hook::{self, Hook},
    left, passed, seconds,
    status::Outcome,
};

pub(super) const DEADLINE: &str = "Pod was active on the node longer than the specified deadline";
/// Killed.
pub(super) const KILLED: i32 = 137;

/// A pod's way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) since: Timestamp,
    pub(super) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Deleted,
    Deadline,
    Completed,
}

impl Ending {
    pub(super) fn outcome(self) -> Outcome {
        match self.why {
            Why::Deadline => Outcome::Failed { reason: "DeadlineExceeded", message: DEADLINE },
            Why::Deleted | Why::Completed => Outcome::Over,
        }
    }
}

/// A container's way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    since: Timestamp,
    hook: Hook,
    code: i32,
    /// Whether it is to run again, however it ends.
    pub(super) restarts: bool,
}

impl Turn<'_> {
    /// Graceful deletion. The last thing told of a pod is how its containers ended.
    pub(super) fn delete(&mut self) {
        let fresh = Ending { since: self.world.now, why: Why::Deleted };
        let ending = match self.step.memory.ending {
            Some(ending) if ending.why == Why::Deleted => ending,
            _ => fresh,
        };
        self.step.memory.ending = Some(ending);
        self.step.delete = self.end(ending);
        if self.builder.has_changed() {
            let outcome = if self.step.delete { Outcome::Over } else { Outcome::Going };
            self.builder.conclude(&outcome);
            self.report();
        }
    }

    /// Stops what runs: sidecars after the others, the last of them first. Says whether all have ended.
    pub(super) fn end(&mut self, ending: Ending) -> bool {
        let grace = match ending.why {
            Why::Deleted => seconds(self.pod.metadata.deletion_grace_period_seconds, 0),
            Why::Deadline | Why::Completed => self.grace(),
        };
        let inits = self.spec.init_containers.iter().flatten();
        let (sidecars, inits): (Vec<&Container>, Vec<&Container>) = inits.partition(|init| behaviour::is_sidecar(init));
        let ephemeral: Vec<Container> =
            self.spec.ephemeral_containers.iter().flatten().map(behaviour::as_container).collect();
        let mut ended = true;
        for container in self.spec.containers.iter().chain(inits).chain(&ephemeral) {
            ended &= self.stop(container, grace);
        }
        let rest = grace.saturating_sub(passed(ending.since, self.world.now));
        for container in sidecars.into_iter().rev() {
            ended = ended && self.stop(container, rest.max(self.world.timings.stop.min(grace)));
        }
        ended
    }

    /// Says whether the container does not run, or no longer.
    fn stop(&mut self, container: &Container, grace: Duration) -> bool {
        if self.builder.running_since(&container.name).is_none() {
            return true;
        }
        if self.memory(container).stop.is_none() {
            let code = if self.stops_when_asked(container) { 0 } else { KILLED };
            self.begin_stop(container, format!("Stopping container {}", container.name), code, false);
        }
        self.finish_stop(container, grace)
    }

    /// Asks a container to stop.
    pub(super) fn begin_stop(&mut self, container: &Container, message: String, code: i32, restarts: bool) {
        let since = self.world.now;
        let ran = self.remembered(container).and_then(|run| run.started).map_or(Duration::ZERO, |at| passed(at, since));
        let hook = hook::run(hook::pre_stop(container), container, ran, self.world.inside);
        self.tell_of(container, "Killing", message);
        if hook.fails {
            self.warn_of(container, "FailedPreStopHook", "PreStopHook failed".to_owned());
        }
        self.memory(container).stop = Some(Stop { since, hook, code, restarts });
    }

    /// Ends a container that was asked to stop, once its hook has run and it has had a moment, at the latest when the
    /// grace period is over; a program, when it has ended. Says whether it has.
    pub(super) fn finish_stop(&mut self, container: &Container, grace: Duration) -> bool {
        let Some(stop) = self.memory(container).stop else { return true };
        let now = self.world.now;
        let asked = left(stop.since, stop.hook.takes.min(grace), now);
        if asked.is_none() {
            self.step.stopping.push(container.name.clone());
        }
        let exit = self.exit(container);
        let wait = match self.is_program(container) {
            true => grace,
            false => stop.hook.takes.saturating_add(self.world.timings.stop).min(grace),
        };
        if let Some(rest) = left(stop.since, wait, now).filter(|_| exit.is_none()) {
            self.look_again(asked.map_or(rest, |asked| asked.min(rest)));
            return false;
        }
        let in_time = !self.is_program(container) && stop.hook.takes < grace;
        let code = exit.unwrap_or(if in_time { stop.code } else { KILLED });
        self.finish_run(container, End::with_code(code));
        true
    }

    /// A server knows the signal; the shell and what it runs do not.
    fn stops_when_asked(&self, container: &Container) -> bool {
        self.behaviour(container) == Behaviour::Serve
    }

    pub(super) fn grace(&self) -> Duration {
        seconds(self.spec.termination_grace_period_seconds, 30)
    }
}
