//! What a kubelet does for its node now; no IO.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeStatus};

use crate::{
    events::Notice,
    fault::{ANNOTATION, NodeFault, Place, check},
    kubelet::after,
    meta,
    nodes::condition,
};

use super::{
    Spec,
    status::{Software, labels, reported, same},
};

/// How often is said that all is as before.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    pub(super) lease: Duration,
    pub(super) heartbeat: Duration,
}

impl Pace {
    /// The first moment of renewal from then on. There are ten in the time of a lease, for all nodes of all clusters: a
    /// process that wakes up seldom, and writes what is due together, uses a fraction of what one does that wakes up for
    /// each of a thousand nodes.
    fn tick_after(&self, at: Timestamp) -> Timestamp {
        let tick = i128::try_from(self.lease.as_nanos() / 10).unwrap_or(0).max(1);
        let ticks = at.as_nanosecond().div_euclid(tick) + 1;
        Timestamp::from_nanosecond(ticks.saturating_mul(tick)).unwrap_or(at)
    }
}

/// What a kubelet remembers of its node.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    jitter: Jitter,
    /// Whether the node has been there since this kubelet is: then it is not registered again.
    pub(super) registered: bool,
    /// The node as it was when the kubelet was started last, and what it runs since then.
    started: Option<(Option<String>, Software)>,
    unschedulable: bool,
    renew_at: Option<Timestamp>,
    reported: Option<Timestamp>,
    /// Whether it could not act when it was looked at last.
    cut_off: bool,
    /// What nobody understands of what it is to suffer from.
    complaint: Option<String>,
}

