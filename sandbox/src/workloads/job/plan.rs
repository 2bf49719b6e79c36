//! What a Job does next, and what it reports; no IO.
//!
//! Pods are counted once and for all: each has a finalizer until the Job's status has taken it in. A reconcile writes
//! down what has ended ([`Scene::track`]), lets those pods go, and moves them to the counters ([`take_in`]).

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobCondition, JobSpec, JobStatus},
        core::v1::{ContainerStatus, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{
    clock::left,
    meta::{count, is_deleting, nonzero, seconds, uid},
    pods,
};

use super::{
    backoff::{self, Backoff},
    indexes::Indexes,
    policy::{self, Failure},
    template::{self, index},
};

/// On pods that their Job has not counted yet.
pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// No more pods than this are created or deleted at once, or are on their way to the counters.
const BURST: usize = 500;

pub(super) fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

fn condition<'a>(status: Option<&'a JobStatus>, kind: &str) -> Option<&'a JobCondition> {
    status?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind && condition.status == "True")
}

/// How a Job ended, if it has.
pub(in crate::workloads) fn ended(job: &Job) -> Option<&JobCondition> {
    ["Complete", "Failed"].into_iter().find_map(|kind| condition(job.status.as_ref(), kind))
}

pub(super) fn is_finished(job: &Job) -> bool {
    ended(job).is_some()
}

/// How long a finished Job stays; `None` if it is not finished or stays for ever.
pub(super) fn expires_in(job: &Job, now: Timestamp) -> Option<Duration> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    Some(left(ended(job)?.last_transition_time.as_ref()?.0, SignedDuration::from_secs(i64::from(ttl)), now))
}

/// Whether the Job is left to a controller that is not this one.
pub(super) fn is_managed_elsewhere(job: &Job) -> bool {
    let manager = job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref());
    manager.is_some_and(|manager| manager != "kubernetes.io/job-controller")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    Failed,
}

/// How a Job ends, as soon as its last pod has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) end: End,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Verdict {
    fn new(end: End, reason: &str, message: impl Into<String>) -> Self {
        Self { end, reason: reason.to_owned(), message: message.into() }
    }

    /// The conditions that say so before all pods have ended, and after.
    fn conditions(&self) -> (&'static str, &'static str) {
        match self.end {
            End::Complete => ("SuccessCriteriaMet", "Complete"),
            End::Failed => ("FailureTarget", "Failed"),
        }
    }
}

/// What is to be told when the status has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    Suspended,
    Resumed,
}

#[derive(Default)]
pub(super) struct Plan {
    pub(super) create: Vec<Pod>,
    /// Pods that nobody misses: they are let go first, and count for nothing.
    pub(super) discard: Vec<Arc<Pod>>,
    /// Pods that end because their Job does.
    pub(super) stop: Vec<Arc<Pod>>,
    pub(super) verdict: Option<Verdict>,
    pub(super) status: JobStatus,
    pub(super) switch: Option<Switch>,
    pub(super) again: Option<Duration>,
}

/// A status that has taken in what ended.
pub(super) struct Tracked {
    pub(super) status: JobStatus,
    /// Pods that are accounted for once this status is written.
    pub(super) release: Vec<Arc<Pod>>,
    /// Whether some had to wait, because a status holds so many only.
    pub(super) partial: bool,
}

/// A Job, its pods, and what they amount to.
pub(super) struct Scene<'a> {
    job: &'a Job,
    spec: &'a JobSpec,
    pods: &'a [Arc<Pod>],
    now: Timestamp,
    active: Vec<&'a Arc<Pod>>,
    succeeded: i32,
    failed: i32,
    by_index: Option<ByIndex<'a>>,
    pub(super) backoff: Backoff,
}

/// What an indexed Job knows of its indexes.
struct ByIndex<'a> {
    succeeded: Indexes,
    /// Those that are not tried again, when each has a limit of its own.
    failed: Option<Indexes>,
    /// The last failed pod of each index that is to be tried again: it says how often that was.
    kept: BTreeMap<i32, &'a Arc<Pod>>,
}

