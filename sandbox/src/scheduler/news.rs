//! Takes in what changed in the cluster, and wakes the pods that it may help.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::{
    cache::Key,
    meta::{is_deleting, labels, uid},
    pods,
};

use super::{
    NAME, Scheduler,
    hints::{Change, helps},
    inbox::Changes,
    pod_info::{PodInfo, node_name},
    state::Moved,
};

impl Scheduler {
    pub(super) fn take_in(&mut self, changes: Changes) {
        for key in changes.namespaces {
            self.hear_of_namespace(&key);
        }
        for key in changes.nodes {
            self.hear_of_node(&key.name);
        }
        for key in changes.pods {
            self.hear_of_pod(&key);
        }
        for key in changes.claims {
            self.wake(Change::Claim(&key));
        }
        if changes.volumes.into_iter().chain(changes.classes).next().is_some() {
            self.wake(Change::Storage);
        }
    }

    pub(super) fn wake(&mut self, change: Change<'_>) {
        if self.queue.has_waiting() {
            let now = self.now();
            self.queue.wake(now, |pod, refused_by| helps(&self.state, change, pod, refused_by));
        }
    }

    fn hear_of_namespace(&mut self, key: &Key) {
        let new = self.hands.cluster.namespaces.get(key).map(|namespace| labels(&*namespace).clone());
        let old = match &new {
            Some(labels) => self.state.namespaces.insert(key.name.to_string(), labels.clone()),
            None => self.state.namespaces.remove(&*key.name),
        };
        if old != new {
            self.wake(Change::Namespace);
        }
    }

    fn hear_of_node(&mut self, name: &str) {
        let node = self.hands.cluster.nodes.get(&Key::new("", name));
        let there = node.is_some();
        if let Some((slot, _)) = self.state.set_node(name, node) {
            self.wake(if there { Change::Node(slot) } else { Change::NodeGone });
        }
    }

    fn hear_of_pod(&mut self, key: &Key) {
        let pod = self.hands.cluster.pods.get(key);
        let before = match &pod {
            Some(pod) => self.known.insert(key.clone(), uid(&**pod).into()),
            None => self.known.remove(key),
        };
        if let Some(old) = before.filter(|old| pod.as_ref().is_none_or(|pod| uid(&**pod) != &**old)) {
            self.lose(&old);
        }
        if let Some(pod) = pod {
            self.hear_of_state(&pod);
        }
    }

    fn hear_of_state(&mut self, pod: &Arc<Pod>) {
        let id = uid(&**pod);
        let moved = self.state.set_pod(id, Some(pod));
        self.tell(moved);
        if self.state.is_placed(id) && node_name(pod).is_some() || !is_ours(pod) {
            self.queue.remove(id);
            self.dismiss(id);
        } else if !self.state.is_placed(id) {
            self.enqueue(pod);
        }
    }

    fn enqueue(&mut self, pod: &Arc<Pod>) {
        let info = Arc::new(PodInfo::new(pod));
        let before = self.queue.get(&info.uid).cloned();
        let promised = before.as_ref().and_then(|old| old.nominated_node());
        if promised != info.nominated_node() {
            match info.nominated_node().and_then(|node| self.state.slot(node)) {
                Some(node) => self.state.nominate(&info, node),
                None => self.dismiss(&info.uid),
            }
        }
        let changed = before.is_some_and(|old| !old.places_like(pod));
        self.queue.put(info, changed);
    }

    /// The pod is gone for good.
    fn lose(&mut self, uid: &str) {
        let moved = self.state.set_pod(uid, None);
        self.tell(moved);
        self.queue.remove(uid);
        self.dismiss(uid);
    }

    /// Keeps no more room for a pod, which others may take.
    fn dismiss(&mut self, uid: &str) {
        if let Some((pod, node)) = self.state.dismiss(uid) {
            self.wake(Change::Left { pod: &pod, node });
        }
    }

    pub(super) fn tell(&mut self, moved: Option<Moved>) {
        match moved {
            Some(Moved::Placed(pod)) => self.wake(Change::Placed(&pod)),
            Some(Moved::Left(pod, node)) => self.wake(Change::Left { pod: &pod, node }),
            // That a pod begins to go helps nobody; that it is gone does.
            Some(Moved::Changed { old, new, node }) if old.labels() != new.labels() || old.requests != new.requests => {
                self.wake(Change::Left { pod: &old, node });
                self.wake(Change::Placed(&new));
            }
            Some(Moved::Changed { .. }) | None => {}
        }
    }
}

/// Whether this scheduler is to place the pod.
fn is_ours(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    node_name(pod).is_none()
        && !is_deleting(pod)
        && !pods::is_finished(pod)
        && spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
}
