//! Pods that want to be near other pods, or away from them (upstream: `InterPodAffinity`).

use std::{collections::BTreeMap, sync::Arc};

use super::{
    pod_info::PodInfo,
    refusal::{Plugin, Refusal},
    shapes::{Shape, Tally},
    state::State,
    terms::{Labels, Term},
};

/// What decides about a pod's required terms, and those of the pods that are there.
#[derive(Clone, Debug, Default)]
pub(super) struct Affinity {
    near: Vec<Tally>,
    /// Pods that meet all required terms, wherever they are.
    companions: i64,
    /// The pod meets its own terms: the first of a group need not wait for another.
    meets_itself: bool,
    away: Vec<Tally>,
    /// Pods that do not want this pod near them, by topology key.
    unwelcome: BTreeMap<String, Tally>,
}

impl Affinity {
    pub(super) fn prepare(state: &mut State, pod: &PodInfo) -> Self {
        let mut all = Self {
            near: pod.terms.affinity.iter().map(|term| Tally::new(state.topology(&term.topology_key))).collect(),
            away: pod.terms.anti_affinity.iter().map(|term| Tally::new(state.topology(&term.topology_key))).collect(),
            ..Self::default()
        };
        let own = state.namespace_labels(pod.namespace());
        all.meets_itself = meets_all(&pod.terms.affinity, pod.namespace(), own, pod.labels());
        all.count_near(state, pod);
        all.count_away(state, pod);
        all.count_unwelcome(state, pod);
        all
    }

    fn count_near(&mut self, state: &State, pod: &PodInfo) {
        let terms = &pod.terms.affinity;
        let Some(first) = terms.first() else { return };
        for shape in candidates(state, first) {
            let of_namespace = state.namespace_labels(&shape.namespace);
            if !meets_all(terms, &shape.namespace, of_namespace, &shape.labels) {
                continue;
            }
            for (node, count) in &shape.nodes {
                self.companions += count.all;
                self.near.iter_mut().for_each(|tally| tally.add(*node, count.all));
            }
        }
    }

    fn count_away(&mut self, state: &State, pod: &PodInfo) {
        for (term, tally) in pod.terms.anti_affinity.iter().zip(&mut self.away) {
            for shape in candidates(state, term).filter(|shape| term_matches(state, term, shape)) {
                shape.nodes.iter().for_each(|(node, count)| tally.add(*node, count.all));
            }
        }
    }

    fn count_unwelcome(&mut self, state: &mut State, pod: &PodInfo) {
        // Pods that are nominated may be counted in later, so their keys must be there.
        let waiting: Vec<Arc<PodInfo>> = state.all_nominated().cloned().collect();
        for term in waiting.iter().flat_map(|pod| &pod.terms.anti_affinity) {
            let topology = state.topology(&term.topology_key);
            self.unwelcome.entry(term.topology_key.clone()).or_insert_with(|| Tally::new(topology));
        }
        let mut found: Vec<(String, usize, i64)> = Vec::new();
        let own = state.namespace_labels(pod.namespace());
        for shape in state.shapes.with_terms() {
            for term in shape.terms.anti_affinity.iter().filter(|t| t.matches(pod.namespace(), own, pod.labels())) {
                let nodes = shape.nodes.iter();
                found.extend(nodes.map(|(node, count)| (term.topology_key.clone(), *node, count.all)));
            }
        }
        for (key, node, count) in found {
            if !self.unwelcome.contains_key(&key) {
                self.unwelcome.insert(key.clone(), Tally::new(state.topology(&key)));
            }
            if let Some(tally) = self.unwelcome.get_mut(&key) {
                tally.add(node, count);
            }
        }
    }

    /// Counts another pod in, or out.
    pub(super) fn update(&mut self, state: &State, pod: &PodInfo, other: &PodInfo, node: usize, amount: i64) {
        let (own, theirs) = (state.namespace_labels(pod.namespace()), state.namespace_labels(other.namespace()));
        let near = &pod.terms.affinity;
        if !near.is_empty() && meets_all(near, other.namespace(), theirs, other.labels()) {
            self.companions += amount;
            self.near.iter_mut().for_each(|tally| tally.add(node, amount));
        }
        for (term, tally) in pod.terms.anti_affinity.iter().zip(&mut self.away) {
            if term.matches(other.namespace(), theirs, other.labels()) {
                tally.add(node, amount);
            }
        }
        for term in other.terms.anti_affinity.iter().filter(|t| t.matches(pod.namespace(), own, pod.labels())) {
            if let Some(tally) = self.unwelcome.get_mut(&term.topology_key) {
                tally.add(node, amount);
            }
        }
    }

