//! Which of the nodes that would do is best: upstream's scores with their default weights.

use super::{
    node_affinity::preference, pod_affinity::preferences, pod_info::PodInfo, resources, state::State, taints,
    terms::Spread, topology_spread,
};

const TAINT_TOLERATION: i64 = 3;
const NODE_AFFINITY: i64 = 2;
const POD_TOPOLOGY_SPREAD: i64 = 2;
const INTER_POD_AFFINITY: i64 = 2;

/// The best of the nodes; the first among equals, so that decisions can be repeated.
pub(super) fn best(state: &mut State, pod: &PodInfo, defaults: &[Spread], nodes: &[usize]) -> usize {
    let [first, rest @ ..] = nodes else { return 0 };
    if rest.is_empty() {
        return *first;
    }
    let totals = totals(state, pod, defaults, nodes);
    let mut best = 0;
    for (at, total) in totals.iter().enumerate() {
        if *total > totals[best] {
            best = at;
        }
    }
    nodes[best]
}

fn totals(state: &mut State, pod: &PodInfo, defaults: &[Spread], nodes: &[usize]) -> Vec<i64> {
    let mut totals: Vec<i64> = nodes.iter().map(|node| of_resources(state, pod, *node)).collect();
    let mut add = |scores: Vec<i64>, weight: i64| {
        totals.iter_mut().zip(scores).for_each(|(total, score)| *total += score * weight);
    };
    let each = |score: &dyn Fn(&k8s_openapi::api::core::v1::Node) -> i64| -> Vec<i64> {
        nodes.iter().map(|slot| state.nodes[*slot].node.as_ref().map_or(0, |node| score(node))).collect()
    };
    let spec = pod.spec();
    add(most_is_worst(&each(&|node| taints::dislikes(spec, node))), TAINT_TOLERATION);
    add(most_is_best(&each(&|node| preference(spec, node))), NODE_AFFINITY);
    if let Some(scores) = topology_spread::scores(state, pod, defaults, nodes) {
        add(scores, POD_TOPOLOGY_SPREAD);
    }
    if let Some(scores) = preferences(state, pod, nodes) {
        add(between(&scores), INTER_POD_AFFINITY);
    }
    totals
}

fn of_resources(state: &State, pod: &PodInfo, slot: usize) -> i64 {
    let node = &state.nodes[slot];
    resources::least_allocated(pod, node) + resources::balanced(pod, node)
}

/// 0 to 100, in proportion to the most.
fn most_is_best(scores: &[i64]) -> Vec<i64> {
    let most = scores.iter().copied().max().unwrap_or(0);
    scores.iter().map(|score| if most == 0 { 0 } else { score * 100 / most }).collect()
}

fn most_is_worst(scores: &[i64]) -> Vec<i64> {
    most_is_best(scores).iter().map(|score| 100 - score).collect()
}

/// 0 to 100, from the least to the most.
fn between(scores: &[i64]) -> Vec<i64> {
    let (least, most) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
    let span = most - least;
    scores.iter().map(|score| if span == 0 { 0 } else { (score - least) * 100 / span }).collect()
}
