//! The cluster as the scheduler sees it: nodes with their pods, and what was decided but not yet heard of.
//!
//! One task owns it, so there is no lock: whoever hears of a change leaves a key in the [`super::inbox`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::{cache::Key, pods};

use super::{
    node_info::{NodeInfo, places_like},
    pod_info::{PodInfo, node_name},
    shapes::{Shapes, Topology},
    terms::Labels,
    volumes::Promises,
};

#[derive(Default)]
pub(super) struct State {
    /// By slot; a slot keeps its number as long as its node is there or has pods.
    pub(super) nodes: Vec<NodeInfo>,
    slots: HashMap<Arc<str>, usize>,
    /// The slots of the nodes that are there, zones taking turns.
    pub(super) order: Vec<usize>,
    /// Where the next search begins, so that large clusters are filled all over.
    pub(super) start: usize,
    pub(super) shapes: Shapes,
    placed: HashMap<Arc<str>, Placed>,
    /// Pods for which room is being made, by node.
    nominated: BTreeMap<usize, Vec<Arc<PodInfo>>>,
    pub(super) namespaces: HashMap<String, Labels>,
    /// How many pods on nodes mount a claim.
    claims: HashMap<Key, i64>,
    pub(super) promises: Promises,
    topologies: HashMap<String, Arc<Topology>>,
}

struct Placed {
    info: Arc<PodInfo>,
    node: usize,
    /// Decided here; the API server has not confirmed it.
    assumed: bool,
}

/// What became of a pod on a node.
#[derive(Debug)]
pub(super) enum Moved {
    Placed(Arc<PodInfo>),
    Changed { old: Arc<PodInfo>, new: Arc<PodInfo>, node: usize },
    Left(Arc<PodInfo>, usize),
}

impl State {
    pub(super) fn slot(&self, name: &str) -> Option<usize> {
        self.slots.get(name).copied()
    }

    fn slot_for(&mut self, name: &str) -> usize {
        if let Some(slot) = self.slots.get(name) {
            return *slot;
        }
        let info = NodeInfo::new(name);
        let free = self.nodes.iter().position(|node| node.name.is_empty());
        let slot = free.unwrap_or(self.nodes.len());
        self.slots.insert(info.name.clone(), slot);
        match free {
            Some(slot) => self.nodes[slot] = info,
            None => self.nodes.push(info),
        }
        slot
    }

    /// Takes in a node's state. Returns its slot and the state before, unless nothing changed that matters.
    pub(super) fn set_node(&mut self, name: &str, node: Option<Arc<Node>>) -> Option<(usize, Option<Arc<Node>>)> {
        if node.is_none() && self.slot(name).is_none() {
            return None;
        }
        let slot = self.slot_for(name);
        let old = self.nodes[slot].node.clone();
        match (&old, &node) {
            (Some(old), Some(new)) if places_like(old, new) => {
                self.nodes[slot].node = node;
                return None;
            }
            (None, None) => return None,
            _ => {}
        }
        self.nodes[slot].set(node);
        self.tidy(slot);
        self.reorder();
        Some((slot, old))
    }

    /// Frees the slot of a node that is gone and has no pods.
    fn tidy(&mut self, slot: usize) {
        let info = &self.nodes[slot];
        if info.node.is_none() && info.pods.is_empty() {
            self.slots.remove(&info.name);
            self.nominated.remove(&slot);
            self.nodes[slot] = NodeInfo::default();
        }
    }

    fn reorder(&mut self) {
        let mut zones: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        let mut there: Vec<usize> = (0..self.nodes.len()).filter(|slot| self.nodes[*slot].node.is_some()).collect();
        there.sort_by(|a, b| self.nodes[*a].name.cmp(&self.nodes[*b].name));
        for slot in there {
            zones.entry(self.nodes[slot].zone()).or_default().push(slot);
        }
        let longest = zones.values().map(Vec::len).max().unwrap_or(0);
        let turns = (0..longest).flat_map(|turn| zones.values().filter_map(move |zone| zone.get(turn).copied()));
        self.order = turns.collect();
        self.topologies.clear();
    }

    /// The domains of a label, built when first asked for after nodes changed.
    pub(super) fn topology(&mut self, key: &str) -> Arc<Topology> {
        if let Some(topology) = self.topologies.get(key) {
            return topology.clone();
        }
        let topology = Topology::new(self.nodes.iter().map(|node| node.label(key)));
        self.topologies.insert(key.to_owned(), topology.clone());
        topology
    }

