//! Chooses a node for a pod, or says in upstream's words why there is none. No IO.

use kube::core::Selector;

use super::{
    node_affinity::{self, named_nodes},
    node_info::NodeInfo,
    pod_affinity::Affinity,
    pod_info::PodInfo,
    ports,
    refusal::{Diagnosis, Refusal},
    resources,
    score::best,
    state::State,
    taints,
    topology_spread::{Spreading, defaults},
    volumes::{self, Choice, Storage, Wanted},
};

/// Clusters up to this size are looked at whole (upstream: `minFeasibleNodesToFind`).
const ALL_NODES: usize = 100;
/// No smaller share of a large cluster is looked at, in hundredths.
const LEAST_SHARE: usize = 5;

#[derive(Debug)]
pub(super) enum Verdict {
    Assign { node: usize, volumes: Choice },
    Refused { diagnosis: Diagnosis, prepared: Box<Prepared> },
}

/// What is found out about a pod once, before nodes are asked (upstream: `PreFilter`).
#[derive(Clone, Debug, Default)]
pub(super) struct Prepared {
    affinity: Affinity,
    spreading: Spreading,
    wanted: Wanted,
    /// How many pods use claims that this one must have alone.
    rivals: i64,
}

impl Prepared {
    fn new(state: &mut State, pod: &PodInfo, wanted: Wanted) -> Self {
        Self {
            affinity: Affinity::prepare(state, pod),
            spreading: Spreading::prepare(state, pod),
            rivals: wanted.exclusive.iter().map(|claim| state.claim_users(claim)).sum(),
            wanted,
        }
    }

    /// Counts another pod in or out, as if it came or went.
    pub(super) fn update(&mut self, state: &State, pod: &PodInfo, other: &PodInfo, node: usize, amount: i64) {
        self.affinity.update(state, pod, other, node, amount);
        self.spreading.update(pod, other, node, amount);
        let shared = other.claims.iter().filter(|claim| self.wanted.exclusive.contains(&claim.key)).count();
        self.rivals += amount * i64::try_from(shared).unwrap_or(0);
    }

    /// Asks every plugin, in upstream's order; the first that refuses is heard.
    pub(super) fn filter(&self, pod: &PodInfo, slot: usize, info: &NodeInfo) -> Result<(), Refusal> {
        let Some(node) = &info.node else { return Ok(()) };
        let spec = pod.spec();
        taints::filter_unschedulable(spec, node)?;
        taints::filter(spec, node)?;
        node_affinity::filter(spec, node)?;
        ports::filter(pod, info)?;
        resources::filter(pod, info)?;
        Wanted::filter_exclusive(self.rivals)?;
        self.wanted.choose(info)?;
        self.wanted.filter_zone(info)?;
        self.spreading.filter(slot)?;
        self.affinity.filter(slot)
    }

    /// The same, with the pods that are to come: those for which room is kept on the node count as if they were
    /// there. As they may never come, the pod must also do without them.
    pub(super) fn filter_with_nominated(
        &self,
        state: &State,
        pod: &PodInfo,
        slot: usize,
        info: &NodeInfo,
    ) -> Result<(), Refusal> {
        let kept = state.nominated(slot).iter();
        let kept: Vec<_> = kept.filter(|other| other.priority >= pod.priority && other.uid != pod.uid).collect();
        if !kept.is_empty() {
            let (mut with, mut crowded) = (self.clone(), info.clone());
            for other in kept {
                crowded.add(other);
                with.update(state, pod, other, slot, 1);
            }
            with.filter(pod, slot, &crowded)?;
        }
        self.filter(pod, slot, info)
    }
}

pub(super) fn decide(state: &mut State, pod: &PodInfo, storage: &dyn Storage, workload: Option<&Selector>) -> Verdict {
    let refused = |diagnosis, prepared| Verdict::Refused { diagnosis, prepared: Box::new(prepared) };
    let nodes = state.order.len();
    if nodes == 0 {
        return refused(Diagnosis::NoNodes, Prepared::default());
    }
    let wanted = match volumes::wanted(pod, storage, &state.promises) {
        Ok(wanted) => wanted,
        Err((plugin, reason)) => {
            return refused(Diagnosis::Pod { plugin, reason, nodes }, Prepared::default());
        }
    };
    let prepared = Prepared::new(state, pod, wanted);
    let (feasible, refusals) = search(state, pod, &prepared);
    if feasible.is_empty() {
        return refused(Diagnosis::Nodes { refusals, nodes }, prepared);
    }
    let spreads = workload.map(defaults).unwrap_or_default();
    let node = best(state, pod, &spreads, &feasible);
    match prepared.wanted.choose(&state.nodes[node]) {
        Ok(volumes) => Verdict::Assign { node, volumes },
        Err(refusal) => refused(Diagnosis::Nodes { refusals: vec![(node, refusal)], nodes }, prepared),
    }
}

/// The nodes that would do, or why none does.
fn search(state: &mut State, pod: &PodInfo, prepared: &Prepared) -> (Vec<usize>, Vec<(usize, Refusal)>) {
    // Room was made for the pod there.
    let promised = state.nomination(&pod.uid);
    if let Some(slot) = promised.filter(|slot| state.nodes[*slot].node.is_some())
        && prepared.filter_with_nominated(state, pod, slot, &state.nodes[slot]).is_ok()
    {
        return (vec![slot], Vec::new());
    }
    let named = named_nodes(pod.spec());
    let all: Vec<usize> = match &named {
        Some(names) => {
            let slots = names.iter().filter_map(|name| state.slot(name));
            slots.filter(|slot| state.nodes[*slot].node.is_some()).collect()
        }
        None => state.order.clone(),
    };
    if all.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let (enough, start) = (feasible_nodes_to_find(all.len()), state.start % all.len());
    let (mut feasible, mut refusals) = (Vec::new(), Vec::new());
    let mut seen = 0;
    for slot in all[start..].iter().chain(&all[..start]) {
        seen += 1;
        match prepared.filter_with_nominated(state, pod, *slot, &state.nodes[*slot]) {
            Ok(()) => feasible.push(*slot),
            Err(refusal) => refusals.push((*slot, refusal)),
        }
        if feasible.len() >= enough {
            break;
        }
    }
    state.start = (state.start + seen) % state.order.len();
    (feasible, refusals)
}

/// How many nodes that would do are enough to choose from (upstream: `numFeasibleNodesToFind`).
fn feasible_nodes_to_find(nodes: usize) -> usize {
    if nodes < ALL_NODES {
        return nodes;
    }
    let share = 50_usize.saturating_sub(nodes / 125).max(LEAST_SHARE);
    (nodes * share / 100).max(ALL_NODES)
}

#[cfg(test)]
mod tests;
