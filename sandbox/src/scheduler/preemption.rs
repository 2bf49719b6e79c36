//! Makes room for a pod by choosing pods of lower priority to go (upstream: `DefaultPreemption`). No IO.

use std::{
    cmp::{Ordering, Reverse},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Pod, policy::v1::PodDisruptionBudget};
use kube::core::{Selector, SelectorExt};

use crate::{
    meta::{name, namespace},
    pods,
};

use super::{
    decide::Prepared,
    node_info::NodeInfo,
    pod_info::PodInfo,
    refusal::{Diagnosis, Plugin, Refusal, histogram},
    state::State,
    terms::parse,
};

pub(super) const BY_SCHEDULER: &str = "PreemptionByScheduler";
/// How many nodes are tried at least, and which share of them, in hundredths.
const LEAST_CANDIDATES: usize = 100;
const CANDIDATE_SHARE: usize = 10;

#[derive(Debug)]
pub(super) enum Preemption {
    /// Nobody has to go: `message` says why that would not help.
    No { message: String, keeps_nomination: bool },
    /// Once these are gone the pod fits on the node.
    Yes { node: usize, victims: Vec<Arc<PodInfo>> },
}

struct Candidate {
    node: usize,
    victims: Vec<Arc<PodInfo>>,
    /// How many victims their budgets would rather keep.
    violations: usize,
}

/// A budget with what it still allows.
pub(super) struct Budget {
    namespace: String,
    selector: Selector,
    allowed: i32,
    /// Pods whose eviction is under way, which were counted already.
    disrupted: Vec<String>,
}

pub(super) fn budgets(given: &[Arc<PodDisruptionBudget>]) -> Vec<Budget> {
    let budget = |budget: &Arc<PodDisruptionBudget>| {
        let status = budget.status.as_ref();
        // Here an empty selector selects nothing.
        let selector = parse(budget.spec.as_ref()?.selector.as_ref()?).filter(|selector| !selector.selects_all())?;
        Some(Budget {
            namespace: namespace(&**budget).to_owned(),
            selector,
            allowed: status.map_or(0, |status| status.disruptions_allowed),
            disrupted: status
                .and_then(|s| s.disrupted_pods.as_ref())
                .into_iter()
                .flatten()
                .map(|p| p.0.clone())
                .collect(),
        })
    };
    given.iter().filter_map(budget).collect()
}

pub(super) fn preempt(
    state: &State,
    pod: &PodInfo,
    prepared: &Prepared,
    diagnosis: &Diagnosis,
    budgets: impl FnOnce() -> Vec<Budget>,
) -> Preemption {
    let Diagnosis::Nodes { refusals, nodes } = diagnosis else {
        return Preemption::No { message: String::new(), keeps_nomination: true };
    };
    if let Some(why) = ineligible(state, pod, refusals) {
        return Preemption::No { message: why.to_owned(), keeps_nomination: true };
    }
    let potential: Vec<usize> =
        refusals.iter().filter(|(_, refusal)| refusal.resolvable).map(|(node, _)| *node).collect();
    let budgets = if potential.is_empty() { Vec::new() } else { budgets() };
    let enough = (potential.len() * CANDIDATE_SHARE / 100).max(LEAST_CANDIDATES);
    let (mut candidates, mut failures): (Vec<Candidate>, Vec<Refusal>) = (Vec::new(), Vec::new());
    for node in potential {
        match victims_on(state, pod, prepared, node, &budgets) {
            Ok(candidate) => candidates.push(candidate),
            Err(refusal) => failures.push(refusal),
        }
        if candidates.len() >= enough && candidates.iter().any(|candidate| candidate.violations == 0) {
            break;
        }
    }
    match candidates.into_iter().min_by(|a, b| cost(a).cmp(&cost(b))) {
        Some(best) => Preemption::Yes { node: best.node, victims: best.victims },
        None => {
            let reasons = failures.iter().map(|refusal| refusal.reasons.as_slice());
            let message = histogram(*nodes, reasons, "Preemption is not helpful for scheduling");
            Preemption::No { message, keeps_nomination: false }
        }
    }
}

/// Why a pod may not make others go.
fn ineligible(state: &State, pod: &PodInfo, refusals: &[(usize, Refusal)]) -> Option<&'static str> {
    if pod.spec().preemption_policy.as_deref() == Some("Never") {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let promised = state.nomination(&pod.uid)?;
    if refusals.iter().any(|(node, refusal)| *node == promised && !refusal.resolvable) {
        return None;
    }
    let leaving = |other: &&Arc<PodInfo>| other.priority < pod.priority && leaves_for_another(other);
    let waits = state.nodes[promised].pods.iter().any(|other| leaving(&other));
    waits.then_some("not eligible due to a terminating pod on the nominated node.")
}

