//! A pod's way over a simulated node, one step at a time. No IO: the caller writes the status and makes the events.
//!
//! What a pod has come to is read from its status, which outlives this process; [`Memory`] adds the moments that are
//! finer than a status tells, and what has no place there: probes, back-offs, pulls. Nothing is looked at again before
//! it can change: a container that serves, and whose probes succeed, costs nothing.

mod back_off;
mod container;
mod ending;
mod hook;
mod image;
mod probe;
mod status;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus};

use crate::{
    Timings,
    events::Notice,
    fault::{Fault, FaultKind},
    meta::is_deleting,
    pods,
    shell::{Evaluation, Files},
};

use super::{
    after, at_least_a_tick,
    behaviour::{self, Behaviour, Course},
};
use ending::{Ending, Why};
use status::{Builder, Outcome};

pub(super) use image::normalized;

/// Set to `"false"` on a pod to make it report that it is not ready.
pub(crate) const READY: &str = "sandbox.cpaas.io/ready";

/// What the kubelet remembers of a pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    admitted: Option<Timestamp>,
    /// What it has last complained of.
    complaint: String,
    runs: HashMap<String, container::Run>,
    ending: Option<Ending>,
}

/// What a step may look at.
pub(super) struct World<'a> {
    pub(super) now: Timestamp,
    pub(super) timings: &'a Timings,
    pub(super) host_ip: &'a str,
    pub(super) pod_ip: Option<&'a str>,
    /// Exit codes of programs and of attached sessions that have ended, by container.
    pub(super) exits: &'a BTreeMap<String, i32>,
    pub(super) is_program: &'a dyn Fn(&str) -> bool,
    /// What is to go wrong with this pod.
    pub(super) faults: &'a [Fault],
    /// What was said of faults and cannot be understood.
    pub(super) complaints: &'a [String],
    pub(super) inside: &'a dyn Inside,
}

/// What only a look into a container, or at its node, tells. A container is looked at some time after its start.
pub(super) trait Inside {
    /// Whether the node has the image.
    fn has_image(&self, image: &str) -> bool;

    /// What the container's command does in its present run, if it ends by itself. Of a run that begins with this step
    /// nothing is known yet.
    fn course(&self, container: &Container) -> Option<Arc<Course>>;

    /// What was written in the container.
    fn written(&self, container: &Container, ran: Duration) -> Files;

    /// When, after that, the container will write again by itself.
    fn writes_next(&self, container: &Container, ran: Duration) -> Option<Duration>;

    /// What a command does there; `None` if the shell there does not know.
    fn evaluate(&self, container: &Container, argv: &[String], ran: Duration) -> Option<Evaluation>;

    /// The log of a run that ended with that code.
    fn log(&self, container: &Container, started: Timestamp, code: i32) -> String;
}

/// What an event is about, besides the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    Pod,
    Container { list: &'static str, name: String },
    Node,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Happening {
    pub(super) about: About,
    pub(super) notice: Notice,
}

/// What to do now.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) status: Option<PodStatus>,
    pub(super) events: Vec<Happening>,
    /// Containers that began a run.
    pub(super) started: Vec<String>,
    /// Containers that are asked to stop.
    pub(super) stopping: Vec<String>,
    /// Images that the node has from now on.
    pub(super) pulled: Vec<String>,
    pub(super) delete: bool,
    pub(super) again: Option<Duration>,
    pub(super) memory: Memory,
}

pub(super) fn advance(pod: &Pod, memory: Memory, world: &World<'_>) -> Step {
    let step = Step { memory, ..Step::default() };
    let Some(spec) = &pod.spec else { return step };
    let mut turn = Turn { pod, spec, world, builder: Builder::new(pod, spec, world), step };
    let admitted = pod.status.as_ref().is_some_and(|status| status.start_time.is_some());
    match (is_deleting(pod), pods::is_finished(pod), admitted) {
        (true, false, true) => turn.delete(),
        (true, _, _) => turn.step.delete = true,
        (false, true, _) => {}
        (false, false, false) => turn.admit(),
        (false, false, true) => turn.run(),
    }
    turn.step
}

/// One step under way.
struct Turn<'a> {
    pod: &'a Pod,
    spec: &'a PodSpec,
    world: &'a World<'a>,
    builder: Builder<'a>,
    step: Step,
}

/// What sort of container one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Init,
    Sidecar,
    Main,
    Ephemeral,
}

impl<'a> Turn<'a> {
    fn admit(&mut self) {
        self.step.memory.admitted = Some(self.world.now);
        self.builder.admit();
        self.report();
        self.look_again(self.world.timings.start);
    }

    fn run(&mut self) {
        self.complain();
        let admitted = *self.step.memory.admitted.get_or_insert_with(|| match self.builder.started_at() {
            Some(at) if self.builder.any_started() => at,
            _ => self.world.now,
        });
        // One that waits to start for the first time waits for its sandbox.
        let sandbox = left(admitted, self.world.timings.start, self.world.now);
        if let Some(rest) = sandbox.filter(|_| !self.builder.any_started()) {
            return self.look_again(rest);
        }
        if self.is_past_deadline(admitted) && self.step.memory.ending.is_none() {
            self.step.memory.ending = Some(Ending { since: self.world.now, why: Why::Deadline });
            self.tell(About::Pod, Notice::normal("DeadlineExceeded", ending::DEADLINE));
        }
        if self.step.memory.ending.is_none() {
            self.drive_all();
            if self.is_over() {
                self.step.memory.ending = Some(Ending { since: self.world.now, why: Why::Completed });
            }
        }
        let outcome = match self.step.memory.ending {
            Some(ending) => match self.end(ending) {
                true => ending.outcome(),
                false => Outcome::Going,
            },
            None => Outcome::Going,
        };
        // While the first image is being pulled there is nothing to report.
        if self.builder.any_started() || self.builder.has_changed() || outcome != Outcome::Going {
            self.builder.conclude(&outcome);
            self.report();
        }
    }

