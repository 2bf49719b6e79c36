//! Which pods are on which node, so that what concerns one node need not look at the pods of all.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::Pod;

use crate::cache::{Informer, Key};

/// Kept in step by the watch of pods; complete once that has synced.
#[derive(Default)]
pub(crate) struct Placement(Mutex<HashMap<String, BTreeSet<Key>>>);

impl Placement {
    /// Begins to follow `pods`, which must not be watched yet: others that follow them may then ask here.
    pub(crate) fn of(pods: &Informer<Pod>) -> Arc<Self> {
        let this = Arc::new(Self::default());
        let placed = this.clone();
        pods.on_change(move |old, new| placed.note(old.map(AsRef::as_ref), new.map(AsRef::as_ref)));
        this
    }

    fn note(&self, old: Option<&Pod>, new: Option<&Pod>) {
        let (before, after) = (old.and_then(node_of), new.and_then(node_of));
        if before == after {
            return;
        }
        let Some(key) = new.or(old).map(Key::of) else { return };
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = before
            && let Some(pods) = nodes.get_mut(node)
        {
            pods.remove(&key);
            if pods.is_empty() {
                nodes.remove(node);
            }
        }
        if let Some(node) = after {
            nodes.entry(node.to_owned()).or_default().insert(key);
        }
    }

    /// The keys of the pods on a node, in order.
    pub(crate) fn on(&self, node: &str) -> Vec<Key> {
        let nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.get(node).into_iter().flatten().cloned().collect()
    }
}

/// The node that a pod is bound to.
pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod;

    #[test]
    fn pods_come_to_a_node_and_go() {
        let placement = Placement::default();
        let (bound, mut waiting) = (pod("a", "Running", true), pod("a", "Pending", false));
        waiting.spec.as_mut().unwrap().node_name = None;
        placement.note(None, Some(&waiting));
        assert!(placement.on("node-1").is_empty());
        placement.note(Some(&waiting), Some(&bound));
        placement.note(None, Some(&pod("b", "Running", true)));
        let names = |node| placement.on(node).iter().map(|key| key.name.to_string()).collect::<Vec<_>>();
        assert_eq!((names("node-1"), names("node-2")), (vec!["a".to_owned(), "b".into()], Vec::new()));
        placement.note(Some(&bound), None);
        assert_eq!(names("node-1"), ["b"]);
    }
}
