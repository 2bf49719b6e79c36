//! Pods spread evenly over domains (upstream: `PodTopologySpread`).

use k8s_openapi::api::core::v1::Node;

use super::{
    node_affinity::matches_node,
    node_info::{HOSTNAME, ZONE},
    pod_info::PodInfo,
    refusal::{Plugin, Refusal},
    shapes::Tally,
    state::State,
    taints,
    terms::Spread,
};
use kube::core::Selector;

/// What decides about a pod's hard constraints.
#[derive(Clone, Debug, Default)]
pub(super) struct Spreading(Vec<Constraint>);

#[derive(Clone, Debug)]
struct Constraint {
    max_skew: i64,
    min_domains: i64,
    /// 1 when the pod is one of those that it spreads.
    itself: i64,
    /// Which nodes count, by slot.
    counted: Vec<bool>,
    tally: Tally,
    /// The domains that have a node that counts.
    domains: Vec<bool>,
    fewest: i64,
}

impl Spreading {
    pub(super) fn prepare(state: &mut State, pod: &PodInfo) -> Self {
        let hard: Vec<&Spread> = pod.spreads.iter().filter(|spread| spread.hard).collect();
        if hard.is_empty() {
            return Self::default();
        }
        Self(hard.iter().map(|spread| Constraint::new(state, pod, &hard, spread)).collect())
    }

    /// Counts another pod in, or out.
    pub(super) fn update(&mut self, pod: &PodInfo, other: &PodInfo, node: usize, amount: i64) {
        if other.is_terminating() || other.namespace() != pod.namespace() {
            return;
        }
        let hard = pod.spreads.iter().filter(|spread| spread.hard);
        for (constraint, spread) in self.0.iter_mut().zip(hard) {
            if constraint.counted.get(node).copied().unwrap_or(false) && spread.matches(other.labels()) {
                constraint.tally.add(node, amount);
                constraint.find_fewest();
            }
        }
    }

    pub(super) fn filter(&self, node: usize) -> Result<(), Refusal> {
        const REASON: &str = "node(s) didn't match pod topology spread constraints";
        for constraint in &self.0 {
            let Some(there) = constraint.tally.at(node) else {
                let reason = format!("{REASON} (missing required label)");
                return Err(Refusal::for_good(Plugin::PodTopologySpread, reason));
            };
            if there + constraint.itself - constraint.fewest > constraint.max_skew {
                return Err(Refusal::for_now(Plugin::PodTopologySpread, REASON));
            }
        }
        Ok(())
    }
}

impl Constraint {
    fn new(state: &mut State, pod: &PodInfo, hard: &[&Spread], spread: &Spread) -> Self {
        let tally = Tally::new(state.topology(&spread.topology_key));
        let mut counted = vec![false; state.nodes.len()];
        let mut domains = vec![false; tally.topology.domains];
        for slot in &state.order {
            let info = &state.nodes[*slot];
            let Some(node) = &info.node else { continue };
            let placeable = hard.iter().all(|spread| info.label(&spread.topology_key).is_some());
            if placeable && honors(spread, pod, node) {
                counted[*slot] = true;
                if let Some(domain) = tally.topology.domain(*slot) {
                    domains[domain] = true;
                }
            }
        }
        let itself = i64::from(spread.matches(pod.labels()));
        let (max_skew, min_domains) = (spread.max_skew, spread.min_domains);
        let mut constraint = Self { max_skew, min_domains, itself, counted, tally, domains, fewest: 0 };
        count(state, pod, spread, |node| constraint.counted.get(node).copied().unwrap_or(false), &mut constraint.tally);
        constraint.find_fewest();
        constraint
    }

    fn find_fewest(&mut self) {
        let there = self.domains.iter().filter(|there| **there).count();
        if i64::try_from(there).unwrap_or(i64::MAX) < self.min_domains {
            self.fewest = 0;
            return;
        }
        let counts = self.tally.counts().iter().zip(&self.domains).filter(|(_, there)| **there);
        self.fewest = counts.map(|(count, _)| *count).min().unwrap_or(0);
    }
}

