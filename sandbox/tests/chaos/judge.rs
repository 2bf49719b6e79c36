//! What must hold at any time, whatever goes wrong: asked of each change of a recorded history.
//!
//! # Caveats
//!
//! Controllers decide by what they know, which lags behind the store by as long as a watch event or an answer takes. Where
//! the promise is about what a controller knew, what held at any time in the last [`LAG`] will do. Most promises need no
//! such patience: who creates knows at once, and who hears late of an end only does less.

mod controllers;
mod pods;
mod recent;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use k8s_openapi::{
    api::{apps::v1::StatefulSet, batch::v1::Job, core::v1::Node, policy::v1::PodDisruptionBudget},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Resource, ResourceExt};

use crate::{
    history::{Change, Subject},
    mischief::TAKEN,
};
use controllers::{Rollout, Set};
use pods::{Known, phase};
pub(crate) use pods::{is_fit, node_of};
use recent::Recent;

/// How old what a controller knows may be, of the machine's time: requests are made slow here, too.
const LAG: Duration = Duration::from_millis(1500);

/// So many changes are looked through for what led to something.
const REMEMBERED: usize = 1000;

type Uid = String;

/// The world up to a change, and what was wrong on the way.
#[derive(Default)]
pub(crate) struct Judge {
    at: Duration,
    pods: HashMap<Uid, Known>,
    /// Those that went lately.
    departed: Vec<Known>,
    rollouts: HashMap<Uid, Rollout>,
    sets: HashMap<Uid, Set>,
    stateful_sets: HashMap<Uid, Ordered>,
    jobs: HashMap<Uid, Job>,
    budgets: HashMap<Uid, PodDisruptionBudget>,
    /// How many each budget wants fit. (A workload that grows is noticed with its next pod, as upstream.)
    wanted_fit: HashMap<Uid, Recent>,
    nodes: HashMap<String, Node>,
    /// When owners went that are gone.
    gone: HashMap<Uid, Duration>,
    last: VecDeque<String>,
    found: Vec<String>,
}

/// A StatefulSet: whether its pods come one after the other, and how many it is to have.
#[derive(Default)]
struct Ordered {
    is_parallel: bool,
    wanted: Recent,
}

/// Judges a whole history. What is wrong is told with what happened just before.
pub(crate) fn judge(history: &[Change]) -> Vec<String> {
    let mut judge = Judge::default();
    history.iter().for_each(|change| judge.see(change));
    judge.found
}

impl Judge {
    fn see(&mut self, change: &Change) {
        self.at = change.at;
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(summary(change));
        match &change.subject {
            Subject::Budget(budget) => self.budget(budget, change.is_gone),
            Subject::Deployment(deployment) => self.deployment(deployment, change.is_gone),
            Subject::Job(job) => self.job(job, change.is_gone),
            Subject::Node(node) => drop(self.nodes.insert(node.name_any(), node.clone())),
            Subject::Pod(pod) => self.pod(pod, change.is_gone),
            Subject::ReplicaSet(set) => self.replica_set(set, change.is_gone),
            Subject::StatefulSet(set) => self.stateful_set(set, change.is_gone),
        }
    }

    /// Something is wrong with an object. (All of a workload are named after it.)
    fn find(&mut self, object: &impl ResourceExt, what: String) {
        let name = object.name_any();
        let app = format!(" {}", name.split('-').next().unwrap_or_default());
        let before: Vec<&str> = self.last.iter().map(String::as_str).filter(|line| line.contains(&app)).collect();
        let before = &before[before.len().saturating_sub(30)..];
        self.found.push(format!("{name} {what}\n    after\n    {}", before.join("\n    ")));
    }

    fn note_end(&mut self, metadata: &ObjectMeta, is_gone: bool) {
        if is_gone {
            self.gone.insert(metadata.uid.clone().unwrap_or_default(), self.at);
        }
    }

    fn is_owner_there(&self, owner: &OwnerReference) -> bool {
        self.gone.get(&owner.uid).is_none_or(|gone| *gone + LAG >= self.at)
    }

