//! What a Job does next, and what it reports; no IO.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobCondition, JobSpec, JobStatus, UncountedTerminatedPods},
        core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{
    clock::left,
    meta::{annotation, controller_reference, count, is_deleting, name, namespace, nonzero, seconds},
    pods,
};

const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The first wait before a failed pod is replaced; doubled for each further failure (upstream: 10 s to 10 min).
const BACKOFF: Duration = Duration::from_secs(10);
const BACKOFF_LIMIT: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Normal,
    Warning,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) severity: Severity,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

#[derive(Default)]
pub(super) struct Plan {
    pub(super) create: Vec<Pod>,
    pub(super) delete: Vec<Arc<Pod>>,
    pub(super) status: JobStatus,
    pub(super) events: Vec<Event>,
    pub(super) again: Option<Duration>,
}

impl Plan {
    fn tell(&mut self, severity: Severity, reason: &'static str, message: impl Into<String>) {
        self.events.push(Event { severity, reason, message: message.into() });
    }
}

fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

fn holds(job: &Job, kind: &str) -> bool {
    condition(job, kind).is_some_and(|condition| condition.status == "True")
}

pub(super) fn is_finished(job: &Job) -> bool {
    holds(job, "Complete") || holds(job, "Failed")
}

/// How long a finished Job stays; `None` if it is not finished or stays for ever.
pub(super) fn expires_in(job: &Job, now: Timestamp) -> Option<Duration> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let ended =
        ["Complete", "Failed"].into_iter().find_map(|kind| condition(job, kind).filter(|c| c.status == "True"))?;
    Some(left(ended.last_transition_time.as_ref()?.0, SignedDuration::from_secs(i64::from(ttl)), now))
}

struct Counted<'a> {
    active: Vec<&'a Arc<Pod>>,
    succeeded: usize,
    failed: usize,
    /// Completed indexes, for Jobs that have them.
    indexes: BTreeSet<i32>,
    last_failure: Option<Timestamp>,
}

fn tally<'a>(spec: &JobSpec, children: &'a [Arc<Pod>]) -> Counted<'a> {
    let in_phase = |wanted: &'static str| children.iter().filter(move |pod| pods::phase(pod) == wanted);
    // Pods that were deleted, by whomever, fail on their way out; that says nothing of the work.
    let failed = || in_phase("Failed").filter(|pod| !is_deleting(&***pod));
    let indexed = is_indexed(spec);
    let indexes: BTreeSet<i32> =
        in_phase("Succeeded").filter_map(|pod| index(pod)).filter(|i| *i < spec.completions.unwrap_or(0)).collect();
    Counted {
        active: children.iter().filter(|pod| pods::is_active(pod)).collect(),
        succeeded: if indexed { indexes.len() } else { in_phase("Succeeded").count() },
        failed: failed().count(),
        indexes,
        last_failure: failed().filter_map(|pod| ended(pod)).max(),
    }
}

fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

fn index(pod: &Pod) -> Option<i32> {
    annotation(pod, INDEX)?.parse().ok()
}

fn ended(pod: &Pod) -> Option<Timestamp> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ends = statuses.iter().filter_map(|s| Some(s.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0));
    ends.max()
}