fn completions(spec: &JobSpec) -> i32 {
    spec.completions.unwrap_or(0)
}

/// The index of a pod, if its Job has a use for it.
fn valid_index(spec: &JobSpec, pod: &Pod) -> Option<i32> {
    index(pod).filter(|index| *index < completions(spec))
}

fn has_place(spec: &JobSpec, pod: &Pod) -> bool {
    !template::is_indexed(spec) || valid_index(spec, pod).is_some()
}

/// Whether only pods that have ended are replaced, not those that are still going.
fn replaces_only_failed(spec: &JobSpec) -> bool {
    spec.pod_replacement_policy.as_deref() == Some("Failed") || spec.pod_failure_policy.is_some()
}

/// A pod that was deleted failed, unless the Job waits for its end.
fn is_failed(spec: &JobSpec, pod: &Pod) -> bool {
    let phase = pods::phase(pod);
    phase == "Failed" || !replaces_only_failed(spec) && is_deleting(pod) && phase != "Succeeded"
}

fn is_terminating(pod: &Pod) -> bool {
    is_deleting(pod) && !pods::is_finished(pod)
}

impl<'a> Scene<'a> {
    /// `backoff` is what was known before these pods.
    pub(super) fn new(
        job: &'a Job,
        spec: &'a JobSpec,
        pods: &'a [Arc<Pod>],
        backoff: &Backoff,
        now: Timestamp,
    ) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let uncounted = status.uncounted_terminated_pods.unwrap_or_default();
        let (done, lost) = (uncounted.succeeded.unwrap_or_default(), uncounted.failed.unwrap_or_default());
        let fresh = |counted: &[String], test: &dyn Fn(&Pod) -> bool| -> Vec<&'a Pod> {
            let counted: HashSet<&str> = counted.iter().map(String::as_str).collect();
            let held = pods.iter().map(|pod| &**pod).filter(|pod| is_tracked(pod) && has_place(spec, pod));
            held.filter(|pod| !counted.contains(uid(*pod)) && test(pod)).collect()
        };
        let succeeded = fresh(&done, &|pod| pods::phase(pod) == "Succeeded");
        let failed = fresh(&lost, &|pod| is_failed(spec, pod));
        let counting = failed.iter().filter(|pod| policy::judge(spec, pod).counts()).count();
        let active: Vec<_> = pods.iter().filter(|pod| pods::is_active(pod)).collect();
        let by_index = template::is_indexed(spec).then(|| ByIndex::new(job, spec, pods, &active));
        Self {
            job,
            spec,
            pods,
            now,
            succeeded: by_index.as_ref().map_or_else(
                || status.succeeded.unwrap_or(0).saturating_add(count(succeeded.len() + done.len())),
                |by_index| by_index.succeeded.total(),
            ),
            failed: status.failed.unwrap_or(0).saturating_add(count(counting + lost.len())),
            backoff: backoff.with(&succeeded, &failed),
            active,
            by_index,
        }
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    pub(super) fn plan(&self) -> Plan {
        let mut plan = Plan { status: self.job.status.clone().unwrap_or_default(), ..Plan::default() };
        plan.status.uncounted_terminated_pods.get_or_insert_default();
        if plan.status.start_time.is_none() && !self.is_suspended() {
            plan.status.start_time = Some(Time(seconds(self.now)));
        }
        plan.verdict = self.verdict();
        if plan.verdict.is_some() {
            plan.stop = self.active.iter().map(|pod| (*pod).clone()).collect();
            return plan;
        }
        if !is_deleting(self.job) {
            self.scale(&mut plan);
        }
        let active = self.active.len() + plan.create.len() - plan.discard.len();
        let done = match self.spec.completions {
            Some(wanted) => self.succeeded >= wanted,
            // A work queue: one success ends it when no other pod is at work.
            None => self.succeeded > 0,
        };
        if done && active == 0 {
            let message = "Reached expected number of succeeded pods";
            plan.verdict = Some(Verdict::new(End::Complete, "CompletionsReached", message));
        } else if !is_deleting(self.job) {
            self.suspend(&mut plan);
        }
        let deadline = self.deadline_in().filter(|_| plan.verdict.is_none());
        plan.again = plan.again.into_iter().chain(deadline).min();
        plan
    }

    /// The end of the Job, if it is in sight: one that was decided on before, a failure, or a success.
    fn verdict(&self) -> Option<Verdict> {
        let decided = |end: End, kind: &str| {
            let before = condition(self.job.status.as_ref(), kind)?;
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            Some(Verdict { end, reason: text(&before.reason), message: text(&before.message) })
        };
        decided(End::Complete, "SuccessCriteriaMet")
            .or_else(|| decided(End::Failed, "FailureTarget"))
            .or_else(|| self.failure().map(|(reason, message)| Verdict::new(End::Failed, reason, message)))
            .or_else(|| {
                let succeeded = &self.by_index.as_ref()?.succeeded;
                policy::success(self.spec, succeeded).map(|why| Verdict::new(End::Complete, "SuccessPolicy", why))
            })
    }

    fn failure(&self) -> Option<(&'static str, String)> {
        let failed = self.pods.iter().filter(|pod| is_failed(self.spec, pod));
        let by_policy = failed.map(|pod| policy::judge(self.spec, pod)).find_map(|failure| match failure {
            Failure::OfJob(message) => Some(message),
            _ => None,
        });
        if let Some(message) = by_policy {
            return Some(("PodFailurePolicy", message));
        }
        if self.failed > self.spec.backoff_limit.unwrap_or(6) || self.restarted_too_often() {
            return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned()));
        }
        if self.deadline_in() == Some(Duration::ZERO) {
            return Some(("DeadlineExceeded", "Job was active longer than specified deadline".to_owned()));
        }
        let by_index = self.by_index.as_ref()?;
        let failed = by_index.failed.as_ref()?.total();
        if self.spec.max_failed_indexes.is_some_and(|limit| failed > limit) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(("MaxFailedIndexesExceeded", message.to_owned()));
        }
        (failed > 0 && failed.saturating_add(by_index.succeeded.total()) >= completions(self.spec))
            .then(|| ("FailedIndexes", "Job has failed indexes".to_owned()))
    }

    /// Restarts in place count where pods are not replaced.
    fn restarted_too_often(&self) -> bool {
        let policy = self.spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
        if policy != Some("OnFailure") {
            return false;
        }
        let statuses = self.pods.iter().filter(|pod| !pods::is_finished(pod)).filter_map(|pod| pod.status.as_ref());
        let containers = statuses
            .flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses).flatten());
        let restarts =
            containers.map(|container: &ContainerStatus| container.restart_count).fold(0, i32::saturating_add);
        restarts >= self.spec.backoff_limit.unwrap_or(6).max(1)
    }

    fn deadline_in(&self) -> Option<Duration> {
        let start = self.job.status.as_ref()?.start_time.as_ref()?.0;
        let limit = self.spec.active_deadline_seconds.filter(|_| !self.is_suspended())?;
        Some(left(start, SignedDuration::from_secs(limit), self.now))
    }

    fn suspend(&self, plan: &mut Plan) {
        let was = condition(Some(&plan.status), "Suspended").is_some();
        match (self.is_suspended(), was) {
            (true, false) => {
                set(&mut plan.status, "Suspended", "True", "JobSuspended", "Job suspended", self.now);
                plan.switch = Some(Switch::Suspended);
            }
            (false, true) => {
                set(&mut plan.status, "Suspended", "False", "JobResumed", "Job resumed", self.now);
                // The deadline is of the time that the Job is at work without a break.
                plan.status.start_time = Some(Time(seconds(self.now)));
                plan.switch = Some(Switch::Resumed);
            }
            _ => {}
        }
    }

    /// Creates what is missing, within parallelism, completions and the back-off after failures, or discards what is
    /// too much; never both at once.
    fn scale(&self, plan: &mut Plan) {
        let active = count(self.active.len());
        let parallelism = self.spec.parallelism.unwrap_or(1);
        let wanted = match self.spec.completions {
            _ if self.is_suspended() => 0,
            Some(completions) => parallelism.min(completions.saturating_sub(self.succeeded)).max(0),
            None if self.succeeded > 0 => active,
            None => parallelism,
        };
        plan.discard = self.surplus(usize::try_from(active - wanted).unwrap_or(0));
        if !plan.discard.is_empty() || self.is_suspended() {
            return;
        }
        let going = self.pods.iter().filter(|pod| is_terminating(pod) && replaces_only_failed(self.spec)).count();
        let missing = usize::try_from(wanted - active - count(going)).unwrap_or(0).min(BURST);
        if missing > 0 {
            self.create(missing, plan);
        }
    }

    /// At least that many of the active pods, the ones with less to lose; and, of an indexed Job, all that share an
    /// index with another or have none.
    fn surplus(&self, at_least: usize) -> Vec<Arc<Pod>> {
        let order = |a: &&Arc<Pod>, b: &&Arc<Pod>| pods::deletion_order(a, b);
        let mut rest = self.active.clone();
        let mut surplus = Vec::new();
        if self.by_index.is_some() {
            let mut groups: BTreeMap<Option<i32>, Vec<&Arc<Pod>>> = BTreeMap::new();
            for pod in rest.drain(..) {
                groups.entry(valid_index(self.spec, pod)).or_default().push(pod);
            }
            for (index, mut group) in groups {
                group.sort_by(order);
                rest.extend(index.and_then(|_| group.pop()));
                surplus.append(&mut group);
            }
        }
        rest.sort_by(order);
        let more = at_least.saturating_sub(surplus.len());
        surplus.into_iter().chain(rest.into_iter().take(more)).take(BURST).cloned().collect()
    }

    fn create(&self, missing: usize, plan: &mut Plan) {
        let by_index = self.by_index.as_ref();
        let each_has_a_limit = by_index.is_some_and(|by_index| by_index.failed.is_some());
        let wait = if each_has_a_limit { Duration::ZERO } else { self.backoff.wait(self.now) };
        if !wait.is_zero() {
            plan.again = Some(wait);
            return;
        }
        let Some(by_index) = by_index else {
            plan.create = vec![template::pod(self.job, self.spec); missing];
            return;
        };
        let free = by_index.free(self.spec, self.pods);
        let free = free.missing(completions(self.spec)).take(missing);
        let waits: Vec<(i32, Duration)> = free.map(|index| (index, by_index.wait(index, self.now))).collect();
        let ready = waits.iter().filter(|(_, wait)| wait.is_zero());
        plan.create = ready
            .map(|(index, _)| {
                let failures = each_has_a_limit.then(|| by_index.failures(self.spec, *index));
                template::pod_of_index(self.job, self.spec, *index, failures)
            })
            .collect();
        if plan.create.is_empty() {
            plan.again = waits.iter().map(|(_, wait)| *wait).min();
        }
    }

    /// Writes down in `status` which pods have ended, and how the Job is to.
    pub(super) fn track(&self, mut status: JobStatus, verdict: Option<&Verdict>) -> Tracked {
        take_in(&mut status, &self.pods.iter().filter(|pod| is_tracked(pod)).map(|pod| uid(&**pod)).collect());
        let mut release = Vec::new();
        let mut partial = false;
        let mut uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
        let (mut done, mut lost) =
            (uncounted.succeeded.take().unwrap_or_default(), uncounted.failed.take().unwrap_or_default());
        for pod in self.pods.iter().filter(|pod| is_tracked(pod)) {
            let failed = is_failed(self.spec, pod);
            if !self.may_go(pod, failed, verdict) {
                continue;
            }
            if release.len() >= BURST {
                partial = true;
                break;
            }
            release.push(pod.clone());
            let id = uid(&**pod).to_owned();
            if pods::phase(pod) == "Succeeded" && !lost.contains(&id) {
                // Indexes cannot be counted twice; they need no list.
                if self.by_index.is_none() && !done.contains(&id) {
                    done.push(id);
                }
            } else if (failed || verdict.is_some_and(|verdict| verdict.end == End::Failed))
                && has_place(self.spec, pod)
                && !lost.contains(&id)
                && policy::judge(self.spec, pod).counts()
            {
                lost.push(id);
            }
        }
        let listed = |list: Vec<String>| (!list.is_empty()).then_some(list);
        (uncounted.succeeded, uncounted.failed) = (listed(done), listed(lost));
        status.uncounted_terminated_pods = Some(uncounted);
        if let Some(by_index) = &self.by_index {
            status.succeeded = nonzero(by_index.succeeded.total());
            status.completed_indexes = Some(by_index.succeeded.to_string()).filter(|text| !text.is_empty());
            status.failed_indexes = by_index.failed.as_ref().map(Indexes::to_string);
        }
        if let Some(verdict) = verdict {
            let (before, _) = verdict.conditions();
            if condition(Some(&status), before).is_none() {
                set(&mut status, before, "True", &verdict.reason, &verdict.message, self.now);
            }
        }
        Tracked { status, release, partial }
    }

    /// Whether nothing is to be learnt from a pod any more.
    fn may_go(&self, pod: &Arc<Pod>, failed: bool, verdict: Option<&Verdict>) -> bool {
        if is_deleting(self.job) || verdict.is_some() || pods::phase(pod) == "Succeeded" {
            return true;
        }
        let kept = self.by_index.as_ref().and_then(|by_index| by_index.kept.get(&index(pod)?));
        failed && kept.is_none_or(|kept| uid(&***kept) != uid(&**pod))
    }
}

