//! A pod's way over a simulated node, one step at a time. No IO: the caller writes the status and makes the events.

mod status;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};

use crate::{
    Timings,
    meta::{annotation, is_deleting},
    pods,
};

use super::{
    at_least_a_tick,
    behaviour::{self, Behaviour},
};
use status::Builder;

/// Set to `"false"` on a pod to make it report that it is not ready.
pub(crate) const READY: &str = "sandbox.cpaas.io/ready";
const RESTART_LIMIT: Duration = Duration::from_secs(300);

/// What the kubelet remembers of a pod: moments finer than the seconds that statuses carry.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    admitted: Option<Timestamp>,
    started: HashMap<String, Timestamp>,
    stopped: HashMap<String, Timestamp>,
    stopping: Option<Timestamp>,
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
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Happening {
    pub(super) container: Option<String>,
    pub(super) warning: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What to do now.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) status: Option<PodStatus>,
    pub(super) events: Vec<Happening>,
    /// Containers that began a run.
    pub(super) started: Vec<String>,
    pub(super) stop_programs: bool,
    pub(super) delete: bool,
    pub(super) again: Option<Duration>,
    pub(super) memory: Memory,
}

impl Step {
    fn tell(&mut self, container: &str, reason: &'static str, message: String) {
        self.events.push(Happening { container: Some(container.to_owned()), warning: false, reason, message });
    }

    fn look_again(&mut self, wait: Duration) {
        let wait = at_least_a_tick(wait);
        self.again = Some(self.again.map_or(wait, |earlier| earlier.min(wait)));
    }
}

pub(super) fn advance(pod: &Pod, memory: Memory, world: &World<'_>) -> Step {
    let mut step = Step { memory, ..Step::default() };
    if is_deleting(pod) {
        stop(pod, world, &mut step);
    } else if !pods::is_finished(pod) {
        let builder = Builder::new(pod, world);
        if pod.status.as_ref().is_none_or(|status| status.start_time.is_none()) {
            admit(world, builder, &mut step);
        } else {
            run(pod, world, builder, &mut step);
        }
    }
    step
}

fn admit(world: &World<'_>, mut builder: Builder<'_>, step: &mut Step) {
    step.memory.admitted = Some(world.now);
    builder.admit();
    step.status = Some(builder.finish());
    step.look_again(world.timings.start);
}

/// Graceful deletion: containers end a moment after they were asked to, programs when they have, at the latest when
/// the grace period is over.
fn stop(pod: &Pod, world: &World<'_>, step: &mut Step) {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let since = *step.memory.stopping.get_or_insert(world.now);
    let grace = Duration::from_secs(
        pod.metadata.deletion_grace_period_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0),
    );
    if since == world.now && !pods::is_finished(pod) {
        for container in containers {
            step.tell(&container.name, "Killing", format!("Stopping container {}", container.name));
        }
    }
    step.stop_programs = true;
    let programs_run = containers.iter().any(|container| {
        (world.is_program)(container.image.as_deref().unwrap_or_default())
            && step.memory.started.contains_key(&container.name)
            && !world.exits.contains_key(&container.name)
    });
    let wait = if programs_run { grace } else { world.timings.stop.min(grace) };
    match left(since, wait, world.now) {
        Some(rest) if !pods::is_finished(pod) => step.look_again(rest),
        _ => step.delete = true,
    }
}

fn run(pod: &Pod, world: &World<'_>, mut builder: Builder<'_>, step: &mut Step) {
    let admitted = *step.memory.admitted.get_or_insert(world.now);
    let Some(spec) = &pod.spec else { return };
    // One that waits to start for the first time waits for the image and the sandbox.
    let fresh = !builder.any_started();
    if fresh && let Some(rest) = left(admitted, world.timings.start, world.now) {
        step.look_again(rest);
        return;
    }
    if fresh {
        for container in spec.init_containers.iter().flatten() {
            announce(container, step);
            builder.init(container, world.now);
        }
    }
    for container in &spec.containers {
        drive(pod, container, world, &mut builder, step);
    }
    for container in spec.ephemeral_containers.iter().flatten().map(behaviour::as_container) {
        drive(pod, &container, world, &mut builder, step);
    }
    let ready = annotation(pod, READY) != Some("false");
    builder.conclude(spec, ready);
    let status = builder.finish();
    if pod.status.as_ref() != Some(&status) {
        step.status = Some(status);
    }
}

/// One container: start it, end it, or start it again.
fn drive(pod: &Pod, container: &Container, world: &World<'_>, builder: &mut Builder<'_>, step: &mut Step) {
    let name = &container.name;
    let behaviour = behaviour::of(pod, container, world.timings.run, world.is_program);
    if let Some(running_since) = builder.running_since(name) {
        // After a restart of this process nothing but the status is known; it has whole seconds.
        let known = step.memory.started.contains_key(name);
        let since = *step.memory.started.entry(name.clone()).or_insert(running_since);
        let code = match &behaviour {
            Behaviour::Exit { code, after } => match left(since, *after, world.now) {
                Some(rest) => {
                    step.look_again(rest);
                    None
                }
                None => Some(*code),
            },
            Behaviour::Program if !known => {
                step.started.push(name.clone());
                None
            }
            Behaviour::Program | Behaviour::Serve => world.exits.get(name).copied(),
        };
        let Some(code) = code else { return };
        builder.end(name, code, world.now);
        step.memory.stopped.insert(name.clone(), world.now);
        if let Some(wait) = restart_wait(pod, builder, name, code, world) {
            builder.wait_to_restart(name, wait);
            step.events.push(Happening {
                container: Some(name.clone()),
                warning: true,
                reason: "BackOff",
                message: format!("Back-off restarting failed container {name} in pod {}", crate::meta::name(pod)),
            });
            step.look_again(wait);
        }
        return;
    }
    if builder.has_ended_for_good(name) {
        return;
    }
    if let Some((code, ended)) = builder.last_end(name) {
        let since = *step.memory.stopped.entry(name.clone()).or_insert(ended);
        let wait = restart_wait(pod, builder, name, code, world).unwrap_or_default();
        if let Some(rest) = left(since, wait, world.now) {
            step.look_again(rest);
            return;
        }
    }
    announce(container, step);
    builder.start(name, world.now);
    step.memory.started.insert(name.clone(), world.now);
    step.started.push(name.clone());
    if let Behaviour::Exit { after, .. } = behaviour {
        step.look_again(after);
    }
}

/// How long a container that has ended waits for its next run; `None` if its pod wants none, or if it is ephemeral.
fn restart_wait(pod: &Pod, builder: &Builder<'_>, name: &str, code: i32, world: &World<'_>) -> Option<Duration> {
    if builder.is_ephemeral(name) {
        return None;
    }
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    let again = policy == "Always" || (policy == "OnFailure" && code != 0);
    let doubled = world.timings.restart.saturating_mul(1 << builder.restarts(name).clamp(0, 16));
    again.then(|| doubled.min(RESTART_LIMIT))
}

fn announce(container: &Container, step: &mut Step) {
    let image = container.image.as_deref().unwrap_or_default();
    let name = &container.name;
    step.tell(name, "Pulled", format!("Container image {image:?} already present on machine"));
    step.tell(name, "Created", format!("Created container: {name}"));
    step.tell(name, "Started", format!("Started container {name}"));
}

fn left(since: Timestamp, wait: Duration, now: Timestamp) -> Option<Duration> {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    let rest = wait.checked_sub(now.duration_since(since))?;
    Duration::try_from(rest).ok().filter(|rest| !rest.is_zero())
}

#[cfg(test)]
mod tests;
