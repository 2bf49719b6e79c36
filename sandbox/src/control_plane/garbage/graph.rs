//! Who owns whom. No IO.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::control_plane::catalog::Served;

pub(super) type Uid = Arc<str>;

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// An object, reduced to what collecting needs.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) uid: Uid,
    pub(super) served: Arc<Served>,
    pub(super) namespace: Option<Box<str>>,
    pub(super) name: Box<str>,
    pub(super) version: Box<str>,
    pub(super) owners: Box<[OwnerReference]>,
    pub(super) deleting: bool,
    pub(super) foreground: bool,
    pub(super) orphan: bool,
}

impl Node {
    pub(super) fn new(served: &Arc<Served>, meta: ObjectMeta) -> Option<Self> {
        let finalizers = meta.finalizers.unwrap_or_default();
        Some(Self {
            uid: meta.uid?.into(),
            served: served.clone(),
            namespace: meta.namespace.map(Into::into),
            name: meta.name?.into(),
            version: meta.resource_version.unwrap_or_default().into(),
            owners: meta.owner_references.unwrap_or_default().into(),
            deleting: meta.deletion_timestamp.is_some(),
            foreground: finalizers.iter().any(|finalizer| finalizer == FOREGROUND),
            orphan: finalizers.iter().any(|finalizer| finalizer == ORPHAN),
        })
    }

    /// Waits for its dependents to go.
    fn waits(&self) -> bool {
        self.deleting && self.foreground
    }
}

#[derive(Default)]
pub(super) struct Graph {
    nodes: HashMap<Uid, Node>,
    dependents: HashMap<Uid, BTreeSet<Uid>>,
}

/// What should become of an object, as far as the graph knows.
#[derive(Debug)]
pub(super) enum Verdict {
    Nothing,
    /// Its dependents that block it must go first; they are to be looked at.
    WaitFor(Vec<Uid>),
    /// Nothing blocks it any more: remove the foreground finalizer.
    Release(Box<Node>),
    /// Free its dependents, then remove the orphan finalizer.
    Orphan(Box<Node>, Vec<Node>),
    /// Whether it is garbage depends on its owners.
    Judge(Box<Node>, Vec<OwnerState>),
}

/// One owner of an object, as the graph sees it.
#[derive(Clone, Debug)]
pub(super) struct OwnerState {
    pub(super) reference: OwnerReference,
    pub(super) known: Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// There, and staying.
    Solid,
    /// There, waiting for its dependents to go.
    Waiting,
    /// Not in the graph: only the server can say.
    Unknown,
}

impl Graph {
    /// Takes in a state of an object; answers with what to look at because of it.
    pub(super) fn insert(&mut self, node: Node) -> Vec<Uid> {
        let uid = node.uid.clone();
        let before = self.nodes.insert(uid.clone(), node.clone());
        for owner in before.iter().flat_map(|before| &before.owners) {
            self.unlink(&owner.uid, &uid);
        }
        for owner in &node.owners {
            self.dependents.entry(owner.uid.as_str().into()).or_default().insert(uid.clone());
        }
        let mut due = Vec::new();
        if !node.owners.is_empty() || node.deleting {
            due.push(uid);
        }
        // An owner that waits may be waiting for exactly this change.
        due.extend(self.waiting_owners(&node));
        if let Some(before) = before {
            due.extend(self.waiting_owners(&before));
        }
        due
    }

    pub(super) fn remove(&mut self, uid: &str) -> Vec<Uid> {
        let Some(node) = self.nodes.remove(uid) else { return Vec::new() };
        for owner in &node.owners {
            self.unlink(&owner.uid, &node.uid);
        }
        let mut due: Vec<Uid> = self.dependents_of(uid).cloned().collect();
        due.extend(self.waiting_owners(&node));
        due
    }

    /// Forgets the objects of a kind that a new list did not hold.
    pub(super) fn keep_only(&mut self, served: &Served, listed: &[String]) -> Vec<Uid> {
        let listed: HashSet<&str> = listed.iter().map(String::as_str).collect();
        let gone: Vec<Uid> = self
            .nodes
            .values()
            .filter(|node| node.served.resource == served.resource && !listed.contains(&*node.uid))
            .map(|node| node.uid.clone())
            .collect();
        gone.iter().flat_map(|uid| self.remove(uid)).collect()
    }

    /// Objects with an owner that is not in the graph.
    pub(super) fn unresolved(&self) -> Vec<Uid> {
        let unknown = |node: &&Node| node.owners.iter().any(|owner| !self.nodes.contains_key(owner.uid.as_str()));
        self.nodes.values().filter(unknown).map(|node| node.uid.clone()).collect()
    }

    pub(super) fn forget_kind(&mut self, served: &Served) -> Vec<Uid> {
        self.keep_only(served, &[])
    }

