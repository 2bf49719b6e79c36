//! Pods leave nodes that were tainted `NoExecute`: at once, or when they have tolerated it for as long as they said.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};

use crate::{
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{is_deleting, name, namespace},
    placement::node_of,
    pods,
    queue::Queue,
    scheduler,
};

struct TaintEviction {
    cluster: Cluster,
    events: Recorder,
    /// Since when pods tolerate for a time, as far as was seen: taints say so only of some nodes.
    tolerating: Mutex<HashMap<Key, Timestamp>>,
}

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    let wake = queue.clone();
    cluster.pods.on_change(move |old, new| {
        let says = |pod: &Arc<Pod>| {
            let spec = pod.spec.as_ref();
            spec.map(|spec| (spec.node_name.clone(), spec.tolerations.clone()))
        };
        if old.map(says) != new.map(says)
            && let Some(pod) = new.or(old)
        {
            wake.add(Key::of(&**pod));
        }
    });
    let (wake, placement) = (queue.clone(), cluster.placement.clone());
    cluster.nodes.on_change(move |old, new| {
        let changed = old.map(|node| no_execute(node)) != new.map(|node| no_execute(node));
        let Some(node) = new.or(old).filter(|_| changed) else { return };
        placement.on(name(&**node)).into_iter().for_each(|pod| wake.add(pod));
    });
    let eviction = TaintEviction {
        cluster: cluster.clone(),
        events: cluster.events.for_component("taint-eviction-controller"),
        tolerating: Mutex::default(),
    };
    let token = cluster.token.clone();
    cluster.tasks.clone().spawn(async move {
        eviction.cluster.pods.synced().await;
        eviction.cluster.nodes.synced().await;
        controller::run("taint-eviction", queue, 8, token, |key| eviction.reconcile(key)).await;
    });
}

impl TaintEviction {
    async fn reconcile(&self, key: Key) -> Result<Next, Error> {
        let pod = self.cluster.pods.get(&key).filter(|pod| !is_deleting(&**pod));
        let node = pod.as_ref().and_then(|pod| self.cluster.nodes.get(&Key::new("", node_of(pod)?)));
        let (Some(pod), Some(node)) = (pod, node) else {
            self.forget(&key);
            return Ok(None);
        };
        let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        let Some(time) = tolerated(&no_execute(&node), tolerations) else {
            if self.forget(&key) {
                self.tell(&pod, "Cancelling deletion of Pod");
            }
            return Ok(None);
        };
        let left = self.left(&key, time, self.cluster.clock.now());
        if !left.is_zero() {
            return Ok(Some(left));
        }
        self.tell(&pod, "Marking for deletion Pod");
        self.evict(&pod).await?;
        self.forget(&key);
        Ok(None)
    }

    /// How much of the time it tolerates a pod still has.
    fn left(&self, key: &Key, time: Duration, now: Timestamp) -> Duration {
        let mut tolerating = self.tolerating.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *tolerating.entry(key.clone()).or_insert(now);
        time.saturating_sub(Duration::try_from(now.duration_since(since)).unwrap_or_default())
    }

    /// Whether the pod was to leave.
    fn forget(&self, key: &Key) -> bool {
        self.tolerating.lock().unwrap_or_else(PoisonError::into_inner).remove(key).is_some()
    }

    fn tell(&self, pod: &Pod, what: &str) {
        let message = format!("{what} {}/{}", namespace(pod), name(pod));
        self.events.normal(pod, "TaintManagerEviction", message);
    }

    async fn evict(&self, pod: &Pod) -> Result<(), Error> {
        let message = "Taint manager: deleting due to NoExecute taint";
        let why = pods::disruption(pod, "DeletionByTaintManager", message, self.cluster.clock.time());
        let told = self.cluster.pods.update_status(pod, &pods::with_condition(pod, why)).await?;
        self.cluster.pods.delete(told.as_deref().unwrap_or(pod), Deletion::graceful()).await
    }
}

fn no_execute(node: &Node) -> Vec<Taint> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    taints.iter().filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

/// For how long all the taints are tolerated, `None` for ever. One that is not tolerated is tolerated for no time.
fn tolerated(taints: &[Taint], tolerations: &[Toleration]) -> Option<Duration> {
    let mut shortest: Option<Duration> = None;
    for taint in taints {
        let Some(used) = scheduler::toleration(tolerations, taint) else { return Some(Duration::ZERO) };
        // A time in the past is none.
        let time = used.toleration_seconds.map(|seconds| Duration::from_secs(seconds.try_into().unwrap_or(0)));
        shortest = [shortest, time].into_iter().flatten().min();
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(taints: Value, tolerations: Value, expect: Option<u64>) {
        let (taints, tolerations): (Vec<Taint>, Vec<Toleration>) =
            (serde_json::from_value(taints).unwrap(), serde_json::from_value(tolerations).unwrap());
        assert_eq!(tolerated(&taints, &tolerations), expect.map(Duration::from_secs));
    }

    fn hot() -> Value {
        json!({"key": "hot", "value": "yes", "effect": "NoExecute"})
    }

    #[test]
    fn without_a_toleration_at_once() {
        check(json!([hot()]), json!([]), Some(0));
        check(json!([hot()]), json!([{"key": "cold", "operator": "Exists"}]), Some(0));
        let other = json!({"key": "cold", "effect": "NoExecute"});
        check(json!([hot(), other]), json!([{"key": "hot", "operator": "Exists"}]), Some(0));
    }

    #[test]
    fn with_one_for_ever_or_for_its_time() {
        check(json!([]), json!([]), None);
        check(json!([hot()]), json!([{"operator": "Exists"}]), None);
        check(json!([hot()]), json!([{"key": "hot", "value": "yes", "tolerationSeconds": 30}]), Some(30));
        check(json!([hot()]), json!([{"key": "hot", "value": "yes", "tolerationSeconds": -1}]), Some(0));
    }

    #[test]
    fn the_shortest_time_counts() {
        let taints = json!([hot(), {"key": "cold", "effect": "NoExecute"}, {"key": "dry", "effect": "NoExecute"}]);
        let tolerations = json!([{"key": "hot", "operator": "Exists", "tolerationSeconds": 60},
            {"key": "cold", "operator": "Exists", "tolerationSeconds": 20}, {"key": "dry", "operator": "Exists"}]);
        check(taints, tolerations, Some(20));
    }
}
