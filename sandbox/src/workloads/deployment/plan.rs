//! Decides a Deployment's next step from what is there; no IO.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};

use crate::{
    error::Error,
    meta::{is_deleting, name, uid},
};

use super::{
    rollout::{self, by_age, is_rolling, wanted},
    sets::{self, replicas, revision},
    status,
};

/// Everything the plan looks at.
pub(super) struct Observed {
    pub(super) new: Option<Arc<ReplicaSet>>,
    /// Oldest first.
    pub(super) old: Vec<Arc<ReplicaSet>>,
    pub(super) old_pods_running: bool,
    pub(super) now: Timestamp,
}

impl Observed {
    pub(super) fn new(
        deployment: &Deployment,
        all: Vec<Arc<ReplicaSet>>,
        now: Timestamp,
        has_running_pods: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let new = sets::current(deployment, &all);
        let is_new = |set: &Arc<ReplicaSet>| new.as_ref().is_some_and(|new| uid(&**new) == uid(&**set));
        let mut old: Vec<_> = all.into_iter().filter(|set| !is_new(set)).collect();
        by_age(&mut old);
        let old_pods_running = old.iter().any(|set| has_running_pods(uid(&**set)));
        Ok(Self { new, old, old_pods_running, now })
    }

    fn all(&self) -> Vec<Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new).cloned().collect()
    }

    fn active(&self) -> Vec<Arc<ReplicaSet>> {
        self.all().into_iter().filter(|set| replicas(set) > 0).collect()
    }
}

/// One set before and after, and what to tell people.
pub(super) struct Change {
    pub(super) old: Arc<ReplicaSet>,
    pub(super) new: ReplicaSet,
    pub(super) message: Option<String>,
}

#[derive(Default)]
pub(super) struct Plan {
    pub(super) create: Option<ReplicaSet>,
    pub(super) created_message: Option<String>,
    pub(super) changes: Vec<Change>,
    pub(super) delete: Vec<Arc<ReplicaSet>>,
    /// The Deployment with its revision annotation, when that changes.
    pub(super) annotated: Option<Deployment>,
    pub(super) status: DeploymentStatus,
    pub(super) again: Option<Duration>,
}

pub(super) fn plan(deployment: &Deployment, observed: &Observed) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    let all = observed.all();
    plan.status = status::calculate(deployment, &all, observed.new.as_ref(), observed.now);
    if is_deleting(deployment) {
        return Ok(plan);
    }
    let pause = status::pause_condition(deployment, observed.now);
    if let Some(condition) = pause {
        status::set(&mut plan.status, condition);
    }
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
    if paused || is_being_scaled(deployment, observed) {
        adopt_new_set(deployment, observed, &mut plan);
        scale(deployment, observed, &mut plan);
        if paused {
            clean_up(deployment, observed, &mut plan);
        }
        return Ok(plan);
    }
    if is_rolling(deployment) {
        roll(deployment, observed, &mut plan)?
    } else {
        recreate(deployment, observed, &mut plan)?
    }
    if plan.changes.is_empty() && status::is_complete(deployment, &plan.status) {
        clean_up(deployment, observed, &mut plan);
    }
    let new_name = plan.create.as_ref().or(observed.new.as_deref()).map(|set| name(set).to_owned());
    plan.again = status::report_progress(
        deployment,
        &all,
        observed.new.as_ref(),
        new_name.as_deref(),
        &mut plan.status,
        observed.now,
    );
    Ok(plan)
}

fn is_being_scaled(deployment: &Deployment, observed: &Observed) -> bool {
    observed.active().iter().any(|set| sets::desired(set).is_some_and(|desired| desired != wanted(deployment)))
}

fn roll(deployment: &Deployment, observed: &Observed, plan: &mut Plan) -> Result<(), Error> {
    let size = rollout::new_set_size(deployment, &observed.all(), observed.new.as_deref());
    let Some(new) = &observed.new else { return create(deployment, observed, size, plan) };
    adopt_new_set(deployment, observed, plan);
    if replicas(new) != size {
        change(deployment, new, size, plan);
        return Ok(());
    }
    for (at, size) in rollout::old_set_sizes(deployment, &observed.old, new) {
        change(deployment, &observed.old[at], size, plan);
    }
    Ok(())
}

fn recreate(deployment: &Deployment, observed: &Observed, plan: &mut Plan) -> Result<(), Error> {
    adopt_new_set(deployment, observed, plan);
    for set in observed.old.iter().filter(|set| replicas(set) > 0) {
        change(deployment, set, 0, plan);
    }
    if !plan.changes.is_empty() && observed.old.iter().any(|set| replicas(set) > 0) || observed.old_pods_running {
        return Ok(());
    }
    match &observed.new {
        None => create(deployment, observed, wanted(deployment), plan)?,
        Some(new) if replicas(new) != wanted(deployment) => change(deployment, new, wanted(deployment), plan),
        Some(_) => {}
    }
    Ok(())
}

