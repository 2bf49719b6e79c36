//! Binds pending pods to nodes: filter, score, bind, one pod at a time.
//!
//! Usage per node is kept up to date by events, so a decision costs O(nodes), not O(pods). What was bound a moment ago
//! counts at once, before the watch says so. Pods that fit nowhere wait until a node or another pod changes.

mod affinity;
mod decide;
mod resources;

pub(crate) use affinity::{matches_node, tolerates, toleration};

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod, PodCondition};
use kube::{
    api::{Api, PostParams},
    core::ObjectMeta,
};

use crate::{
    cache::{Informer, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{is_deleting, name, namespace, uid},
    pods,
    queue::Queue,
};

use decide::{Verdict, decide};
use resources::{Resources, requests};

const NAME: &str = "default-scheduler";

/// What the pods on each node ask for.
#[derive(Default)]
struct Usage {
    nodes: BTreeMap<String, NodeUsage>,
    /// Where each counted pod is and what it asks for, by uid.
    counted: HashMap<String, (String, Resources)>,
    unschedulable: HashSet<Key>,
}

#[derive(Clone, Default)]
struct NodeUsage {
    requested: Resources,
    pods: i64,
}

impl Usage {
    fn count(&mut self, pod: &Pod, node: &str) {
        if self.counted.contains_key(uid(pod)) {
            return;
        }
        let asked = requests(pod);
        let usage = self.nodes.entry(node.to_owned()).or_default();
        usage.requested = usage.requested.plus(&asked);
        usage.pods += 1;
        self.counted.insert(uid(pod).to_owned(), (node.to_owned(), asked));
    }

    fn forget(&mut self, pod: &Pod) {
        let Some((node, asked)) = self.counted.remove(uid(pod)) else { return };
        if let Some(usage) = self.nodes.get_mut(&node) {
            usage.requested = usage.requested.minus(&asked);
            usage.pods -= 1;
        }
    }
}

struct Scheduler {
    cluster: Cluster,
    events: Recorder,
    usage: Arc<Mutex<Usage>>,
}

fn lock(usage: &Mutex<Usage>) -> std::sync::MutexGuard<'_, Usage> {
    usage.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    let usage = Arc::new(Mutex::new(Usage::default()));
    follow_pods(&cluster.pods, &usage, &queue);
    follow_nodes(&cluster.nodes, &usage, &queue);
    let token = cluster.token.clone();
    let scheduler = Scheduler { cluster: cluster.clone(), events: cluster.events.for_component(NAME), usage };
    cluster.tasks.spawn(async move {
        scheduler.cluster.nodes.synced().await;
        scheduler.cluster.pods.synced().await;
        controller::run("scheduler", queue, 1, token, |key| scheduler.schedule(key)).await;
    });
}

fn follow_pods(informer: &Informer<Pod>, usage: &Arc<Mutex<Usage>>, queue: &Arc<Queue<Key>>) {
    let (usage, queue) = (usage.clone(), queue.clone());
    informer.on_change(move |old, new| {
        let mut usage = lock(&usage);
        match new.filter(|pod| !pods::is_finished(pod)) {
            Some(pod) => match pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
                Some(node) => usage.count(pod, node),
                None if is_ours(pod) => queue.add(Key::of(&**pod)),
                None => {}
            },
            None => {
                // Room was made: those that found none may try again.
                if let Some(pod) = old {
                    usage.forget(pod);
                    usage.unschedulable.remove(&Key::of(&**pod));
                }
                usage.unschedulable.drain().for_each(|key| queue.add(key));
            }
        }
    });
}

fn follow_nodes(informer: &Informer<Node>, usage: &Arc<Mutex<Usage>>, queue: &Arc<Queue<Key>>) {
    let (usage, queue) = (usage.clone(), queue.clone());
    informer.on_change(move |old, new| {
        // Heartbeats change nothing that matters here.
        let same = |old: &Node, new: &Node| {
            old.spec == new.spec
                && old.metadata.labels == new.metadata.labels
                && old.status.as_ref().map(|s| &s.allocatable) == new.status.as_ref().map(|s| &s.allocatable)
        };
        if let (Some(old), Some(new)) = (old, new)
            && same(old, new)
        {
            return;
        }
        lock(&usage).unschedulable.drain().for_each(|key| queue.add(key));
    });
}

fn is_ours(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    spec.node_name.is_none() && !is_deleting(pod) && !gated && spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
}

impl Scheduler {
    async fn schedule(&self, key: Key) -> Result<Next, Error> {
        let Some(pod) = self.cluster.pods.get(&key).filter(|pod| is_ours(pod)) else { return Ok(None) };
        let verdict = {
            let mut usage = lock(&self.usage);
            if usage.counted.contains_key(uid(&*pod)) {
                return Ok(None);
            }
            let nodes = self.cluster.nodes.all();
            let verdict = decide(&pod, &nodes, |node| usage.nodes.get(node).cloned().unwrap_or_default());
            // Under the same lock, so that no change slips in between and leaves the pod waiting for ever.
            if matches!(verdict, Verdict::Unschedulable(_)) {
                usage.unschedulable.insert(key);
            }
            verdict
        };
        match verdict {
            Verdict::Bind(node) => self.bind(&pod, &node).await,
            Verdict::Unschedulable(message) => self.report_unschedulable(&pod, &message).await,
        }
    }

    async fn bind(&self, pod: &Pod, node: &str) -> Result<Next, Error> {
        lock(&self.usage).count(pod, node);
        let binding = Binding {
            metadata: ObjectMeta {
                name: pod.metadata.name.clone(),
                namespace: pod.metadata.namespace.clone(),
                uid: pod.metadata.uid.clone(),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(node.to_owned()),
                ..ObjectReference::default()
            },
        };
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), namespace(pod));
        let params = PostParams { field_manager: Some("kube-scheduler".to_owned()), ..PostParams::default() };
        let bound: Result<serde_json::Value, _> = api.create_subresource("binding", name(pod), &params, &binding).await;
        if let Err(error) = bound {
            lock(&self.usage).forget(pod);
            return Err(Error::api("bind a pod", error));
        }
        let message = format!("Successfully assigned {}/{} to {node}", namespace(pod), name(pod));
        self.events.normal(pod, "Scheduled", message);
        Ok(None)
    }

    async fn report_unschedulable(&self, pod: &Pod, message: &str) -> Result<Next, Error> {
        self.events.warning(pod, "FailedScheduling", message);
        let before = pods::condition(pod, "PodScheduled");
        if before.is_some_and(|old| old.status == "False" && old.message.as_deref() == Some(message)) {
            return Ok(None);
        }
        let since = before.filter(|old| old.status == "False").and_then(|old| old.last_transition_time.clone());
        let condition = PodCondition {
            type_: "PodScheduled".to_owned(),
            status: "False".to_owned(),
            reason: Some("Unschedulable".to_owned()),
            message: Some(message.to_owned()),
            last_transition_time: Some(since.unwrap_or_else(|| self.cluster.clock.time())),
            ..PodCondition::default()
        };
        let mut reported = pod.clone();
        let conditions = reported.status.get_or_insert_default().conditions.get_or_insert_default();
        conditions.retain(|old| old.type_ != condition.type_);
        conditions.push(condition);
        self.cluster.pods.update_as(pod, &reported, Some("status"), "kube-scheduler").await?;
        Ok(None)
    }
}