    /// Init containers one after the other, sidecars among them as soon as they have started, then all the others.
    fn drive_all(&mut self) {
        if self.drive_inits() {
            for container in &self.spec.containers {
                self.drive(container, Role::Main);
            }
        }
        for container in self.spec.ephemeral_containers.iter().flatten().map(behaviour::as_container) {
            self.drive(&container, Role::Ephemeral);
        }
    }

    /// Says whether the main containers may run.
    fn drive_inits(&mut self) -> bool {
        let initialized = self.builder.is_initialized();
        for container in self.spec.init_containers.iter().flatten() {
            let name = &container.name;
            if behaviour::is_sidecar(container) {
                self.drive(container, Role::Sidecar);
                if !initialized && !self.builder.is_started(name) {
                    return false;
                }
            } else if !initialized && !self.builder.has_succeeded(name) {
                self.drive(container, Role::Init);
                if !self.builder.has_succeeded(name) {
                    return false;
                }
            }
        }
        true
    }

    /// Nothing that the pod is for will run again.
    fn is_over(&self) -> bool {
        let ended = |container: &Container, role| self.has_ended_for_good(container, role);
        let mut inits = self.spec.init_containers.iter().flatten().filter(|init| !behaviour::is_sidecar(init));
        let failed = inits.any(|init| !self.builder.has_succeeded(&init.name) && ended(init, Role::Init));
        failed && !self.builder.is_initialized()
            || self.spec.containers.iter().all(|container| ended(container, Role::Main))
    }

    fn is_past_deadline(&mut self, admitted: Timestamp) -> bool {
        let seconds = self.spec.active_deadline_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let Some(deadline) = seconds.map(Duration::from_secs) else { return false };
        match left(admitted, deadline, self.world.now) {
            Some(rest) => {
                self.look_again(rest);
                false
            }
            None => true,
        }
    }

    /// Tells once of each set of words that nobody understands.
    fn complain(&mut self) {
        let complaint = self.world.complaints.join("\n");
        if complaint == self.step.memory.complaint {
            return;
        }
        for text in self.world.complaints {
            self.tell(About::Pod, Notice::warning("InvalidFault", text));
        }
        self.step.memory.complaint = complaint;
    }

    /// A fault without a name concerns the main containers.
    fn fault(&self, container: &Container, wanted: impl Fn(FaultKind) -> bool) -> Option<FaultKind> {
        let main = self.spec.containers.iter().any(|other| other.name == container.name);
        let concerns = |fault: &&Fault| match &fault.container {
            None => main,
            Some(name) => *name == container.name,
        };
        self.world.faults.iter().filter(concerns).map(|fault| fault.kind).find(|kind| wanted(*kind))
    }

    fn has_fault(&self, container: &Container, kind: FaultKind) -> bool {
        self.fault(container, |other| other == kind).is_some()
    }

    fn is_program(&self, container: &Container) -> bool {
        (self.world.is_program)(container.image.as_deref().unwrap_or_default())
    }

    fn behaviour(&self, container: &Container) -> Behaviour {
        let course = self.world.inside.course(container);
        behaviour::of(container, self.world.timings.run, self.world.is_program, course.as_deref())
    }

    fn memory(&mut self, container: &Container) -> &mut container::Run {
        self.step.memory.runs.entry(container.name.clone()).or_default()
    }

    fn remembered(&self, container: &Container) -> Option<&container::Run> {
        self.step.memory.runs.get(&container.name)
    }

    fn report(&mut self) {
        let status = self.builder.take();
        if self.pod.status.as_ref() != Some(&status) {
            self.step.status = Some(status);
        }
    }

    fn tell(&mut self, about: About, notice: Notice) {
        self.step.events.push(Happening { about, notice });
    }

    fn tell_of(&mut self, container: &Container, reason: &'static str, message: String) {
        let about = self.about(container);
        self.tell(about, Notice::normal(reason, message));
    }

    fn warn_of(&mut self, container: &Container, reason: &'static str, message: String) {
        let about = self.about(container);
        self.tell(about, Notice::warning(reason, message));
    }

    fn about(&self, container: &Container) -> About {
        let has = |list: &[Container]| list.iter().any(|other| other.name == container.name);
        let list = match &self.spec.init_containers {
            Some(inits) if has(inits) => "initContainers",
            _ if has(&self.spec.containers) => "containers",
            _ => "ephemeralContainers",
        };
        About::Container { list, name: container.name.clone() }
    }

    fn look_again(&mut self, wait: Duration) {
        let wait = at_least_a_tick(wait);
        self.step.again = Some(self.step.again.map_or(wait, |earlier| earlier.min(wait)));
    }
}

/// What is left of a wait; `None` when it is over.
fn left(since: Timestamp, wait: Duration, now: Timestamp) -> Option<Duration> {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    let rest = wait.checked_sub(now.duration_since(since))?;
    Duration::try_from(rest).ok().filter(|rest| !rest.is_zero())
}

/// How long ago something was; zero for what lies ahead.
fn passed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

fn seconds(given: Option<i64>, default: u64) -> Duration {
    Duration::from_secs(given.map_or(default, |seconds| u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests;
