//! One container: started, watched, ended, and started again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;

use crate::{
    duration::Printed,
    events::Notice,
    fault::FaultKind,
    kubelet::behaviour,
    meta::{name, namespace, uid},
};

use super::{
    About, Behaviour, Role, Turn, after,
    back_off::BackOff,
    ending::{KILLED, Stop},
    hook,
    image::Pull,
    left, passed, probe, seconds,
    status::Stage,
};

/// The most of a termination message that upstream keeps, from a file and from a log.
const MESSAGE_LIMIT: usize = 4096;
const LOG_LIMIT: usize = 2048;
const LOG_LINES: usize = 80;

/// What is known of a container besides its status.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    /// When the present run began.
    pub(super) started: Option<Timestamp>,
    /// When the last one ended.
    stopped: Option<Timestamp>,
    /// What made it end.
    cause: Option<FaultKind>,
    /// Whether the last one is followed by another, however it ended.
    forced: bool,
    back_off: Option<BackOff>,
    pub(super) pull: Pull,
    pub(super) pull_back_off: Option<BackOff>,
    /// A `postStart` handler under way: when it ends, and whether well.
    hook: Option<(Timestamp, bool)>,
    pub(super) probes: probe::Records,
    pub(super) stop: Option<Stop>,
}

/// How a run ends.
pub(super) struct End {
    code: i32,
    reason: &'static str,
    cause: Option<FaultKind>,
}

impl End {
    pub(super) fn with_code(code: i32) -> Self {
        Self { code, reason: if code == 0 { "Completed" } else { "Error" }, cause: None }
    }
}