pub(super) fn plan(job: &Job, children: &[Arc<Pod>], now: Timestamp) -> Plan {
    let mut plan = Plan { status: job.status.clone().unwrap_or_default(), ..Plan::default() };
    let Some(spec) = &job.spec else { return plan };
    if is_finished(job) {
        return plan;
    }
    let seen = tally(spec, children);
    let suspended = spec.suspend == Some(true);
    plan.status.uncounted_terminated_pods.get_or_insert_with(UncountedTerminatedPods::default);
    if plan.status.start_time.is_none() && !suspended {
        plan.status.start_time = Some(Time(seconds(now)));
    }
    let verdict = verdict(job, spec, &seen, now);
    let over = !matches!(verdict, Verdict::GoOn);
    match verdict {
        Verdict::Complete(reason, message) => complete(&mut plan, reason, message, now),
        Verdict::Failed(reason, message) => fail(&mut plan, reason, &message, now),
        Verdict::GoOn => suspend(&mut plan, job, suspended, now),
    }
    if over || suspended {
        plan.delete = seen.active.iter().map(|pod| (*pod).clone()).collect();
    } else {
        scale(job, spec, &seen, now, &mut plan);
        let deadline = deadline_in(job, spec, now);
        plan.again = plan.again.into_iter().chain(deadline).min();
    }
    let active = if over { 0 } else { count(seen.active.len()) };
    plan.status.active = nonzero(active);
    plan.status.ready = Some(count(seen.active.iter().filter(|pod| pods::is_ready(pod) && !over).count()));
    plan.status.terminating = Some(count(children.iter().filter(|pod| is_deleting(&***pod)).count()));
    plan.status.succeeded = nonzero(count(seen.succeeded));
    plan.status.failed = nonzero(count(seen.failed));
    if is_indexed(spec) {
        plan.status.completed_indexes = Some(intervals(&seen.indexes)).filter(|text| !text.is_empty());
    }
    plan
}

enum Verdict {
    GoOn,
    Complete(&'static str, &'static str),
    Failed(&'static str, String),
}

fn verdict(job: &Job, spec: &JobSpec, seen: &Counted<'_>, now: Timestamp) -> Verdict {
    let done = match spec.completions {
        Some(wanted) => count(seen.succeeded) >= wanted,
        // A work queue: one success ends it when no other pod is at work.
        None => seen.succeeded > 0 && seen.active.is_empty(),
    };
    let retries = seen.active.iter().map(|pod| pods::restarts(pod)).sum::<i32>();
    if done {
        Verdict::Complete("CompletionsReached", "Reached expected number of succeeded pods")
    } else if count(seen.failed) + on_failure(spec, retries) > spec.backoff_limit.unwrap_or(6) {
        Verdict::Failed("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned())
    } else if deadline_in(job, spec, now) == Some(Duration::ZERO) {
        Verdict::Failed("DeadlineExceeded", "Job was active longer than specified deadline".to_owned())
    } else {
        Verdict::GoOn
    }
}

/// Restarts in place count where pods are not replaced.
fn on_failure(spec: &JobSpec, restarts: i32) -> i32 {
    let policy = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    if policy == Some("OnFailure") { restarts } else { 0 }
}

fn deadline_in(job: &Job, spec: &JobSpec, now: Timestamp) -> Option<Duration> {
    let start = job.status.as_ref()?.start_time.as_ref()?.0;
    Some(left(start, SignedDuration::from_secs(spec.active_deadline_seconds?), now))
}

fn set(plan: &mut Plan, kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) {
    let conditions = plan.status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != kind);
    conditions.push(JobCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(seconds(now))),
        last_transition_time: Some(Time(seconds(now))),
    });
}

fn complete(plan: &mut Plan, reason: &'static str, message: &'static str, now: Timestamp) {
    set(plan, "SuccessCriteriaMet", "True", reason, message, now);
    set(plan, "Complete", "True", reason, message, now);
    plan.status.completion_time = Some(Time(seconds(now)));
    plan.tell(Severity::Normal, "Completed", "Job completed");
}

fn fail(plan: &mut Plan, reason: &'static str, message: &str, now: Timestamp) {
    set(plan, "FailureTarget", "True", reason, message, now);
    set(plan, "Failed", "True", reason, message, now);
    plan.tell(Severity::Warning, reason, message);
}

fn suspend(plan: &mut Plan, job: &Job, suspended: bool, now: Timestamp) {
    match (suspended, holds(job, "Suspended")) {
        (true, false) => {
            set(plan, "Suspended", "True", "JobSuspended", "Job suspended", now);
            plan.status.start_time = None;
            plan.tell(Severity::Normal, "Suspended", "Job suspended");
        }
        (false, true) => {
            set(plan, "Suspended", "False", "JobResumed", "Job resumed", now);
            plan.tell(Severity::Normal, "Resumed", "Job resumed");
        }
        _ => {}
    }
}

