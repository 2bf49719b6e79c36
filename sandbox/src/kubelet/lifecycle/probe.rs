//! Startup, readiness and liveness probes (upstream: `prober.worker`).
//!
//! A probe is asked at its own times, counted from its container's start. Once it has succeeded as often as it must,
//! it is asked again only when somebody looks at the pod, or when its answer changes by the passing of time: between
//! those, each answer would be the same.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::{duration::Printed, fault::FaultKind};

use super::{Turn, after, left, passed, seconds};

/// So many failures in a row are told of; upstream's event recorder holds back the rest, but for one in five minutes.
const TOLD: u32 = 25;
const TOLD_LATER: Duration = Duration::from_secs(300);

/// What is known of one probe in one run of its container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// What counts: the last answer that came often enough.
    result: Option<bool>,
    last: Option<bool>,
    streak: u32,
    next: Option<Timestamp>,
}

/// What is known of a container's probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    startup: Record,
    readiness: Record,
    liveness: Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Startup,
    Readiness,
    Liveness,
}

/// One answer of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Why it is a failure, if it is one.
    failure: Option<String>,
    /// When it may be another one, without anybody's doing.
    until: Option<Timestamp>,
}

/// What came of looking at a probe.
#[derive(Debug, Default, PartialEq, Eq)]
struct Look {
    failure: Option<String>,
    again: Option<Duration>,
}

struct Schedule {
    first: Timestamp,
    period: Duration,
    successes: u32,
    failures: u32,
}

impl Schedule {
    fn new(probe: &Probe, started: Timestamp) -> Self {
        let count = |given: Option<i32>, default| {
            given.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(default)
        };
        Self {
            first: after(started, seconds(probe.initial_delay_seconds.map(i64::from), 0)),
            period: Duration::from_secs(u64::from(count(probe.period_seconds, 10))),
            successes: count(probe.success_threshold, 1),
            failures: count(probe.failure_threshold, 3),
        }
    }

    /// The first of its times that is not before `moment`.
    fn from(&self, moment: Timestamp) -> Timestamp {
        let late = passed(self.first, moment).as_nanos();
        let periods = late.div_ceil(self.period.as_nanos().max(1));
        after(self.first, self.period.saturating_mul(u32::try_from(periods).unwrap_or(u32::MAX)))
    }

    fn following(&self, moment: Timestamp) -> Timestamp {
        self.from(after(moment, Duration::from_nanos(1)))
    }
}

impl Record {
    fn look(&mut self, schedule: &Schedule, now: Timestamp, ask: impl Fn() -> Answer) -> Look {
        let answer = ask();
        let ok = answer.failure.is_none();
        let settled = self.result.is_some() && self.result == self.last;
        if settled && self.last == Some(ok) && ok {
            self.next = None;
            return Look { failure: None, again: answer.until.map(|at| passed(now, schedule.from(at))) };
        }
        if settled && self.last != Some(ok) {
            // The other answer is heard at the next of its times, however long the wait was to be.
            let soon = schedule.from(now);
            self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
        }
        let next = *self.next.get_or_insert(schedule.first.max(now));
        if let Some(rest) = left(now, passed(now, next), now) {
            return Look { failure: None, again: Some(rest) };
        }
        self.count(ok, schedule);
        let silent = !ok && self.streak >= TOLD;
        let next = if silent { after(now, TOLD_LATER) } else { schedule.following(now) };
        let done = ok && self.result == Some(true);
        self.next = (!done).then_some(next);
        let again = match (done, answer.until) {
            (false, _) => Some(passed(now, next)),
            (true, until) => until.map(|at| passed(now, schedule.from(at))),
        };
        Look { failure: answer.failure, again }
    }

    fn count(&mut self, ok: bool, schedule: &Schedule) {
        self.streak = if self.last == Some(ok) { self.streak.saturating_add(1) } else { 1 };
        self.last = Some(ok);
        if self.streak >= if ok { schedule.successes } else { schedule.failures } {
            self.result = Some(ok);
        }
    }
}