impl Turn<'_> {
    /// Moves one container on.
    pub(super) fn drive(&mut self, container: &Container, role: Role) {
        if self.memory(container).hook.is_some() {
            return self.finish_hook(container, role);
        }
        match self.builder.stage(&container.name) {
            Stage::Running { since } => self.watch(container, role, since),
            Stage::Waiting => self.launch(container, role),
            Stage::Ended { code, at } => self.restart(container, role, code, at, true),
            Stage::Again { code, at } => self.restart(container, role, code, at, false),
        }
    }

    pub(super) fn has_ended_for_good(&self, container: &Container, role: Role) -> bool {
        match self.builder.stage(&container.name) {
            Stage::Ended { code, .. } => !self.restarts(container, role, code),
            _ => false,
        }
    }

    fn restarts(&self, container: &Container, role: Role, code: i32) -> bool {
        let policy = self.spec.restart_policy.as_deref().unwrap_or("Always");
        let forced = self.remembered(container).is_some_and(|run| run.forced);
        match role {
            Role::Ephemeral => false,
            Role::Sidecar => true,
            Role::Init => code != 0 && policy != "Never",
            Role::Main => policy == "Always" || (policy == "OnFailure" && (code != 0 || forced)),
        }
    }

    /// A running container: asks its probes, and ends it when its time has come.
    fn watch(&mut self, container: &Container, role: Role, since: Timestamp) {
        let program = self.is_program(container);
        // After a restart of this process nothing but the status is known; it has whole seconds.
        let known = self.memory(container).started;
        let started = *self.memory(container).started.get_or_insert(since);
        if known.is_none() && program {
            self.step.started.push(container.name.clone());
        }
        if self.memory(container).stop.is_some() {
            let grace = self.kill_grace(container);
            self.finish_stop(container, grace);
            return;
        }
        if let Some(end) = self.end_of(container, started) {
            self.finish_run(container, end);
            if self.has_ended_for_good(container, role) {
                return;
            }
            return self.look_again(self.world.timings.stop);
        }
        if role == Role::Init || role == Role::Ephemeral {
            return;
        }
        if let Some(why) = self.probe(container, started) {
            let again = self.spec.restart_policy.as_deref() != Some("Never") || role == Role::Sidecar;
            let message = if again { format!("{why}, will be restarted") } else { why };
            self.begin_stop(container, message, KILLED, again);
            let grace = self.kill_grace(container);
            self.finish_stop(container, grace);
            return;
        }
        let ready = self.builder.is_started(&container.name) && self.is_ready(container, started);
        self.builder.set_ready(&container.name, ready);
    }

    /// How a running container ends, if it does so now.
    fn end_of(&mut self, container: &Container, started: Timestamp) -> Option<End> {
        let run = self.world.timings.run;
        let (wait, end) = if self.has_fault(container, FaultKind::CrashLoop) {
            (run, End { cause: Some(FaultKind::CrashLoop), ..End::with_code(1) })
        } else if self.has_fault(container, FaultKind::OutOfMemory) {
            (run, End { code: KILLED, reason: "OOMKilled", cause: Some(FaultKind::OutOfMemory) })
        } else {
            match self.behaviour(container) {
                // What it does is worked out with what this step sets off. It takes no less than this.
                _ if self.is_fresh(container) && behaviour::may_end(self.pod, container) => {
                    self.look_again(run);
                    return None;
                }
                Behaviour::Exit { code, after } => (after, End::with_code(code)),
                Behaviour::Program | Behaviour::Serve => {
                    return self.exit(container).map(End::with_code);
                }
            }
        };
        if let Some(rest) = left(started, wait, self.world.now) {
            self.look_again(rest);
            return None;
        }
        if end.cause == Some(FaultKind::OutOfMemory) {
            self.tell_of_memory(container);
        }
        if end.cause.is_some() {
            self.step.stopping.push(container.name.clone());
        }
        Some(end)
    }

    /// How what runs here has ended. Of a run that begins with this step nothing is known yet, only of the one before.
    pub(super) fn exit(&self, container: &Container) -> Option<i32> {
        self.world.exits.get(&container.name).copied().filter(|_| !self.is_fresh(container))
    }

    /// Whether its run begins with this step.
    fn is_fresh(&self, container: &Container) -> bool {
        self.step.started.contains(&container.name)
    }

    /// A container without a limit takes all that its node has, and the node says so (upstream: `oomWatcher`).
    fn tell_of_memory(&mut self, container: &Container) {
        let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        if limits.is_some_and(|limits| limits.contains_key("memory")) {
            return;
        }
        let argv = behaviour::argv(container);
        let image = container.image.as_deref().unwrap_or_default();
        let given = argv.first().map_or(image, String::as_str);
        let process = given.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default();
        let message =
            format!("System OOM encountered, victim process: {process}, pid: {}", self.builder.pid(&container.name));
        self.tell(About::Node, Notice::warning("SystemOOM", message));
    }

    /// A run is over.
    pub(super) fn finish_run(&mut self, container: &Container, end: End) {
        let now = self.world.now;
        let started = self.remembered(container).and_then(|run| run.started).unwrap_or(now);
        let message = self.message(container, end.code, started);
        self.builder.end(&container.name, end.code, end.reason, message);
        let run = self.memory(container);
        run.forced = run.stop.is_some_and(|stop| stop.restarts);
        run.cause = end.cause;
        run.stopped = Some(now);
        (run.started, run.hook, run.stop) = (None, None, None);
        run.probes = probe::Records::default();
        if run.forced {
            self.look_again(self.world.timings.stop);
        }
    }

    /// What a container leaves to be read of its end (upstream: `getTerminationMessage`).
    fn message(&self, container: &Container, code: i32, started: Timestamp) -> Option<String> {
        let path = container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
        let written = self.world.inside.written(container, passed(started, self.world.now));
        if let Some(bytes) = written.get(path).filter(|bytes| !bytes.is_empty()) {
            return Some(String::from_utf8_lossy(&bytes[..bytes.len().min(MESSAGE_LIMIT)]).into_owned());
        }
        let from_log = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        if code == 0 || !from_log {
            return None;
        }
        let log = self.world.inside.log(container, started, code);
        Some(end_of(&log)).filter(|text| !text.is_empty())
    }

    /// Starts a container again, after the wait that it has earned.
    fn restart(&mut self, container: &Container, role: Role, code: i32, at: Timestamp, shown: bool) {
        if !self.restarts(container, role, code) {
            return;
        }
        let (now, rest) = (self.world.now, self.world.timings.stop);
        let run = self.memory(container);
        let stopped = *run.stopped.get_or_insert(at);
        if run.pull != Pull::None {
            return self.launch(container, role);
        }
        // How it ended is to be seen before it starts again.
        if let Some(rest) = left(stopped, rest, now).filter(|_| shown) {
            return self.look_again(rest);
        }
        // What has made it fail is gone, and somebody waits to see that.
        let run = self.memory(container).clone();
        if run.cause.is_some_and(|cause| !self.has_fault(container, cause)) {
            let run = self.memory(container);
            (run.cause, run.back_off) = (None, None);
        }
        let run = self.memory(container).clone();
        let wait = run.back_off.and_then(|back_off| back_off.wait(stopped));
        if let Some((wait, rest)) = wait.and_then(|wait| Some((wait, left(stopped, wait, now)?))) {
            if shown {
                self.hold_back(container, wait);
            }
            return self.look_again(rest);
        }
        let first = self.world.timings.restart;
        self.memory(container).back_off = Some(BackOff::next(run.back_off, first, stopped, now));
        self.launch(container, role);
    }

    fn hold_back(&mut self, container: &Container, wait: Duration) {
        let pod = format!("{}_{}({})", name(self.pod), namespace(self.pod), uid(self.pod));
        let name = &container.name;
        self.warn_of(container, "BackOff", format!("Back-off restarting failed container {name} in pod {pod}"));
        let message = format!("back-off {} restarting failed container={name} pod={pod}", Printed(wait));
        self.builder.wait(name, "CrashLoopBackOff", message);
    }

    /// Pulls the image, starts the container and runs its `postStart` handler, as far as that goes now.
    fn launch(&mut self, container: &Container, role: Role) {
        if !self.pull(container) {
            return;
        }
        let now = self.world.now;
        let name = &container.name;
        self.tell_of(container, "Created", format!("Created container: {name}"));
        self.tell_of(container, "Started", format!("Started container {name}"));
        self.step.started.push(name.clone());
        let hook = hook::run(hook::post_start(container), container, Duration::ZERO, self.world.inside);
        let run = self.memory(container);
        run.started = Some(now);
        run.probes = probe::Records::default();
        run.hook = Some((after(now, hook.takes), !hook.fails));
        self.finish_hook(container, role);
    }

    /// A container runs for others only when its `postStart` handler is through.
    fn finish_hook(&mut self, container: &Container, role: Role) {
        let now = self.world.now;
        let Some((until, well)) = self.memory(container).hook else { return };
        if until > now {
            return self.look_again(passed(now, until));
        }
        let run = self.memory(container);
        run.hook = None;
        let started = *run.started.get_or_insert(now);
        self.builder.start(container, started);
        if !well {
            self.warn_of(container, "FailedPostStartHook", "PostStartHook failed".to_owned());
            self.tell_of(container, "Killing", "FailedPostStartHook".to_owned());
            self.step.stopping.push(container.name.clone());
            self.finish_run(container, End::with_code(KILLED));
            return self.look_again(self.world.timings.stop);
        }
        self.watch(container, role, started);
    }

    /// The time that a container has to stop which fails its probes; a probe may say another one than the pod.
    fn kill_grace(&self, container: &Container) -> Duration {
        let liveness = container.liveness_probe.as_ref().and_then(|probe| probe.termination_grace_period_seconds);
        let startup = container.startup_probe.as_ref().and_then(|probe| probe.termination_grace_period_seconds);
        let given = if self.builder.is_started(&container.name) { liveness } else { startup };
        given.map_or(self.grace(), |given| seconds(Some(given), 0))
    }
}

/// The last lines of a log, as far as they fit.
fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let text = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    let mut from = text.len().saturating_sub(LOG_LIMIT);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}
