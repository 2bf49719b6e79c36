//! What a Job does next, and what it reports; no IO.

mod by_index;
mod tracking;
mod verdict;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec, JobStatus},
        core::v1::{ContainerStatus, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{
    clock::left,
    meta::{count, is_deleting, seconds, uid},
    pods,
};

use super::{
    backoff::Backoff,
    policy::{self, Failure},
    template::{self, index},
};

use by_index::ByIndex;
pub(super) use tracking::{FINALIZER, is_tracked, report, take_in};
pub(in crate::workloads) use verdict::ended;
pub(super) use verdict::{End, Verdict, expires_in, finish, is_finished};
use verdict::{condition, set};

/// No more pods than this are created or deleted at once, or are on their way to the counters.
const BURST: usize = 500;

/// Whether the Job is left to a controller that is not this one.
pub(super) fn is_managed_elsewhere(job: &Job) -> bool {
    let manager = job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref());
    manager.is_some_and(|manager| manager != "kubernetes.io/job-controller")
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
}

#[cfg(test)]
mod tests;