    pub(super) fn filter(&self, node: usize) -> Result<(), Refusal> {
        if !self.has_company(node) {
            return Err(Refusal::for_good(Plugin::InterPodAffinity, "node(s) didn't match pod affinity rules"));
        }
        let found = |tally: &Tally| tally.at(node).is_some_and(|count| count > 0);
        if self.away.iter().any(found) {
            let reason = "node(s) didn't match pod anti-affinity rules";
            return Err(Refusal::for_now(Plugin::InterPodAffinity, reason));
        }
        if self.unwelcome.values().any(found) {
            let reason = "node(s) didn't satisfy existing pods anti-affinity rules";
            return Err(Refusal::for_now(Plugin::InterPodAffinity, reason));
        }
        Ok(())
    }

    fn has_company(&self, node: usize) -> bool {
        let mut counts = self.near.iter().map(|tally| tally.at(node));
        let first_of_its_group = self.companions == 0 && self.meets_itself;
        counts.all(|count| count.is_some_and(|count| count > 0 || first_of_its_group))
    }
}

/// The shapes that a term may mean.
fn candidates<'a>(state: &'a State, term: &'a Term) -> Box<dyn Iterator<Item = &'a Shape> + 'a> {
    match term.only_in() {
        Some(names) => Box::new(names.iter().flat_map(|name| state.shapes.in_namespace(name))),
        None => Box::new(state.shapes.all()),
    }
}

fn term_matches(state: &State, term: &Term, shape: &Shape) -> bool {
    term.matches(&shape.namespace, state.namespace_labels(&shape.namespace), &shape.labels)
}

pub(super) fn meets_all(terms: &[Term], namespace: &str, of_namespace: &Labels, labels: &Labels) -> bool {
    terms.iter().all(|term| term.matches(namespace, of_namespace, labels))
}

/// How much each node is preferred: by the pod for the pods near it, and by those pods for it. Not normalised.
/// `None` when nobody has a preference.
pub(super) fn preferences(state: &mut State, pod: &PodInfo, nodes: &[usize]) -> Option<Vec<i64>> {
    let mut wishes: BTreeMap<String, Vec<(usize, i64)>> = BTreeMap::new();
    let mut wish = |term: &Term, shape: &Shape, weight: i64| {
        let nodes = shape.nodes.iter().map(|(node, count)| (*node, count.all * weight));
        wishes.entry(term.topology_key.clone()).or_default().extend(nodes);
    };
    let terms = &pod.terms;
    for term in &terms.preferred_affinity {
        let shapes = candidates(state, term).filter(|shape| term_matches(state, term, shape));
        shapes.for_each(|shape| wish(term, shape, term.weight));
    }
    for term in &terms.preferred_anti_affinity {
        let shapes = candidates(state, term).filter(|shape| term_matches(state, term, shape));
        shapes.for_each(|shape| wish(term, shape, -term.weight));
    }
    let own = state.namespace_labels(pod.namespace());
    let meant = |term: &&Term| term.matches(pod.namespace(), own, pod.labels());
    for shape in state.shapes.with_terms() {
        // Upstream: `hardPodAffinityWeight`, 1 by default.
        let likes = shape.terms.affinity.iter().chain(&shape.terms.preferred_affinity);
        likes.filter(meant).for_each(|term| wish(term, shape, term.weight));
        let dislikes = shape.terms.preferred_anti_affinity.iter();
        dislikes.filter(meant).for_each(|term| wish(term, shape, -term.weight));
    }
    if wishes.is_empty() {
        return None;
    }
    let mut scores = vec![0; nodes.len()];
    for (key, found) in wishes {
        let mut tally = Tally::new(state.topology(&key));
        found.into_iter().for_each(|(node, amount)| tally.add(node, amount));
        for (score, node) in scores.iter_mut().zip(nodes) {
            *score += tally.at(*node).unwrap_or(0);
        }
    }
    Some(scores)
}