/// Creates what is missing, within parallelism, completions and the back-off after failures.
fn scale(job: &Job, spec: &JobSpec, seen: &Counted<'_>, now: Timestamp, plan: &mut Plan) {
    let parallelism = spec.parallelism.unwrap_or(1);
    let wanted = match spec.completions {
        Some(completions) => parallelism.min(completions - count(seen.succeeded)),
        None if seen.succeeded > 0 => count(seen.active.len()),
        None => parallelism,
    };
    let missing = wanted - count(seen.active.len());
    if missing < 0 {
        let surplus = usize::try_from(-missing).unwrap_or(0);
        let mut active = seen.active.clone();
        active.sort_by(|a, b| pods::deletion_order(a, b));
        plan.delete = active.into_iter().take(surplus).cloned().collect();
        return;
    }
    if missing == 0 {
        return;
    }
    if let Some(wait) = backoff(seen, now) {
        plan.again = Some(wait);
        return;
    }
    let missing = usize::try_from(missing).unwrap_or(0).min(500);
    if is_indexed(spec) {
        let taken: BTreeSet<i32> =
            seen.active.iter().filter_map(|pod| index(pod)).chain(seen.indexes.iter().copied()).collect();
        let free = (0..spec.completions.unwrap_or(0)).filter(|index| !taken.contains(index));
        plan.create = free.take(missing).map(|index| pod(job, spec, Some(index))).collect();
    } else {
        plan.create = vec![pod(job, spec, None); missing];
    }
}

fn backoff(seen: &Counted<'_>, now: Timestamp) -> Option<Duration> {
    let doublings = u32::try_from(seen.failed).ok()?.checked_sub(1)?.min(10);
    let wait = BACKOFF.saturating_mul(1 << doublings).min(BACKOFF_LIMIT);
    Some(left(seen.last_failure?, SignedDuration::try_from(wait).ok()?, now)).filter(|rest| !rest.is_zero())
}

fn pod(job: &Job, spec: &JobSpec, index: Option<i32>) -> Pod {
    let mut pod = pods::from_template(&spec.template, namespace(job), controller_reference(job));
    pod.metadata.generate_name = Some(match index {
        Some(index) => format!("{}-{index}-", name(job)),
        None => format!("{}-", name(job)),
    });
    if let Some(index) = index {
        let label = || (INDEX.to_owned(), index.to_string());
        pod.metadata.annotations.get_or_insert_default().extend([label()]);
        pod.metadata.labels.get_or_insert_default().extend([label()]);
        if let Some(pod_spec) = &mut pod.spec {
            pod_spec.hostname = Some(format!("{}-{index}", name(job)));
            for container in &mut pod_spec.containers {
                container.env.get_or_insert_default().push(index_variable());
            }
        }
    }
    pod
}

fn index_variable() -> EnvVar {
    let field = ObjectFieldSelector { api_version: None, field_path: format!("metadata.annotations['{INDEX}']") };
    EnvVar {
        name: "JOB_COMPLETION_INDEX".to_owned(),
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
        ..EnvVar::default()
    }
}