impl<'a> ByIndex<'a> {
    fn new(job: &Job, spec: &JobSpec, pods: &'a [Arc<Pod>], active: &[&Arc<Pod>]) -> Self {
        let completions = completions(spec);
        let status = job.status.as_ref();
        let before = |text: Option<&String>| Indexes::parse(text.map_or("", String::as_str), completions);
        let held = || pods.iter().filter(|pod| is_tracked(pod)).filter_map(|pod| Some((valid_index(spec, pod)?, pod)));
        let mut succeeded = before(status.and_then(|status| status.completed_indexes.as_ref()));
        let done = held().filter(|(_, pod)| pods::phase(pod) == "Succeeded");
        done.for_each(|(index, _)| succeeded.insert(index));
        let mut by_index = Self { succeeded, failed: None, kept: BTreeMap::new() };
        let Some(limit) = spec.backoff_limit_per_index else { return by_index };

        let mut failed = before(status.and_then(|status| status.failed_indexes.as_ref()));
        let lost = held().filter(|(_, pod)| is_failed(spec, pod));
        for (index, pod) in lost.clone() {
            match policy::judge(spec, pod) {
                Failure::OfIndex => failed.insert(index),
                failure if failure.counts() && template::failures(pod).0 >= limit => failed.insert(index),
                _ => {}
            }
        }
        let tried: Indexes = active.iter().filter_map(|pod| index(pod)).collect();
        let over = |index: i32| by_index.succeeded.has(index) || failed.has(index) || tried.has(index);
        let rank = |pod: &Pod| {
            let (counted, ignored) = template::failures(pod);
            (counted.saturating_add(ignored), backoff::finished(pod))
        };
        for (index, pod) in lost.filter(|(index, _)| !over(*index)) {
            let kept = by_index.kept.entry(index).or_insert(pod);
            if rank(kept) <= rank(pod) {
                *kept = pod;
            }
        }
        by_index.failed = Some(failed);
        by_index
    }

