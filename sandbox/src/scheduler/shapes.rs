//! Pods on nodes, counted by what other pods' selectors can see of them.
//!
//! The replicas of a workload look alike: same namespace, same labels, same wishes about other pods. Such pods are one
//! *shape* here, with a count for each node. A decision asks each shape once and then adds up counts, so it costs the
//! number of shapes and of nodes with matching pods, not the number of pods.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    pod_info::PodInfo,
    terms::{Labels, Terms},
};

#[derive(Debug)]
pub(super) struct Shape {
    pub(super) namespace: String,
    pub(super) labels: Labels,
    pub(super) terms: Terms,
    /// By the node's slot.
    pub(super) nodes: BTreeMap<usize, Count>,
    like: Likeness,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) all: i64,
    /// Those that are not going away.
    pub(super) staying: i64,
}

/// Namespace, labels, and the text of the wishes if there are any.
type Likeness = (String, Labels, Option<String>);

#[derive(Default)]
pub(super) struct Shapes {
    shapes: BTreeMap<usize, Shape>,
    ids: HashMap<Likeness, usize>,
    by_namespace: BTreeMap<String, BTreeSet<usize>>,
    with_terms: BTreeSet<usize>,
    last: usize,
}

impl Shapes {
    pub(super) fn add(&mut self, pod: &PodInfo, node: usize) {
        let like = likeness(pod);
        let id = match self.ids.get(&like) {
            Some(id) => *id,
            None => self.insert(pod, like),
        };
        if let Some(shape) = self.shapes.get_mut(&id) {
            let count = shape.nodes.entry(node).or_default();
            count.all += 1;
            count.staying += i64::from(!pod.is_terminating());
        }
    }

    fn insert(&mut self, pod: &PodInfo, like: Likeness) -> usize {
        self.last += 1;
        let id = self.last;
        self.by_namespace.entry(like.0.clone()).or_default().insert(id);
        if !pod.terms.is_empty() {
            self.with_terms.insert(id);
        }
        self.ids.insert(like.clone(), id);
        let shape = Shape {
            namespace: like.0.clone(),
            labels: like.1.clone(),
            terms: pod.terms.clone(),
            nodes: BTreeMap::new(),
            like,
        };
        self.shapes.insert(id, shape);
        id
    }

    pub(super) fn remove(&mut self, pod: &PodInfo, node: usize) {
        let Some(id) = self.ids.get(&likeness(pod)).copied() else { return };
        let Some(shape) = self.shapes.get_mut(&id) else { return };
        if let Some(count) = shape.nodes.get_mut(&node) {
            count.all -= 1;
            count.staying -= i64::from(!pod.is_terminating());
            if count.all <= 0 {
                shape.nodes.remove(&node);
            }
        }
        if shape.nodes.is_empty() {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: usize) {
        let Some(shape) = self.shapes.remove(&id) else { return };
        self.ids.remove(&shape.like);
        self.with_terms.remove(&id);
        if let Some(ids) = self.by_namespace.get_mut(&shape.namespace) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_namespace.remove(&shape.namespace);
            }
        }
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Shape> {
        self.by_namespace.get(namespace).into_iter().flatten().filter_map(|id| self.shapes.get(id))
    }

    /// Those whose pods wish something about other pods.
    pub(super) fn with_terms(&self) -> impl Iterator<Item = &Shape> {
        self.with_terms.iter().filter_map(|id| self.shapes.get(id))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Shape> {
        self.shapes.values()
    }
}

fn likeness(pod: &PodInfo) -> Likeness {
    let affinity = pod.spec().affinity.as_ref();
    let wishes = affinity.map(|affinity| (&affinity.pod_affinity, &affinity.pod_anti_affinity));
    let wishes = wishes.filter(|_| !pod.terms.is_empty()).and_then(|wishes| serde_json::to_string(&wishes).ok());
    (pod.namespace().to_owned(), pod.labels().clone(), wishes)
}

/// Which value of a label each node has, as small numbers.
#[derive(Debug)]
pub(super) struct Topology {
    /// By the node's slot.
    of_node: Vec<Option<u32>>,
    pub(super) domains: usize,
}

impl Topology {
    pub(super) fn new<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Arc<Self> {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let of_node = values
            .map(|value| {
                let next = u32::try_from(numbers.len()).ok()?;
                Some(*numbers.entry(value?).or_insert(next))
            })
            .collect();
        Arc::new(Self { of_node, domains: numbers.len() })
    }

    pub(super) fn domain(&self, node: usize) -> Option<usize> {
        self.of_node.get(node).copied().flatten().map(|number| number as usize)
    }
}

/// A number for each domain of one topology.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) topology: Arc<Topology>,
    counts: Vec<i64>,
}

impl Tally {
    pub(super) fn new(topology: Arc<Topology>) -> Self {
        let counts = vec![0; topology.domains];
        Self { topology, counts }
    }

    pub(super) fn add(&mut self, node: usize, amount: i64) {
        if let Some(domain) = self.topology.domain(node) {
            self.counts[domain] += amount;
        }
    }

    /// What was counted in the node's domain; `None` when it is in none.
    pub(super) fn at(&self, node: usize) -> Option<i64> {
        self.topology.domain(node).map(|domain| self.counts[domain])
    }

    /// By domain.
    pub(super) fn counts(&self) -> &[i64] {
        &self.counts
    }
}