fn leaves_for_another(pod: &PodInfo) -> bool {
    let disrupted = pods::condition(&pod.pod, pods::DISRUPTION_TARGET);
    pod.is_terminating()
        && disrupted.is_some_and(|it| it.status == "True" && it.reason.as_deref() == Some(BY_SCHEDULER))
}

/// The fewest and least important pods of a node without which the pod fits there.
fn victims_on(
    state: &State,
    pod: &PodInfo,
    prepared: &Prepared,
    slot: usize,
    budgets: &[Budget],
) -> Result<Candidate, Refusal> {
    let lower = state.nodes[slot].pods.iter().filter(|other| other.priority < pod.priority);
    let mut potential: Vec<Arc<PodInfo>> = lower.cloned().collect();
    if potential.is_empty() {
        let reason = "No preemption victims found for incoming pod";
        return Err(Refusal::for_good(Plugin::NodeResourcesFit, reason));
    }
    let mut trial = Trial { state, pod, prepared: prepared.clone(), slot, info: state.nodes[slot].clone() };
    potential.iter().for_each(|other| trial.remove(other));
    trial.filter()?;
    potential.sort_by(importance);
    let (violating, others) = by_violation(&potential, budgets);
    let mut victims = Vec::new();
    let mut reprieve = |those: Vec<Arc<PodInfo>>, victims: &mut Vec<Arc<PodInfo>>| {
        for other in those {
            trial.add(&other);
            if trial.filter().is_err() {
                trial.remove(&other);
                victims.push(other);
            }
        }
    };
    reprieve(violating, &mut victims);
    let violations = victims.len();
    reprieve(others, &mut victims);
    victims.sort_by(importance);
    if victims.is_empty() {
        // Room was found without anybody leaving: the next attempt will see it.
        let reason = format!("expected at least one victim pod on node \"{}\"", state.nodes[slot].name);
        return Err(Refusal::for_good(Plugin::NodeResourcesFit, reason));
    }
    Ok(Candidate { node: slot, victims, violations })
}

/// A node on which pods are taken away and put back for the sake of argument.
struct Trial<'a> {
    state: &'a State,
    pod: &'a PodInfo,
    prepared: Prepared,
    slot: usize,
    info: NodeInfo,
}

impl Trial<'_> {
    fn remove(&mut self, other: &PodInfo) {
        self.info.remove(&other.uid);
        self.prepared.update(self.state, self.pod, other, self.slot, -1);
    }

    fn add(&mut self, other: &Arc<PodInfo>) {
        self.info.add(other);
        self.prepared.update(self.state, self.pod, other, self.slot, 1);
    }

    fn filter(&self) -> Result<(), Refusal> {
        self.prepared.filter_with_nominated(self.state, self.pod, self.slot, &self.info)
    }
}

/// The more important first: by priority, then by how long they have run.
fn importance(a: &Arc<PodInfo>, b: &Arc<PodInfo>) -> Ordering {
    (Reverse(a.priority), started(&a.pod), name(&*a.pod)).cmp(&(Reverse(b.priority), started(&b.pod), name(&*b.pod)))
}

/// A pod that has not started yet counts as the youngest.
fn started(pod: &Pod) -> Timestamp {
    let start = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    start.map_or(Timestamp::MAX, |time| time.0)
}

/// Those whose going their budgets do not allow, and the others.
fn by_violation(pods: &[Arc<PodInfo>], budgets: &[Budget]) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
    let mut allowed: Vec<i32> = budgets.iter().map(|budget| budget.allowed).collect();
    pods.iter().cloned().partition(|pod| {
        let mut violates = false;
        for (budget, left) in budgets.iter().zip(&mut allowed) {
            let meant = budget.namespace == pod.namespace()
                && !pod.labels().is_empty()
                && budget.selector.matches(pod.labels())
                && !budget.disrupted.iter().any(|name| **name == *pod.key.name);
            if meant {
                *left -= 1;
                violates |= *left < 0;
            }
        }
        violates
    })
}

/// What choosing a node costs; the cheapest is chosen, the first among equals (upstream: `pickOneNodeForPreemption`).
fn cost(candidate: &Candidate) -> (usize, i32, i64, usize, Reverse<Timestamp>) {
    // Sorted by importance, so the first is the most important.
    let highest = candidate.victims.first().map_or(i32::MIN, |victim| victim.priority);
    // Made positive, so that many unimportant pods do not weigh less than few.
    let weight = |victim: &Arc<PodInfo>| i64::from(victim.priority) + i64::from(i32::MAX) + 1;
    let important = candidate.victims.iter().filter(|victim| victim.priority == highest);
    let earliest = important.map(|victim| started(&victim.pod)).min().unwrap_or(Timestamp::MIN);
    let sum = candidate.victims.iter().map(weight).sum();
    (candidate.violations, highest, sum, candidate.victims.len(), Reverse(earliest))
}

#[cfg(test)]
mod tests;