    /// The indexes that have a pod or need none.
    fn free(&self, spec: &JobSpec, pods: &[Arc<Pod>]) -> Indexes {
        let mut taken = self.succeeded.clone();
        taken.merge(self.failed.as_ref().unwrap_or(&Indexes::default()));
        let holds = |pod: &&Arc<Pod>| pods::is_active(pod) || replaces_only_failed(spec) && is_terminating(pod);
        pods.iter().filter(holds).filter_map(|pod| index(pod)).for_each(|index| taken.insert(index));
        taken
    }

    fn wait(&self, index: i32, now: Timestamp) -> Duration {
        let Some(last) = self.kept.get(&index) else { return Duration::ZERO };
        let (counted, ignored) = template::failures(last);
        let failures = counted.saturating_add(ignored).saturating_add(1);
        backoff::of_index(u32::try_from(failures).unwrap_or(1), last, now)
    }

    /// How often an index has failed, as its next pod says: what counted, and what was ignored.
    fn failures(&self, spec: &JobSpec, index: i32) -> (i32, i32) {
        let Some(last) = self.kept.get(&index) else { return (0, 0) };
        let (counted, ignored) = template::failures(last);
        if policy::judge(spec, last).counts() {
            (counted.saturating_add(1), ignored)
        } else {
            (counted, ignored.saturating_add(1))
        }
    }
}