/// `0,2-4`: as `status.completedIndexes` lists them.
fn intervals(indexes: &BTreeSet<i32>) -> String {
    let mut runs: BTreeMap<i32, i32> = BTreeMap::new();
    for index in indexes {
        match runs.last_entry() {
            Some(mut last) if *last.get() + 1 == *index => *last.get_mut() = *index,
            _ => {
                runs.insert(*index, *index);
            }
        }
    }
    let text = runs.into_iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    text.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod as a_pod;
    use serde_json::{Value, json};

    fn job(extra: Value) -> Job {
        let mut spec = json!({"completions": 1, "parallelism": 1, "backoffLimit": 6,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main"}]}}});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(json!({"metadata": {"name": "j", "namespace": "n", "uid": "u"}, "spec": spec,
            "status": {"startTime": "2024-01-01T00:00:00Z"}}))
        .unwrap()
    }

    fn children(phases: &[&str]) -> Vec<Arc<Pod>> {
        phases.iter().enumerate().map(|(i, phase)| Arc::new(a_pod(&format!("p{i}"), phase, false))).collect()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        at("2024-01-01T00:01:00Z")
    }

    fn said(plan: &Plan) -> Vec<(&str, &str)> {
        let conditions = plan.status.conditions.iter().flatten();
        conditions.map(|c| (c.type_.as_str(), c.reason.as_deref().unwrap_or_default())).collect()
    }

    #[test]
    fn pods_are_created_within_parallelism() {
        let plan = plan(&job(json!({"completions": 5, "parallelism": 2})), &children(&["Running", "Succeeded"]), now());
        assert_eq!(plan.create.len(), 1);
        assert_eq!((plan.status.active, plan.status.succeeded), (Some(1), Some(1)));
    }

    #[test]
    fn success_is_reported_once() {
        let plan = plan(&job(json!({})), &children(&["Succeeded"]), now());
        assert_eq!(said(&plan), [("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")]);
        assert!(plan.status.completion_time.is_some());
        let mut finished = job(json!({}));
        finished.status = Some(plan.status.clone());
        let again = super::plan(&finished, &children(&["Succeeded"]), now());
        assert!(again.events.is_empty() && again.create.is_empty());
        assert_eq!(Some(again.status), finished.status);
    }

    #[test]
    fn failures_count_towards_the_limit() {
        let plan = plan(&job(json!({"backoffLimit": 1})), &children(&["Failed", "Failed"]), now());
        assert_eq!(said(&plan), [("FailureTarget", "BackoffLimitExceeded"), ("Failed", "BackoffLimitExceeded")]);
        assert_eq!(plan.events[0].message, "Job has reached the specified backoff limit");
    }

    #[test]
    fn a_failed_pod_is_replaced_after_a_while() {
        let mut failed = a_pod("p", "Failed", false);
        failed.status.as_mut().unwrap().container_statuses = serde_json::from_value(json!([{"name": "main", "image": "", "imageID": "",
            "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 1, "finishedAt": "2024-01-01T00:00:55Z"}}}])).unwrap();
        let waiting = plan(&job(json!({})), &[Arc::new(failed.clone())], now());
        assert_eq!((waiting.create.len(), waiting.again), (0, Some(Duration::from_secs(5))));
        assert_eq!(plan(&job(json!({})), &[Arc::new(failed)], at("2024-01-01T00:01:05Z")).create.len(), 1);
    }

    #[test]
    fn a_deadline_ends_it() {
        let plan = plan(&job(json!({"activeDeadlineSeconds": 30})), &children(&["Running"]), now());
        assert_eq!(said(&plan), [("FailureTarget", "DeadlineExceeded"), ("Failed", "DeadlineExceeded")]);
        assert_eq!(plan.delete.len(), 1);
    }

    #[test]
    fn a_deadline_beyond_all_time_never_comes() {
        let plan = plan(&job(json!({"activeDeadlineSeconds": i64::MAX})), &children(&["Running"]), now());
        assert!(said(&plan).is_empty() && plan.again > Some(Duration::from_secs(1 << 40)));
    }

    #[test]
    fn a_suspended_job_stops_its_pods() {
        let plan = plan(&job(json!({"suspend": true})), &children(&["Running"]), now());
        assert_eq!((plan.delete.len(), said(&plan)), (1, vec![("Suspended", "JobSuspended")]));
    }

    #[test]
    fn indexes_are_filled_from_the_lowest() {
        let plan = plan(&job(json!({"completionMode": "Indexed", "completions": 3, "parallelism": 2})), &[], now());
        assert_eq!(plan.create.iter().filter_map(index).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(intervals(&[0, 2, 3, 4].into()), "0,2-4");
    }

    #[test]
    fn finished_jobs_expire() {
        let mut finished = job(json!({"ttlSecondsAfterFinished": 60}));
        finished.status = Some(plan(&finished, &children(&["Succeeded"]), now()).status);
        assert_eq!(expires_in(&finished, at("2024-01-01T00:01:30Z")), Some(Duration::from_secs(30)));
        assert_eq!(expires_in(&job(json!({"ttlSecondsAfterFinished": 60})), now()), None);
    }
}