fn next_revision(observed: &Observed) -> i64 {
    observed.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1
}

fn create(deployment: &Deployment, observed: &Observed, size: i32, plan: &mut Plan) -> Result<(), Error> {
    let revision = next_revision(observed);
    let set = sets::make(deployment, size, revision)?;
    if size > 0 {
        plan.created_message = Some(format!("Scaled up replica set {} from 0 to {size}", name(&set)));
    }
    if status::has_deadline(deployment) {
        let message = format!("Created new replica set {:?}", name(&set));
        let condition = status::condition("Progressing", "True", "NewReplicaSetCreated", &message, observed.now);
        status::set(&mut plan.status, condition);
    }
    plan.create = Some(set);
    set_revision(deployment, revision, plan);
    Ok(())
}

/// Keeps revision and copied annotations of the present set right, and the Deployment's revision with it.
fn adopt_new_set(deployment: &Deployment, observed: &Observed, plan: &mut Plan) {
    let Some(new) = &observed.new else { return };
    let mut updated = sets::annotated(deployment, new, next_revision(observed));
    if let (Some(set), Some(spec)) = (&mut updated.spec, &deployment.spec) {
        set.min_ready_seconds = spec.min_ready_seconds;
    }
    let revision = revision(&updated);
    if updated != **new {
        plan.changes.push(Change { old: new.clone(), new: updated, message: None });
    }
    set_revision(deployment, revision, plan);
    if status::has_deadline(deployment) && status::find(&plan.status, "Progressing").is_none() {
        let message = format!("Found new replica set {:?}", name(&**new));
        let condition = status::condition("Progressing", "True", "FoundNewReplicaSet", &message, observed.now);
        status::set(&mut plan.status, condition);
    }
}

fn set_revision(deployment: &Deployment, revision: i64, plan: &mut Plan) {
    let text = revision.to_string();
    if crate::meta::annotation(deployment, sets::REVISION) == Some(&text) {
        return;
    }
    let mut annotated = deployment.clone();
    annotated.metadata.annotations.get_or_insert_default().insert(sets::REVISION.to_owned(), text);
    plan.annotated = Some(annotated);
}

/// Adds a change of size, on top of a change of annotations already planned for the same set.
fn change(deployment: &Deployment, set: &Arc<ReplicaSet>, size: i32, plan: &mut Plan) {
    let before = replicas(set);
    let message = (before != size).then(|| {
        let direction = if before < size { "up" } else { "down" };
        format!("Scaled {direction} replica set {} from {before} to {size}", name(&**set))
    });
    if let Some(planned) = plan.changes.iter_mut().find(|change| uid(&*change.old) == uid(&**set)) {
        planned.new = sets::sized(deployment, &planned.new, size);
        planned.message = message;
        return;
    }
    let sized = sets::sized(deployment, set, size);
    if sized != **set {
        plan.changes.push(Change { old: set.clone(), new: sized, message });
    }
}

/// Brings the sets to the wanted total without moving the rollout on (upstream: `scale`).
fn scale(deployment: &Deployment, observed: &Observed, plan: &mut Plan) {
    let active = observed.active();
    if active.len() <= 1 {
        let only = active.first().or(observed.new.as_ref()).or(observed.old.last());
        if let Some(only) = only {
            change(deployment, only, wanted(deployment), plan);
        }
        return;
    }
    let saturated = observed.new.as_ref().is_some_and(|new| {
        replicas(new) == wanted(deployment)
            && sets::desired(new) == Some(wanted(deployment))
            && rollout::available(new) == wanted(deployment)
    });
    if saturated {
        for set in observed.old.iter().filter(|set| replicas(set) > 0) {
            change(deployment, set, 0, plan);
        }
    } else if is_rolling(deployment) {
        for (set, size) in active.iter().zip(rollout::proportional(deployment, &active)) {
            change(deployment, set, size, plan);
        }
    }
}

/// Deletes the oldest sets beyond the history limit, as far as they are empty.
fn clean_up(deployment: &Deployment, observed: &Observed, plan: &mut Plan) {
    let Some(limit) = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit) else { return };
    let mut old: Vec<_> = observed.old.iter().filter(|set| !is_deleting(&***set)).cloned().collect();
    let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    old.sort_by_key(|set| revision(set));
    plan.delete = old.into_iter().take(surplus).filter(|set| is_empty(set)).collect();
}

fn is_empty(set: &ReplicaSet) -> bool {
    let status = set.status.as_ref();
    replicas(set) == 0
        && status.is_some_and(|status| status.replicas == 0 && status.observed_generation >= set.metadata.generation)
}

#[cfg(test)]
mod tests;
