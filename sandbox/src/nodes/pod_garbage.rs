//! Deletes pods that nobody else will (upstream: pod-garbage-collector): those whose node is gone, those that are to go
//! and have no node or one that is out of service, and the oldest finished ones when there are very many.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::core::v1::{Node, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::Api;

use crate::{
    cache::{Deletion, Key},
    clock::left,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    meta::{created, is_deleting, name},
    placement::node_of,
    pods,
    queue::Queue,
};

use super::{OUT_OF_SERVICE, condition::readiness};

/// How long a pod must have been an orphan.
const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);
/// How many finished pods are kept (upstream: `--terminated-pod-gc-threshold`).
const FINISHED_KEPT: usize = 12_500;

struct PodGarbage {
    cluster: Cluster,
    quarantine: Mutex<Quarantine>,
    finished: Arc<Mutex<Finished>>,
}

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    let finished = Arc::new(Mutex::new(Finished { keep: FINISHED_KEPT, oldest_first: BTreeSet::new() }));
    let (wake, nodes, kept) = (queue.clone(), Arc::downgrade(&cluster.nodes), finished.clone());
    cluster.pods.on_change(move |old, new| {
        lock(&kept).note(old.map(AsRef::as_ref), new.map(AsRef::as_ref)).into_iter().for_each(|key| wake.add(key));
        let Some((pod, nodes)) = new.zip(nodes.upgrade()) else { return };
        let node = node_of(pod).map(|node| nodes.get(&Key::new("", node)));
        let may_go = match node {
            None => is_deleting(&**pod),
            Some(None) => true,
            Some(Some(node)) => is_deleting(&**pod) && is_out_of_service(&node),
        };
        if may_go {
            wake.add(Key::of(&**pod));
        }
    });
    let (wake, placement) = (queue.clone(), cluster.placement.clone());
    cluster.nodes.on_change(move |old, new| {
        let was_out = old.is_some_and(|node| is_out_of_service(node));
        if new.is_none_or(|node| is_out_of_service(node) && !was_out)
            && let Some(node) = new.or(old)
        {
            placement.on(name(&**node)).into_iter().for_each(|key| wake.add(key));
        }
    });
    let garbage = PodGarbage { cluster: cluster.clone(), quarantine: Mutex::default(), finished };
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        garbage.cluster.nodes.synced().await;
        garbage.cluster.pods.synced().await;
        controller::run("pod-garbage-collector", queue, 8, token, |key| garbage.reconcile(key)).await;
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether people have said that the node is not to come back, and it does not look as if it had.
fn is_out_of_service(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    readiness(node) != "True" && taints.iter().any(|taint| taint.key == OUT_OF_SERVICE)
}

/// Why a pod is deleted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// Its node is gone.
    Orphaned,
    /// It is to go, and no kubelet will end it.
    Abandoned,
    /// It has finished, as very many after it.
    Old,
}

/// Why a pod is to be deleted, given its node. Whether a missing node has been so for long is not asked.
fn judge(pod: &Pod, node: Option<&Node>, is_old: bool) -> Option<Reason> {
    if is_old && pods::is_finished(pod) {
        return Some(Reason::Old);
    }
    match (node_of(pod), node) {
        (None, _) => is_deleting(pod).then_some(Reason::Abandoned),
        (Some(_), None) => Some(Reason::Orphaned),
        (Some(_), Some(node)) => (is_deleting(pod) && is_out_of_service(node)).then_some(Reason::Abandoned),
    }
}

impl PodGarbage {
    async fn reconcile(&self, key: Key) -> Result<Next, Error> {
        let pod = self.cluster.pods.get(&key);
        let reason = pod.as_deref().and_then(|pod| self.reason(pod));
        let spared = lock(&self.quarantine).left(&key, reason, self.cluster.clock.now());
        let (Some(pod), Some(reason), None) = (pod, reason, spared) else { return Ok(spared) };
        if reason != Reason::Orphaned || !self.has_node(&pod).await? {
            self.delete(&pod, reason).await?;
        }
        lock(&self.quarantine).end(&key);
        Ok(None)
    }

    fn reason(&self, pod: &Pod) -> Option<Reason> {
        let node = node_of(pod).and_then(|node| self.cluster.nodes.get(&Key::new("", node)));
        let is_old = lock(&self.finished).is_old(pod);
        judge(pod, node.as_deref(), is_old)
    }

    /// Whether the pod's node is there, by the API server itself.
    async fn has_node(&self, pod: &Pod) -> Result<bool, Error> {
        let nodes: Api<Node> = Api::all(self.cluster.client.clone());
        let node = nodes.get_opt(node_of(pod).unwrap_or_default()).await;
        Ok(node.map_err(|error| Error::api("read a node", error))?.is_some())
    }

    /// A pod that has not finished has failed by this: its controller is not to count it any more.
    async fn delete(&self, pod: &Pod, reason: Reason) -> Result<(), Error> {
        let failed = failed(pod, reason, self.cluster.clock.time());
        let told = self.cluster.pods.update_status(pod, &failed).await?;
        self.cluster.pods.delete(told.as_deref().unwrap_or(pod), Deletion::immediate()).await
    }
}

fn failed(pod: &Pod, reason: Reason, at: Time) -> Pod {
    if pods::is_finished(pod) {
        return pod.clone();
    }
    let mut told = match reason {
        Reason::Orphaned => {
            let why = pods::disruption(pod, "DeletionByPodGC", "PodGC: node no longer exists", at);
            pods::with_condition(pod, why)
        }
        Reason::Abandoned | Reason::Old => pod.clone(),
    };
    told.status.get_or_insert_default().phase = Some("Failed".to_owned());
    told
}