impl Turn<'_> {
    /// Asks what is due of a running container, and says why it has to be killed, if so.
    pub(super) fn probe(&mut self, container: &Container, started: Timestamp) -> Option<String> {
        let name = &container.name;
        let mut records = self.memory(container).probes;
        let mut killed = None;
        // That it has started is known to the status too, after a restart of this process.
        if let Some(probe) = &container.startup_probe
            && !self.builder.is_started(name)
        {
            self.look(container, Sort::Startup, probe, started, &mut records.startup);
            match records.startup.result {
                Some(true) => {}
                Some(false) => killed = Some(format!("Container {name} failed startup probe")),
                None => {
                    self.memory(container).probes = records;
                    return None;
                }
            }
        }
        if killed.is_none() {
            self.builder.set_started(name);
            if let Some(probe) = &container.readiness_probe {
                self.look(container, Sort::Readiness, probe, started, &mut records.readiness);
            }
            if let Some(probe) = &container.liveness_probe {
                self.look(container, Sort::Liveness, probe, started, &mut records.liveness);
                if records.liveness.result == Some(false) {
                    killed = Some(format!("Container {name} failed liveness probe"));
                }
            }
        }
        self.memory(container).probes = records;
        killed
    }

    /// Whether a running container that has started may be given requests.
    pub(super) fn is_ready(&mut self, container: &Container, started: Timestamp) -> bool {
        if container.readiness_probe.is_some() {
            return self.remembered(container).is_some_and(|run| run.probes.readiness.result == Some(true));
        }
        let answer = self.answer(container, Sort::Readiness, None, started);
        if let Some(rest) = answer.until.map(|at| passed(self.world.now, at)) {
            self.look_again(rest);
        }
        answer.failure.is_none()
    }

    fn look(&mut self, container: &Container, sort: Sort, probe: &Probe, started: Timestamp, record: &mut Record) {
        let schedule = Schedule::new(probe, started);
        let look = record.look(&schedule, self.world.now, || self.answer(container, sort, Some(probe), started));
        if let Some(wait) = look.again {
            self.look_again(wait);
        }
        if let Some(output) = look.failure {
            self.warn_of(container, "Unhealthy", format!("{sort:?} probe failed: {output}"));
        }
    }

    /// What a container answers to a probe, or would answer if it had one.
    fn answer(&self, container: &Container, sort: Sort, probe: Option<&Probe>, started: Timestamp) -> Answer {
        let now = self.world.now;
        let asked = Asked { probe, container, address: self.world.pod_ip.unwrap_or_default() };
        let fails = |why: String, until| Answer { failure: Some(why), until };
        let slow = self.fault(container, |kind| matches!(kind, FaultKind::SlowStart(_)));
        if sort == Sort::Liveness && self.has_fault(container, FaultKind::LivenessFailure) {
            return fails(asked.hangs(), None);
        }
        if sort == Sort::Readiness && self.has_fault(container, FaultKind::NotReady) {
            return fails(asked.refuses(), None);
        }
        if let Some(FaultKind::SlowStart(wait)) = slow.filter(|_| sort != Sort::Liveness)
            && left(started, wait, now).is_some()
        {
            return fails(asked.is_not_there(), Some(after(started, wait)));
        }
        let argv = probe.and_then(|probe| probe.exec.as_ref()?.command.as_deref());
        let Some(argv) = argv else { return Answer { failure: None, until: None } };
        let ran = passed(started, now);
        let until = self.world.inside.writes_next(container, ran).map(|at| after(started, at));
        let timeout = seconds(probe.and_then(|probe| probe.timeout_seconds).map(i64::from), 1);
        let failure = match self.world.inside.evaluate(container, argv, ran) {
            Some(done) if done.slept > timeout => Some(timed_out(argv, timeout)),
            Some(done) if done.code != 0 => Some(done.text()),
            // What the simulated shell does not know asks a server, and that serves.
            Some(_) | None => None,
        };
        Answer { failure, until }
    }
}

/// What a failing probe was to ask, for the texts of its failures.
struct Asked<'a> {
    probe: Option<&'a Probe>,
    container: &'a Container,
    address: &'a str,
}

impl Asked<'_> {
    /// It runs, and says that it cannot.
    fn refuses(&self) -> String {
        match self.probe {
            Some(Probe { http_get: Some(_), .. }) => "HTTP probe failed with statuscode: 503".to_owned(),
            Some(Probe { grpc: Some(_), .. }) => "service unhealthy (responded with \"NOT_SERVING\")".to_owned(),
            _ => self.is_not_there(),
        }
    }

    /// Nothing listens.
    fn is_not_there(&self) -> String {
        match self.probe {
            Some(Probe { http_get: Some(_), .. }) => {
                format!("Get {:?}: dial tcp {}: connect: connection refused", self.url(), self.socket())
            }
            Some(Probe { tcp_socket: Some(_), .. }) => {
                format!("dial tcp {}: connect: connection refused", self.socket())
            }
            Some(Probe { grpc: Some(_), .. }) => {
                let timeout = Printed(self.timeout());
                format!(
                    "timeout: failed to connect service {:?} within {timeout}: context deadline exceeded",
                    self.socket()
                )
            }
            _ => String::new(),
        }
    }

    /// Something listens, and never answers.
    fn hangs(&self) -> String {
        match self.probe {
            Some(Probe { http_get: Some(_), .. }) => {
                let why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
                format!("Get {:?}: {why}", self.url())
            }
            Some(Probe { exec: Some(exec), .. }) => {
                timed_out(exec.command.as_deref().unwrap_or_default(), self.timeout())
            }
            Some(Probe { tcp_socket: Some(_), .. }) => format!("dial tcp {}: i/o timeout", self.socket()),
            Some(Probe { grpc: Some(_), .. }) => {
                format!("timeout: health rpc did not complete within {}", Printed(self.timeout()))
            }
            _ => String::new(),
        }
    }

    fn timeout(&self) -> Duration {
        seconds(self.probe.and_then(|probe| probe.timeout_seconds).map(i64::from), 1)
    }

    fn socket(&self) -> String {
        format!("{}:{}", self.address, self.port())
    }

    fn url(&self) -> String {
        let get = self.probe.and_then(|probe| probe.http_get.as_ref());
        let scheme = get.and_then(|get| get.scheme.as_deref()).unwrap_or("HTTP").to_ascii_lowercase();
        let path = get.and_then(|get| get.path.as_deref()).unwrap_or("/");
        format!("{scheme}://{}/{}", self.socket(), path.trim_start_matches('/'))
    }

    fn port(&self) -> i32 {
        let Some(probe) = self.probe else { return 0 };
        let given =
            (probe.http_get.as_ref().map(|get| &get.port)).or(probe.tcp_socket.as_ref().map(|socket| &socket.port));
        match given {
            Some(IntOrString::Int(port)) => *port,
            Some(IntOrString::String(name)) => {
                let mut ports = self.container.ports.iter().flatten();
                let named = ports.find(|port| port.name.as_ref() == Some(name));
                named.map(|port| port.container_port).or_else(|| name.parse().ok()).unwrap_or(0)
            }
            None => probe.grpc.as_ref().map_or(0, |grpc| grpc.port),
        }
    }
}

fn timed_out(argv: &[String], timeout: Duration) -> String {
    format!("command timed out: {:?} timed out after {}", argv.join(" "), Printed(timeout))
}