/// Whether the pod could be on the node as far as the constraint cares.
fn honors(spread: &Spread, pod: &PodInfo, node: &Node) -> bool {
    (!spread.honors_affinity || matches_node(pod.spec(), node))
        && (!spread.honors_taints || taints::untolerated(pod.spec(), node).is_none())
}

fn count(state: &State, pod: &PodInfo, spread: &Spread, counted: impl Fn(usize) -> bool, tally: &mut Tally) {
    let shapes = state.shapes.in_namespace(pod.namespace());
    for shape in shapes.filter(|shape| spread.matches(&shape.labels)) {
        for (node, count) in shape.nodes.iter().filter(|(node, _)| counted(**node)) {
            tally.add(*node, count.staying);
        }
    }
}

/// What upstream's default profile prefers for pods of workloads and Services.
pub(super) fn defaults(selector: &Selector) -> Vec<Spread> {
    vec![Spread::by_default(HOSTNAME, 3, selector), Spread::by_default(ZONE, 5, selector)]
}

/// 0 to 100 for each node, the emptier domain the more. `None` when there is nothing to spread.
pub(super) fn scores(state: &mut State, pod: &PodInfo, defaults: &[Spread], nodes: &[usize]) -> Option<Vec<i64>> {
    // Who spreads by default still counts nodes without a zone.
    let by_default = pod.spreads.is_empty();
    let soft: Vec<&Spread> =
        if by_default { defaults.iter().collect() } else { pod.spreads.iter().filter(|s| !s.hard).collect() };
    if soft.is_empty() {
        return None;
    }
    let has = |state: &State, node: usize, key: &str| state.nodes[node].label(key).is_some();
    let ignored: Vec<bool> = nodes
        .iter()
        .map(|node| !by_default && !soft.iter().all(|spread| has(state, *node, &spread.topology_key)))
        .collect();
    let mut sums = vec![0.0; nodes.len()];
    for spread in &soft {
        let tally = soft_tally(state, pod, &soft, spread, by_default);
        let weight = weight(&tally, spread, nodes, &ignored);
        for (sum, node) in sums.iter_mut().zip(nodes) {
            if let Some(count) = tally.at(*node) {
                *sum += count as f64 * weight + (spread.max_skew - 1) as f64;
            }
        }
    }
    let sums: Vec<i64> = sums.iter().map(|sum| sum.round() as i64).collect();
    Some(normalise(&sums, &ignored))
}

fn soft_tally(state: &mut State, pod: &PodInfo, soft: &[&Spread], spread: &Spread, by_default: bool) -> Tally {
    let mut tally = Tally::new(state.topology(&spread.topology_key));
    let counted = |slot: usize| {
        let info = &state.nodes[slot];
        let placeable = by_default || soft.iter().all(|spread| info.label(&spread.topology_key).is_some());
        placeable && info.node.as_ref().is_some_and(|node| honors(spread, pod, node))
    };
    count(state, pod, spread, counted, &mut tally);
    tally
}

/// The more domains, the more one pod in one of them says.
fn weight(tally: &Tally, spread: &Spread, nodes: &[usize], ignored: &[bool]) -> f64 {
    let taken = nodes.iter().zip(ignored).filter(|(_, ignored)| !**ignored).map(|(node, _)| *node);
    let domains = if spread.topology_key == HOSTNAME {
        taken.count()
    } else {
        let mut seen = vec![false; tally.topology.domains];
        taken.filter_map(|node| tally.topology.domain(node)).for_each(|domain| seen[domain] = true);
        seen.into_iter().filter(|seen| *seen).count()
    };
    (domains as f64 + 2.0).ln()
}

fn normalise(sums: &[i64], ignored: &[bool]) -> Vec<i64> {
    let taken = || sums.iter().zip(ignored).filter(|(_, ignored)| !**ignored).map(|(sum, _)| *sum);
    let (least, most) = (taken().min().unwrap_or(0), taken().max().unwrap_or(0));
    let score = |sum: i64| if most == 0 { 100 } else { 100 * (most + least - sum) / most };
    sums.iter().zip(ignored).map(|(sum, ignored)| if *ignored { 0 } else { score(*sum) }).collect()
}