    pub(super) fn namespace_labels(&self, name: &str) -> &Labels {
        static NONE: Labels = Labels::new();
        self.namespaces.get(name).unwrap_or(&NONE)
    }

    /// Takes in the state of a pod that was, is or will be on a node; `None` when nothing changed that matters.
    pub(super) fn set_pod(&mut self, uid: &str, pod: Option<&Arc<Pod>>) -> Option<Moved> {
        let pod = pod.filter(|pod| !pods::is_finished(pod));
        let Some(pod) = pod else { return self.take_off(uid) };
        let node = match node_name(pod) {
            Some(name) => name.to_owned(),
            // The answer to the binding and the news of it may overtake each other.
            None => {
                self.placed.get(uid).filter(|placed| placed.assumed).map(|p| self.nodes[p.node].name.to_string())?
            }
        };
        let confirmed = node_name(pod).is_some();
        if let Some(placed) = self.placed.get_mut(uid)
            && *self.nodes[placed.node].name == *node
        {
            placed.assumed &= !confirmed;
            if placed.info.places_like(pod) {
                return None;
            }
        }
        let info = Arc::new(PodInfo::new(pod));
        let old = self.take_off(uid);
        let slot = self.place(info.clone(), &node, !confirmed);
        match old {
            // That a pod was bound as decided is no news.
            Some(Moved::Left(old, from)) if from == slot && node_name(&old.pod).is_none() => None,
            Some(Moved::Left(old, from)) if from == slot => Some(Moved::Changed { old, new: info, node: slot }),
            _ => Some(Moved::Placed(info)),
        }
    }

    /// Counts a pod on a node before the API server knows of it.
    pub(super) fn assume(&mut self, pod: &Arc<PodInfo>, node: usize) {
        let name = self.nodes[node].name.clone();
        self.place(pod.clone(), &name, true);
    }

    /// Takes back what was assumed; `None` if it was confirmed or is gone.
    pub(super) fn forget(&mut self, uid: &str) -> Option<Moved> {
        if self.placed.get(uid).is_some_and(|placed| placed.assumed) { self.take_off(uid) } else { None }
    }

    pub(super) fn is_placed(&self, uid: &str) -> bool {
        self.placed.contains_key(uid)
    }

    fn place(&mut self, info: Arc<PodInfo>, node: &str, assumed: bool) -> usize {
        let slot = self.slot_for(node);
        self.nodes[slot].add(&info);
        self.shapes.add(&info, slot);
        for claim in &info.claims {
            *self.claims.entry(claim.key.clone()).or_insert(0) += 1;
        }
        self.placed.insert(info.uid.clone(), Placed { info, node: slot, assumed });
        slot
    }

    fn take_off(&mut self, uid: &str) -> Option<Moved> {
        let Placed { info, node, .. } = self.placed.remove(uid)?;
        self.nodes[node].remove(uid);
        self.shapes.remove(&info, node);
        for claim in &info.claims {
            if let Some(count) = self.claims.get_mut(&claim.key) {
                *count -= 1;
                if *count <= 0 {
                    self.claims.remove(&claim.key);
                }
            }
        }
        self.tidy(node);
        Some(Moved::Left(info, node))
    }

    pub(super) fn claim_users(&self, claim: &Key) -> i64 {
        self.claims.get(claim).copied().unwrap_or(0)
    }

    /// Keeps room on a node for a pod, in place of any promise made to it before.
    pub(super) fn nominate(&mut self, pod: &Arc<PodInfo>, node: usize) {
        self.dismiss(&pod.uid);
        self.nominated.entry(node).or_default().push(pod.clone());
    }

    /// Keeps no more room for a pod; says for whom and where it was kept.
    pub(super) fn dismiss(&mut self, uid: &str) -> Option<(Arc<PodInfo>, usize)> {
        let node = self.nomination(uid)?;
        let pod = self.nominated(node).iter().find(|pod| *pod.uid == *uid).cloned()?;
        self.nominated.retain(|_, pods| {
            pods.retain(|pod| *pod.uid != *uid);
            !pods.is_empty()
        });
        Some((pod, node))
    }

    pub(super) fn nominated(&self, node: usize) -> &[Arc<PodInfo>] {
        self.nominated.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The node that is kept for a pod.
    pub(super) fn nomination(&self, uid: &str) -> Option<usize> {
        let mut all = self.nominated.iter();
        all.find(|(_, pods)| pods.iter().any(|pod| *pod.uid == *uid)).map(|(node, _)| *node)
    }

    pub(super) fn all_nominated(&self) -> impl Iterator<Item = &Arc<PodInfo>> {
        self.nominated.values().flatten()
    }
}