    /// The API server takes from a budget what it grants, and grants no more than there is.
    fn budget(&mut self, budget: &PodDisruptionBudget, is_gone: bool) {
        if let Some(before) = self.budgets.get(&uid(budget)) {
            let granted = |budget: &PodDisruptionBudget| {
                budget.status.iter().flat_map(|status| status.disrupted_pods.clone().unwrap_or_default()).count()
            };
            let allowed =
                |budget: &PodDisruptionBudget| budget.status.as_ref().map_or(0, |status| status.disruptions_allowed);
            if granted(budget) > granted(before) && (allowed(before) < 1 || allowed(budget) != allowed(before) - 1) {
                let (before, after) = (allowed(before), allowed(budget));
                self.find(budget, format!("granted an eviction of {before}, leaving {after}"));
            }
        }
        let wanted = budget.status.as_ref().map_or(0, |status| status.desired_healthy);
        self.wanted_fit.entry(uid(budget)).or_default().set(self.at, wanted);
        keep(&mut self.budgets, budget, is_gone);
    }

    fn stateful_set(&mut self, set: &StatefulSet, is_gone: bool) {
        self.note_end(&set.metadata, is_gone);
        let Some(spec) = set.spec.as_ref() else { return };
        let known = self.stateful_sets.entry(uid(set)).or_default();
        known.is_parallel = spec.pod_management_policy.as_deref() == Some("Parallel");
        known.wanted.set(self.at, spec.replicas.unwrap_or(1));
    }

    fn job(&mut self, job: &Job, is_gone: bool) {
        let cron = owner(job);
        if let Some(cron) = cron.filter(|_| !self.jobs.contains_key(&uid(job))) {
            let others = self.jobs.values().filter(|other| owner(*other) == Some(cron));
            let busy: Vec<String> = others.filter(|other| !is_over(other)).map(ResourceExt::name_any).collect();
            if !busy.is_empty() {
                self.find(job, format!("was begun beside {busy:?}"));
            }
        }
        keep(&mut self.jobs, job, is_gone);
        self.note_end(&job.metadata, is_gone);
        let wanted = job.spec.as_ref().and_then(|spec| spec.completions).unwrap_or(1);
        if job.status.as_ref().and_then(|status| status.succeeded).unwrap_or(0) > wanted {
            self.find(job, format!("succeeded more often than {wanted} times"));
        }
    }
}

fn keep<K: Resource + Clone>(all: &mut HashMap<Uid, K>, object: &K, is_gone: bool) {
    match is_gone {
        true => drop(all.remove(&uid(object))),
        false => drop(all.insert(uid(object), object.clone())),
    }
}

fn uid<K: Resource>(object: &K) -> Uid {
    object.meta().uid.clone().unwrap_or_default()
}

fn owner<K: Resource>(object: &K) -> Option<&OwnerReference> {
    object.meta().owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

fn is_over(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|is| ["Complete", "Failed"].contains(&is.type_.as_str()) && is.status == "True")
}

fn summary(change: &Change) -> String {
    let (kind, name, more) = match &change.subject {
        Subject::Budget(budget) => {
            let allowed = budget.status.as_ref().map_or(0, |status| status.disruptions_allowed);
            ("budget", budget.name_any(), format!("allows {allowed}"))
        }
        Subject::Deployment(deployment) => {
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            ("deployment", deployment.name_any(), format!("wants {wanted:?}"))
        }
        Subject::Job(job) => ("job", job.name_any(), format!("over {}", is_over(job))),
        Subject::Node(node) => ("node", node.name_any(), String::new()),
        Subject::Pod(pod) => {
            let state = (phase(pod), is_fit(pod), pod.metadata.deletion_timestamp.is_some(), node_of(pod));
            ("pod", pod.name_any(), format!("{} fit {} leaving {} on {:?}", state.0, state.1, state.2, state.3))
        }
        Subject::ReplicaSet(set) => {
            let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
            let available = set.status.as_ref().and_then(|status| status.available_replicas);
            ("set", set.name_any(), format!("wants {wanted:?} available {available:?}"))
        }
        Subject::StatefulSet(set) => {
            let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
            ("stateful set", set.name_any(), format!("wants {wanted:?}"))
        }
    };
    let gone = if change.is_gone { "gone: " } else { "" };
    format!("{} {:?}: {gone}{kind} {name} {more}", change.revision, change.at)
}