/// Since when pods have been orphans, as far as was seen: their node may be about to register again.
///
/// It is by pod, not by node: of a pod that is gone nothing stays, and a node that goes again is waited for again.
#[derive(Default)]
struct Quarantine(HashMap<Key, Timestamp>);

impl Quarantine {
    /// How long a pod is spared yet that is to be deleted for this reason, or for none.
    fn left(&mut self, pod: &Key, reason: Option<Reason>, now: Timestamp) -> Next {
        if reason != Some(Reason::Orphaned) {
            self.end(pod);
            return None;
        }
        let since = *self.0.entry(pod.clone()).or_insert(now);
        Some(left(since, QUARANTINE, now)).filter(|left| !left.is_zero())
    }

    fn end(&mut self, pod: &Key) {
        self.0.remove(pod);
    }
}

/// The finished pods, of which only so many are kept.
struct Finished {
    keep: usize,
    oldest_first: BTreeSet<(Timestamp, Key)>,
}

impl Finished {
    /// Takes in a change, and names the pods that are too many now.
    fn note(&mut self, old: Option<&Pod>, new: Option<&Pod>) -> Vec<Key> {
        let place = |pod: &Pod| (created(pod), Key::of(pod));
        if let Some(old) = old.filter(|pod| pods::is_finished(pod)) {
            self.oldest_first.remove(&place(old));
        }
        let Some(new) = new.filter(|pod| pods::is_finished(pod)) else { return Vec::new() };
        self.oldest_first.insert(place(new));
        let excess = self.oldest_first.len().saturating_sub(self.keep);
        self.oldest_first.iter().take(excess).map(|(_, key)| key.clone()).collect()
    }

    fn is_old(&self, pod: &Pod) -> bool {
        let excess = self.oldest_first.len().saturating_sub(self.keep);
        let place = (created(pod), Key::of(pod));
        self.oldest_first.iter().take(excess).any(|old| *old == place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod;
    use serde_json::json;

    fn node(ready: &str, taint: &str) -> Node {
        serde_json::from_value(
            json!({"metadata": {"name": "node-1"}, "spec": {"taints": [{"key": taint, "effect": "NoExecute"}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}}),
        )
        .unwrap()
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Pod), node: Option<&Node>, is_old: bool, expect: Option<Reason>) {
        let mut pod = pod("p", "Running", true);
        change(&mut pod);
        assert_eq!(judge(&pod, node, is_old), expect);
    }

    fn leaving(pod: &mut Pod) {
        pod.metadata.deletion_timestamp = Some(crate::meta::now());
    }

    #[test]
    fn who_is_deleted() {
        let (up, down) = (node("True", OUT_OF_SERVICE), node("Unknown", OUT_OF_SERVICE));
        let lost = node("Unknown", "node.kubernetes.io/unreachable");
        check(|_| {}, Some(&up), false, None);
        check(|_| {}, None, false, Some(Reason::Orphaned));
        check(leaving, Some(&down), false, Some(Reason::Abandoned));
        check(|_| {}, Some(&down), false, None);
        check(leaving, Some(&up), false, None);
        check(leaving, Some(&lost), false, None);
        let unbound = |pod: &mut Pod| {
            leaving(pod);
            pod.spec.as_mut().unwrap().node_name = None;
        };
        check(unbound, None, false, Some(Reason::Abandoned));
        check(|pod| pod.spec.as_mut().unwrap().node_name = None, None, false, None);
        check(|_| {}, Some(&up), true, None);
        check(|pod| *pod = super::tests::pod("p", "Succeeded", false), Some(&up), true, Some(Reason::Old));
    }

    #[test]
    fn a_node_that_is_missing_again_is_waited_for_again() {
        let (mut quarantine, pod) = (Quarantine::default(), Key::new("n", "p"));
        let mut check = |reason: Option<Reason>, second: i64, expect: Option<u64>| {
            let left = quarantine.left(&pod, reason, Timestamp::from_second(second).unwrap());
            assert_eq!(left.map(|left| left.as_secs()), expect);
        };
        check(Some(Reason::Orphaned), 0, Some(40));
        check(Some(Reason::Orphaned), 30, Some(10));
        check(None, 40, None);
        check(Some(Reason::Orphaned), 100, Some(40));
        check(Some(Reason::Orphaned), 140, None);
        check(Some(Reason::Abandoned), 141, None);
        assert!(quarantine.0.is_empty());
    }

    #[test]
    fn an_orphan_has_failed_and_says_why() {
        let told = failed(&pod("p", "Running", true), Reason::Orphaned, crate::meta::now());
        assert_eq!(pods::phase(&told), "Failed");
        assert_eq!(pods::condition(&told, pods::DISRUPTION_TARGET).unwrap().reason.as_deref(), Some("DeletionByPodGC"));
        let done = pod("p", "Succeeded", false);
        assert_eq!(failed(&done, Reason::Orphaned, crate::meta::now()), done);
    }

    #[test]
    fn the_oldest_of_too_many_finished_pods_go() {
        let mut finished = Finished { keep: 2, oldest_first: BTreeSet::new() };
        let done = |name: &str, day: u32| {
            let mut done = pod(name, "Succeeded", false);
            done.metadata.creation_timestamp = Some(Time(format!("2024-01-{day:02}T00:00:00Z").parse().unwrap()));
            done
        };
        let (first, second, third) = (done("first", 3), done("second", 1), done("third", 2));
        assert!(finished.note(None, Some(&first)).is_empty());
        assert!(finished.note(None, Some(&second)).is_empty());
        assert_eq!(finished.note(None, Some(&third)), [Key::of(&second)]);
        assert!(finished.is_old(&second) && !finished.is_old(&third));
        assert!(finished.note(Some(&second), None).is_empty() && !finished.is_old(&third));
    }
}
