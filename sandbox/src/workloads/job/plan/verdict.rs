//! How a Job ends, and the conditions that say so.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::batch::v1::{Job, JobCondition, JobStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{clock::left, meta::seconds};

pub(super) fn condition<'a>(status: Option<&'a JobStatus>, kind: &str) -> Option<&'a JobCondition> {
    status?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind && condition.status == "True")
}

/// How a Job ended, if it has.
pub(in crate::workloads) fn ended(job: &Job) -> Option<&JobCondition> {
    ["Complete", "Failed"].into_iter().find_map(|kind| condition(job.status.as_ref(), kind))
}

pub(in crate::workloads::job) fn is_finished(job: &Job) -> bool {
    ended(job).is_some()
}

/// How long a finished Job stays; `None` if it is not finished or stays for ever.
pub(in crate::workloads::job) fn expires_in(job: &Job, now: Timestamp) -> Option<Duration> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    Some(left(ended(job)?.last_transition_time.as_ref()?.0, SignedDuration::from_secs(i64::from(ttl)), now))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workloads::job) enum End {
    Complete,
    Failed,
}

/// How a Job ends, as soon as its last pod has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::workloads::job) struct Verdict {
    pub(in crate::workloads::job) end: End,
    pub(in crate::workloads::job) reason: String,
    pub(in crate::workloads::job) message: String,
}

impl Verdict {
    pub(super) fn new(end: End, reason: &str, message: impl Into<String>) -> Self {
        Self { end, reason: reason.to_owned(), message: message.into() }
    }

    /// The conditions that say so before all pods have ended, and after.
    pub(super) fn conditions(&self) -> (&'static str, &'static str) {
        match self.end {
            End::Complete => ("SuccessCriteriaMet", "Complete"),
            End::Failed => ("FailureTarget", "Failed"),
        }
    }
}

pub(super) fn set(status: &mut JobStatus, kind: &str, value: &str, reason: &str, message: &str, now: Timestamp) {
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

/// Ends the Job if nothing of it is left to wait for; returns whether that is so.
pub(in crate::workloads::job) fn finish(status: &mut JobStatus, verdict: &Verdict, now: Timestamp) -> bool {
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