fn set(status: &mut JobStatus, kind: &str, value: &str, reason: &str, message: &str, now: Timestamp) {
    let told = JobCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(seconds(now))),
        last_transition_time: Some(Time(seconds(now))),
    };
    let conditions = status.conditions.get_or_insert_default();
    match conditions.iter_mut().find(|condition| condition.type_ == kind) {
        Some(before) => *before = told,
        None => conditions.push(told),
    }
}

/// What is at work now.
pub(super) fn report(status: &mut JobStatus, pods: &[Arc<Pod>]) {
    let active = || pods.iter().filter(|pod| pods::is_active(pod));
    status.active = nonzero(count(active().count()));
    status.ready = Some(count(active().filter(|pod| pods::is_ready(pod)).count()));
    status.terminating = Some(count(pods.iter().filter(|pod| is_terminating(pod)).count()));
}

/// Moves the pods that have been let go from the list to the counters. `held` are the uids of those that have not.
pub(super) fn take_in(status: &mut JobStatus, held: &HashSet<&str>) {
    let Some(uncounted) = &mut status.uncounted_terminated_pods else { return };
    let lists = [(&mut uncounted.succeeded, &mut status.succeeded), (&mut uncounted.failed, &mut status.failed)];
    for (list, counter) in lists {
        let before = list.as_ref().map_or(0, Vec::len);
        let left: Vec<String> = list.take().into_iter().flatten().filter(|uid| held.contains(uid.as_str())).collect();
        *counter = nonzero(counter.unwrap_or(0).saturating_add(count(before - left.len())));
        *list = (!left.is_empty()).then_some(left);
    }
}

/// Ends the Job if nothing of it is left to wait for; returns whether that is so.
pub(super) fn finish(status: &mut JobStatus, verdict: &Verdict, now: Timestamp) -> bool {
    let uncounted = status.uncounted_terminated_pods.as_ref();
    let waits = uncounted.is_some_and(|uncounted| uncounted.succeeded.is_some() || uncounted.failed.is_some());
    if waits || status.terminating.is_some_and(|terminating| terminating > 0) {
        return false;
    }
    let (_, kind) = verdict.conditions();
    set(status, kind, "True", &verdict.reason, &verdict.message, now);
    if verdict.end == End::Complete {
        status.completion_time = Some(Time(seconds(now)));
    }
    true
}

#[cfg(test)]
mod tests;