    fn unlink(&mut self, owner: &str, dependent: &Uid) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }

    fn dependents_of(&self, uid: &str) -> impl Iterator<Item = &Uid> {
        self.dependents.get(uid).into_iter().flatten()
    }

    fn waiting_owners(&self, node: &Node) -> Vec<Uid> {
        let owners = node.owners.iter().filter_map(|owner| self.nodes.get(owner.uid.as_str()));
        owners.filter(|owner| owner.waits()).map(|owner| owner.uid.clone()).collect()
    }

    fn blocks(&self, dependent: &Uid, owner: &str) -> bool {
        self.nodes.get(dependent).is_some_and(|node| {
            node.owners.iter().any(|reference| reference.uid == owner && reference.block_owner_deletion == Some(true))
        })
    }

    pub(super) fn judge(&self, uid: &str) -> Verdict {
        let Some(node) = self.nodes.get(uid) else { return Verdict::Nothing };
        if node.deleting && node.orphan {
            let dependents = self.dependents_of(uid).filter_map(|uid| self.nodes.get(uid)).cloned().collect();
            return Verdict::Orphan(Box::new(node.clone()), dependents);
        }
        if node.waits() {
            let blocking = self.dependents_of(uid).any(|dependent| self.blocks(dependent, uid));
            return if blocking {
                Verdict::WaitFor(self.dependents_of(uid).cloned().collect())
            } else {
                Verdict::Release(Box::new(node.clone()))
            };
        }
        if node.deleting || node.owners.is_empty() {
            return Verdict::Nothing;
        }
        let owners = node
            .owners
            .iter()
            .map(|reference| {
                let known = match self.nodes.get(reference.uid.as_str()) {
                    Some(owner) if owner.waits() => Known::Waiting,
                    Some(_) => Known::Solid,
                    None => Known::Unknown,
                };
                OwnerState { reference: reference.clone(), known }
            })
            .collect();
        Verdict::Judge(Box::new(node.clone()), owners)
    }

    pub(super) fn has_dependents(&self, uid: &str) -> bool {
        self.dependents_of(uid).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::ApiResource;
    use serde_json::{Value, json};

    fn served() -> Arc<Served> {
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
        Arc::new(Served { resource, namespaced: true, watchable: true, collectable: true })
    }

    fn node(uid: &str, owners: &[(&str, bool)], extra: Value) -> Node {
        let owners: Vec<_> = owners
            .iter()
            .map(|(uid, block)| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": uid, "uid": uid, "blockOwnerDeletion": block}))
            .collect();
        let mut meta = json!({"uid": uid, "name": uid, "namespace": "n", "ownerReferences": owners});
        meta.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Node::new(&served(), serde_json::from_value(meta).unwrap()).unwrap()
    }

    fn leaving(finalizer: &str) -> Value {
        json!({"deletionTimestamp": "2024-01-01T00:00:00Z", "finalizers": [finalizer]})
    }

    fn uids(due: &[Uid]) -> Vec<&str> {
        due.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn dependents_are_looked_at_when_their_owner_goes() {
        let mut graph = Graph::default();
        graph.insert(node("owner", &[], json!({})));
        graph.insert(node("child", &[("owner", false)], json!({})));
        let due = graph.remove("owner");
        assert_eq!(uids(&due), ["child"]);
        let Verdict::Judge(_, owners) = graph.judge("child") else { panic!("not judged") };
        assert_eq!(owners[0].known, Known::Unknown);
    }

    #[test]
    fn a_foreground_owner_waits_for_what_blocks_it() {
        let mut graph = Graph::default();
        graph.insert(node("owner", &[], leaving(FOREGROUND)));
        graph.insert(node("child", &[("owner", true)], json!({})));
        assert!(matches!(graph.judge("owner"), Verdict::WaitFor(due) if uids(&due) == ["child"]));
        let Verdict::Judge(_, owners) = graph.judge("child") else { panic!("not judged") };
        assert_eq!(owners[0].known, Known::Waiting);
        assert_eq!(uids(&graph.remove("child")), ["owner"]);
        assert!(matches!(graph.judge("owner"), Verdict::Release(_)));
    }

    #[test]
    fn what_does_not_block_is_not_waited_for() {
        let mut graph = Graph::default();
        graph.insert(node("owner", &[], leaving(FOREGROUND)));
        graph.insert(node("child", &[("owner", false)], json!({})));
        assert!(matches!(graph.judge("owner"), Verdict::Release(_)));
    }

    #[test]
    fn orphaning_names_the_dependents() {
        let mut graph = Graph::default();
        graph.insert(node("owner", &[], leaving(ORPHAN)));
        graph.insert(node("child", &[("owner", false)], json!({})));
        assert!(matches!(graph.judge("owner"), Verdict::Orphan(_, children) if children.len() == 1));
    }

    #[test]
    fn objects_of_unknown_owners_can_be_found_again() {
        let mut graph = Graph::default();
        graph.insert(node("child", &[("owner", false)], json!({})));
        assert_eq!(uids(&graph.unresolved()), ["child"]);
        graph.insert(node("owner", &[], json!({})));
        assert!(graph.unresolved().is_empty());
    }

    #[test]
    fn a_new_list_forgets_the_missing() {
        let mut graph = Graph::default();
        graph.insert(node("owner", &[], json!({})));
        graph.insert(node("child", &[("owner", false)], json!({})));
        assert_eq!(uids(&graph.keep_only(&served(), &["child".to_owned()])), ["child"]);
        assert!(!graph.nodes.contains_key("owner"));
    }
}
