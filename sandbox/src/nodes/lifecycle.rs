//! Marks nodes that are silent or troubled (upstream: node-lifecycle-controller).
//!
//! A node whose lease and status have not changed for the grace period is of unknown health, and its pods count as not
//! ready. What a node's conditions say is repeated in taints, which scheduler and taint eviction go by.
//!
//! # Caveats
//!
//! Where the cluster's clock runs fast, a node has [`PATIENCE`] of the machine's time at the least: a busy machine is
//! no dead node.

mod health;
mod taints;
mod zones;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::{Node, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{
    cache::Key,
    cluster::{Cluster, LEASES},
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{labels, name},
    pods,
    queue::Queue,
};

use super::condition::readiness;
use health::Heard;
use zones::Zones;

/// The least of the machine's time that a node may be silent.
const PATIENCE: Duration = Duration::from_secs(2);
/// Who seems silent is looked at twice, so that a machine that stood still is not taken for a dead node.
const SECOND_LOOK: Duration = Duration::from_millis(500);

struct Lifecycle {
    cluster: Cluster,
    events: Recorder,
    grace: Duration,
    queue: Arc<Queue<Key>>,
    known: Arc<Mutex<HashMap<Key, Known>>>,
    zones: Mutex<Zones>,
}

struct Known {
    heard: Heard,
    suspected: bool,
    uid: Option<String>,
}

pub(super) fn start(cluster: &Cluster, grace: Duration) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    let known: Arc<Mutex<HashMap<Key, Known>>> = Arc::default();
    let (all, clock) = (known.clone(), cluster.clock.clone());
    cluster.leases.on_change(move |_, new| {
        let Some(lease) = new else { return };
        if let Some(node) = lock(&all).get_mut(&Key::new("", name(&**lease))) {
            node.heard.lease(lease, clock.now());
        }
    });
    let (wake, all, clock) = (queue.clone(), known.clone(), cluster.clock.clone());
    cluster.nodes.on_change(move |old, new| {
        if let Some(node) = new
            && let Some(known) = lock(&all).get_mut(&Key::of(&**node))
        {
            known.heard.status(node, clock.now());
        }
        let says = |node: &Arc<Node>| (node.spec.clone(), concise(node));
        if old.map(says) != new.map(says)
            && let Some(node) = new.or(old)
        {
            wake.add(Key::of(&**node));
        }
    });
    let lifecycle = Lifecycle {
        cluster: cluster.clone(),
        events: cluster.events.for_component("node-controller"),
        grace: cluster.clock.bearable(grace, PATIENCE),
        queue: queue.clone(),
        known,
        zones: Mutex::default(),
    };
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        lifecycle.cluster.nodes.synced().await;
        lifecycle.cluster.leases.synced().await;
        lifecycle.cluster.pods.synced().await;
        controller::run("node-lifecycle", queue, 8, token, |key| lifecycle.reconcile(key)).await;
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What of a node's conditions matters here: not when they were last told.
fn concise(node: &Node) -> Vec<(String, String)> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().map(|condition| (condition.type_.clone(), condition.status.clone())).collect()
}

fn zone(node: &Node) -> String {
    let label = |key: &str| labels(node).get(key).cloned().unwrap_or_default();
    format!("{}:\0:{}", label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

impl Lifecycle {
    async fn reconcile(&self, key: Key) -> Result<Next, Error> {
        let Some(node) = self.cluster.nodes.get(&key) else {
            self.forget(&key);
            return Ok(None);
        };
        let next = self.listen(&key, &node);
        let node = match next {
            Some(_) => node,
            None => self.silence(node).await?,
        };
        let state = Some((zone(&node), readiness(&node) == "True"));
        if lock(&self.zones).note(&key.name, state) {
            // Whether pods may leave is another matter now, for all that are not ready.
            self.cluster.nodes.all().iter().filter(|node| readiness(node) != "True").for_each(|node| {
                self.queue.add(Key::of(&**node));
            });
        }
        if readiness(&node) == "Unknown" {
            self.mark_pods(&node).await?;
        }
        let again = self.taint(&node).await?;
        Ok([next, again].into_iter().flatten().min())
    }

    /// How long until the node has to be looked at again if nothing is heard of it; nothing when it is silent.
    fn listen(&self, key: &Key, node: &Node) -> Next {
        let now = self.cluster.clock.now();
        let mut all = lock(&self.known);
        if all.get(key).is_none_or(|known| known.uid != node.metadata.uid) {
            let lease = self.cluster.leases.get(&Key::new(LEASES, &key.name));
            let heard = Heard::first(node, lease.as_deref(), now);
            all.insert(key.clone(), Known { heard, suspected: false, uid: node.metadata.uid.clone() });
            self.tell(node, "RegisteredNode", format!("Node {0} event: Registered Node {0} in Controller", key.name));
        }
        let known = all.get_mut(key)?;
        let left = known.heard.left(self.grace, now);
        let was_suspected = std::mem::replace(&mut known.suspected, left.is_none());
        match left {
            None if !was_suspected => Some(self.cluster.clock.bearable(SECOND_LOOK, SECOND_LOOK)),
            left => left,
        }
    }

    fn forget(&self, key: &Key) {
        if let Some(known) = lock(&self.known).remove(key) {
            let mut node = Node::default();
            (node.metadata.name, node.metadata.uid) = (Some(key.name.to_string()), known.uid);
            self.tell(&node, "RemovingNode", format!("Node {0} event: Removing Node {0} from Controller", key.name));
        }
        lock(&self.zones).note(&key.name, None);
    }

    fn tell(&self, node: &Node, reason: &'static str, message: String) {
        self.events.normal(node, reason, message);
    }

    /// Says of a node that nothing is known of it.
    async fn silence(&self, node: Arc<Node>) -> Result<Arc<Node>, Error> {
        let Some(reported) = health::silenced(&node, &self.cluster.clock.time()) else { return Ok(node) };
        let was_ready = readiness(&node) == "True";
        let written = self.cluster.nodes.update_status(&node, &reported).await?;
        if was_ready {
            self.tell(&node, "NodeNotReady", format!("Node {} status is now: NodeNotReady", name(&*node)));
        }
        Ok(written.unwrap_or(node))
    }

    /// The pods of a node that nothing is known of do not count as ready (upstream: `MarkPodsNotReady`).
    async fn mark_pods(&self, node: &Node) -> Result<(), Error> {
        for pod in self.cluster.pods_on(name(node)) {
            if !pods::is_ready(&pod) {
                continue;
            }
            let told = self.cluster.pods.update_status(&pod, &unready(&pod, self.cluster.clock.time())).await;
            match told {
                Ok(_) => self.events.warning(&*pod, "NodeNotReady", "Node is not ready"),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn taint(&self, node: &Node) -> Result<Next, Error> {
        let now = self.cluster.clock.now();
        let (evictions, again) = match taints::wants_eviction(node) {
            true => lock(&self.zones).turn(name(node), now),
            false => (lock(&self.zones).standing(), None),
        };
        if let Some(changed) = taints::tainted(node, evictions, &self.cluster.clock.time()) {
            self.cluster.nodes.update(node, &changed).await?;
        }
        Ok(again)
    }
}

fn unready(pod: &Pod, at: Time) -> Pod {
    let mut marked = pod.clone();
    let conditions = marked.status.as_mut().and_then(|status| status.conditions.as_mut());
    for ready in conditions.into_iter().flatten().filter(|condition| condition.type_ == "Ready") {
        ready.status = "False".to_owned();
        ready.last_transition_time = Some(at.clone());
    }
    marked
}
