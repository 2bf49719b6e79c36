//! A Deployment's status: counts, and the conditions Available, Progressing and ReplicaFailure.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet},
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{
    clock::left,
    meta::{name, nonzero, seconds},
};

use super::rollout::{available, max_unavailable, total, wanted};

/// A deadline of this many seconds means none.
const NO_DEADLINE: i32 = i32::MAX;

pub(super) fn calculate(
    deployment: &Deployment,
    all: &[Arc<ReplicaSet>],
    new: Option<&Arc<ReplicaSet>>,
    now: Timestamp,
) -> DeploymentStatus {
    let counts = |get: fn(&ReplicaSet) -> i32| all.iter().map(|set| get(set)).sum::<i32>();
    let is_available = counts(available);
    let old = deployment.status.clone().unwrap_or_default();
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: nonzero(counts(actual)),
        updated_replicas: nonzero(new.map_or(0, |set| actual(set))),
        ready_replicas: nonzero(counts(ready)),
        available_replicas: nonzero(is_available),
        unavailable_replicas: nonzero((total(all) - is_available).max(0)),
        collision_count: old.collision_count,
        conditions: old.conditions,
        terminating_replicas: None,
    };
    let condition = if is_available >= wanted(deployment) - max_unavailable(deployment) {
        condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    } else {
        let message = "Deployment does not have minimum availability.";
        self::condition("Available", "False", "MinimumReplicasUnavailable", message, now)
    };
    set(&mut status, condition);
    status
}

/// The Deployment with the word that its new set could not be made, if that is news.
pub(super) fn creation_failed(deployment: &Deployment, message: &str, now: Timestamp) -> Option<Deployment> {
    let mut failed = deployment.clone();
    let told = condition("Progressing", "False", "ReplicaSetCreateError", message, now);
    set(failed.status.get_or_insert_default(), told);
    (has_deadline(deployment) && failed != *deployment).then_some(failed)
}

fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

fn ready(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)
}

pub(super) fn condition(kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> DeploymentCondition {
    let at = Some(Time(seconds(now)));
    DeploymentCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_update_time: at.clone(),
        last_transition_time: at,
    }
}

pub(super) fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// Puts a condition in unless it says the same; the transition time moves only with the status.
pub(super) fn set(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(before) = find(status, &condition.type_) {
        if before.status == condition.status && before.reason == condition.reason {
            return;
        }
        if before.status == condition.status {
            condition.last_transition_time = before.last_transition_time.clone();
        }
    }
    remove(status, &condition.type_);
    status.conditions.get_or_insert_default().push(condition);
}

fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != kind);
    }
}

pub(super) fn has_deadline(deployment: &Deployment) -> bool {
    deadline(deployment).is_some()
}

fn deadline(deployment: &Deployment) -> Option<SignedDuration> {
    let seconds = deployment.spec.as_ref()?.progress_deadline_seconds?;
    (seconds != NO_DEADLINE).then(|| SignedDuration::from_secs(i64::from(seconds)))
}

pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let all = wanted(deployment);
    let has = |count: Option<i32>| count.unwrap_or(0) == all;
    has(status.updated_replicas)
        && has(status.replicas)
        && has(status.available_replicas)
        && status.observed_generation >= deployment.metadata.generation
}

/// Adds what the rollout's progress says, and how long until its deadline must be checked.
pub(super) fn report_progress(
    deployment: &Deployment,
    all: &[Arc<ReplicaSet>],
    new: Option<&Arc<ReplicaSet>>,
    new_name: Option<&str>,
    status: &mut DeploymentStatus,
    now: Timestamp,
) -> Option<Duration> {
    let Some(limit) = deadline(deployment) else {
        remove(status, "Progressing");
        report_failure(all, new, status);
        return None;
    };
    let subject = match new_name {
        Some(set) => format!("ReplicaSet {set:?}"),
        None => format!("Deployment {:?}", name(deployment)),
    };
    let before = find(status, "Progressing").cloned();
    let was_complete = status.replicas == status.updated_replicas
        && before.as_ref().is_some_and(|condition| condition.reason.as_deref() == Some("NewReplicaSetAvailable"));
    if !was_complete {
        if is_complete(deployment, status) {
            let message = format!("{subject} has successfully progressed.");
            set(status, condition("Progressing", "True", "NewReplicaSetAvailable", &message, now));
        } else if is_progressing(deployment, status) {
            let message = format!("{subject} is progressing.");
            let mut progressing = condition("Progressing", "True", "ReplicaSetUpdated", &message, now);
            if let Some(before) = before.as_ref().filter(|before| before.status == "True") {
                progressing.last_transition_time = before.last_transition_time.clone();
            }
            // Set anew even when nothing but the time differs: the deadline counts from the last progress.
            remove(status, "Progressing");
            set(status, progressing);
        } else if timed_out(before.as_ref(), limit, now) {
            let message = format!("{subject} has timed out progressing.");
            set(status, condition("Progressing", "False", "ProgressDeadlineExceeded", &message, now));
        }
    }
    report_failure(all, new, status);
    let last = find(status, "Progressing")?;
    if is_complete(deployment, status) || last.reason.as_deref() == Some("ProgressDeadlineExceeded") {
        return None;
    }
    Some(left(last.last_update_time.as_ref()?.0, limit, now) + Duration::from_secs(1))
}

fn is_progressing(deployment: &Deployment, now: &DeploymentStatus) -> bool {
    let before = deployment.status.clone().unwrap_or_default();
    let n = |count: Option<i32>| count.unwrap_or(0);
    let old = |status: &DeploymentStatus| n(status.replicas) - n(status.updated_replicas);
    n(now.updated_replicas) > n(before.updated_replicas)
        || old(now) < old(&before)
        || n(now.ready_replicas) > n(before.ready_replicas)
        || n(now.available_replicas) > n(before.available_replicas)
}

fn timed_out(before: Option<&DeploymentCondition>, limit: SignedDuration, now: Timestamp) -> bool {
    let Some(before) = before else { return false };
    match before.reason.as_deref() {
        Some("NewReplicaSetAvailable") => false,
        Some("ProgressDeadlineExceeded") => true,
        _ => before.last_update_time.as_ref().is_some_and(|since| now.duration_since(since.0) > limit),
    }
}

/// A failure to create pods, as the sets report it, the new set's first.
fn report_failure(all: &[Arc<ReplicaSet>], new: Option<&Arc<ReplicaSet>>, status: &mut DeploymentStatus) {
    let failing = new.into_iter().chain(all).find_map(|replica_set| {
        let conditions = replica_set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_ == "ReplicaFailure").cloned()
    });
    match failing {
        Some(failure) => set(
            status,
            DeploymentCondition {
                type_: failure.type_,
                status: failure.status,
                reason: failure.reason,
                message: failure.message,
                last_update_time: failure.last_transition_time.clone(),
                last_transition_time: failure.last_transition_time,
            },
        ),
        None => remove(status, "ReplicaFailure"),
    }
}

/// The condition that says whether a rollout is paused, when it has to change (upstream: `checkPausedConditions`).
pub(super) fn pause_condition(deployment: &Deployment, now: Timestamp) -> Option<DeploymentCondition> {
    if !has_deadline(deployment) {
        return None;
    }
    let before = deployment.status.as_ref().and_then(|status| find(status, "Progressing"));
    let reason = before.and_then(|condition| condition.reason.as_deref());
    if reason == Some("ProgressDeadlineExceeded") {
        return None;
    }
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
    match (paused, reason == Some("DeploymentPaused")) {
        (true, false) => Some(condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)),
        (false, true) => Some(condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now)),
        _ => None,
    }
}