impl Memory {
    pub(super) fn new(seed: u64, node: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, node).hash(&mut hasher);
        let jitter = Jitter(hasher.finish() | 1);
        Self {
            jitter,
            registered: false,
            started: None,
            unschedulable: false,
            renew_at: None,
            reported: None,
            cut_off: false,
            complaint: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Work {
    pub(super) register: bool,
    /// The node with the labels that it lacks.
    pub(super) labelled: Option<Node>,
    pub(super) status: Option<NodeStatus>,
    pub(super) renew: bool,
    pub(super) events: Vec<Notice>,
    /// The node's pods are to be looked at again.
    pub(super) acts_again: bool,
    pub(super) again: Option<Duration>,
    pub(super) memory: Memory,
}

impl Work {
    fn none(memory: Memory) -> Self {
        Self {
            register: false,
            labelled: None,
            status: None,
            renew: false,
            events: Vec::new(),
            acts_again: false,
            again: None,
            memory,
        }
    }

    fn tell(&mut self, reason: &'static str, message: impl Into<String>) {
        self.events.push(Notice::normal(reason, message));
    }
}

pub(super) fn plan(spec: &Spec, node: Option<&Node>, memory: Memory, pace: &Pace, now: Timestamp) -> Work {
    let mut work = Work::none(memory);
    let Some(node) = node else {
        // Only a kubelet that starts registers its node.
        work.register = !work.memory.registered;
        return work;
    };
    if NodeFault::Unreachable.is_of(node) {
        work.memory.cut_off = true;
        return work;
    }
    let cut_off = std::mem::take(&mut work.memory.cut_off);
    let run = (node.metadata.uid.clone(), Software::of(spec, node));
    let restarted = work.memory.started.as_ref() != Some(&run);
    if restarted {
        work.memory.started = Some(run);
        work.tell("Starting", "Starting kubelet.");
        work.labelled = labelled(spec, node);
    }
    let told = reported(spec, node, now);
    transitions(spec, node, &told, restarted, &mut work);
    if restarted {
        work.tell("NodeAllocatableEnforced", "Updated Node Allocatable limit across pods");
    }
    schedulability(node, restarted, &mut work);
    misunderstood(node, &mut work);
    let was_ready = condition(node, "Ready").is_some_and(|ready| ready.status == "True");
    work.acts_again = cut_off || !was_ready;
    let heartbeat = left(work.memory.reported, pace.heartbeat, now).filter(|_| !restarted && !cut_off);
    let heartbeat = heartbeat.filter(|_| node.status.as_ref().is_some_and(|known| same(known, &told)));
    if heartbeat.is_none() {
        work.status = Some(told);
        work.memory.reported = Some(now);
    }
    let renewal = work.memory.renew_at.map(|at| at.duration_since(now)).filter(|left| left.is_positive());
    let renewal = renewal.and_then(|left| Duration::try_from(left).ok()).filter(|_| !cut_off);
    let renewal = renewal.unwrap_or_else(|| {
        work.renew = true;
        // The first wait is of any length, so that nodes that started together do not renew together.
        let wait = match work.memory.renew_at {
            None => work.memory.jitter.part_of(pace.lease),
            Some(_) => work.memory.jitter.around(pace.lease),
        };
        let at = pace.tick_after(after(now, wait));
        work.memory.renew_at = Some(at);
        Duration::try_from(at.duration_since(now)).unwrap_or(wait)
    });
    work.again = Some(renewal.min(heartbeat.unwrap_or(pace.heartbeat)));
    work
}

fn labelled(spec: &Spec, node: &Node) -> Option<Node> {
    let mut changed = node.clone();
    let given = changed.metadata.labels.get_or_insert_default();
    for (key, value) in labels(spec) {
        given.entry(key).or_insert(value);
    }
    (changed.metadata.labels != node.metadata.labels).then_some(changed)
}

/// Tells which conditions change, after a start all of them but the old news that a node is ready.
fn transitions(spec: &Spec, node: &Node, told: &NodeStatus, restarted: bool, work: &mut Work) {
    const EVENTS: [(&str, &str, &str); 4] = [
        ("MemoryPressure", "NodeHasInsufficientMemory", "NodeHasSufficientMemory"),
        ("DiskPressure", "NodeHasDiskPressure", "NodeHasNoDiskPressure"),
        ("PIDPressure", "NodeHasInsufficientPID", "NodeHasSufficientPID"),
        ("Ready", "NodeReady", "NodeNotReady"),
    ];
    let fresh = work.memory.reported.is_none() && restarted;
    for (kind, holds, does_not) in EVENTS {
        let after = told.conditions.iter().flatten().find(|condition| condition.type_ == kind);
        let Some(after) = after.map(|condition| condition.status.as_str()) else { continue };
        let changed = condition(node, kind).is_none_or(|before| before.status != after);
        if changed || restarted && (kind != "Ready" || fresh) {
            let reason = if after == "True" { holds } else { does_not };
            work.tell(reason, format!("Node {} status is now: {reason}", spec.name));
        }
    }
}

fn schedulability(node: &Node, restarted: bool, work: &mut Work) {
    let unschedulable = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
    let before = std::mem::replace(&mut work.memory.unschedulable, unschedulable);
    if before != unschedulable && (unschedulable || !restarted) {
        let reason = if unschedulable { "NodeNotSchedulable" } else { "NodeSchedulable" };
        work.tell(reason, format!("Node {} status is now: {reason}", meta::name(node)));
    }
}

/// Tells once what of the faults says nothing.
fn misunderstood(node: &Node, work: &mut Work) {
    let list = meta::annotation(node, ANNOTATION).unwrap_or_default();
    let complaint = check(Place::Nodes, list).err().map(|error| error.to_string());
    if complaint == work.memory.complaint {
        return;
    }
    if let Some(message) = complaint.clone() {
        work.events.push(Notice::warning("InvalidFault", message));
    }
    work.memory.complaint = complaint;
}

/// How much of a wait is left; nothing when it is over, or has not begun.
fn left(since: Option<Timestamp>, wait: Duration, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(since?)).unwrap_or_default();
    wait.checked_sub(passed).filter(|left| !left.is_zero())
}

/// Repeatable noise (xorshift), so that many nodes and many clusters do not write in step.
#[derive(Clone, Debug)]
struct Jitter(u64);

impl Jitter {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from(u32::try_from(self.0 >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    fn around(&mut self, wait: Duration) -> Duration {
        wait.mul_f64(0.96 + 0.08 * self.next())
    }

    fn part_of(&mut self, wait: Duration) -> Duration {
        wait.mul_f64(0.1 + 0.9 * self.next())
    }
}

#[cfg(test)]
mod tests;
