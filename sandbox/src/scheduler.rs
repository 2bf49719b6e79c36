//! Places pending pods on nodes: one decision at a time, many writes at once.
//!
//! # Flow
//!
//! Informers leave keys of what changed in the [`inbox`]. One task owns the [`State`] and the [`Queue`]: it takes in
//! changes, wakes the pods that they may help ([`hints`]), and decides for one pod after the other ([`decide`],
//! [`preemption`]), without IO. What was decided counts at once and is written by tasks of its own ([`binding`]); when
//! a write fails, what it was about is taken back and tried again.
//!
//! # Guarantees
//!
//! Decisions depend on nothing but the order in which changes are heard of. Their cost does not grow with the number
//! of pods, but with that of nodes and of different pods (see [`shapes`]).

mod binding;
mod decide;
mod hints;
mod inbox;
mod node_affinity;
mod node_info;
mod pod_affinity;
mod pod_info;
mod ports;
mod preemption;
mod queue;
mod refusal;
mod resources;
#[cfg(test)]
mod scene;
mod score;
mod shapes;
mod state;
mod storage;
mod taints;
mod terms;
mod topology_spread;
mod volumes;
mod workload;

pub(crate) use node_affinity::matches_node;
pub(crate) use taints::{tolerates, toleration};

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;

use crate::{
    cache::Key,
    cluster::Cluster,
    error::{Error, chain},
    meta::{is_deleting, labels, uid},
    pods,
};

use binding::{Failure, Hands, Nomination, Report};
use decide::{Prepared, Verdict, decide};
use hints::{Change, helps};
use inbox::{Changes, Inbox};
use pod_info::{PodInfo, node_name};
use preemption::{Preemption, budgets, preempt};
use queue::Queue;
use refusal::{Diagnosis, Plugins};
use state::{Moved, State};
use storage::Informers;
use volumes::Choice;

const NAME: &str = "default-scheduler";
/// How many writes are under way at once.
const WRITES: usize = 32;
/// How many decisions are made before the news is looked at.
const DECISIONS: usize = 8;

struct Scheduler {
    hands: Hands,
    state: State,
    queue: Queue,
    /// The pods that were heard of, to tell namesakes apart.
    known: HashMap<Key, Arc<str>>,
    done: mpsc::Sender<Done>,
    writing: usize,
}

/// A write that ended.
enum Done {
    Bind { pod: Arc<PodInfo>, result: Result<(), Failure> },
    Evict { pod: Arc<PodInfo>, failed: bool },
    Report,
}

pub(crate) fn start(cluster: &Cluster) {
    let inbox = Inbox::follow(cluster);
    let hands = Hands { cluster: cluster.clone(), events: cluster.events.for_component(NAME), inbox };
    let (done, results) = mpsc::channel(WRITES);
    let scheduler =
        Scheduler { hands, state: State::default(), queue: Queue::default(), known: HashMap::new(), done, writing: 0 };
    cluster.spawn(scheduler.run(results));
}

impl Scheduler {
    async fn run(mut self, mut results: mpsc::Receiver<Done>) {
        self.synced().await;
        loop {
            self.take_in(self.hands.inbox.take());
            while let Ok(done) = results.try_recv() {
                self.finish(done);
            }
            if self.decide_some() {
                tokio::task::yield_now().await;
                continue;
            }
            let due = self.queue.next_due().filter(|_| self.writing < WRITES);
            tokio::select! {
                () = self.hands.inbox.changed() => {}
                Some(done) = results.recv() => self.finish(done),
                () = self.until(due) => {}
            }
        }
    }

    async fn synced(&self) {
        let cluster = &self.hands.cluster;
        cluster.nodes.synced().await;
        cluster.namespaces.synced().await;
        cluster.claims.synced().await;
        cluster.persistent_volumes.synced().await;
        cluster.storage_classes.synced().await;
        cluster.services.synced().await;
        cluster.replica_sets.synced().await;
        cluster.stateful_sets.synced().await;
        cluster.budgets.synced().await;
        cluster.pods.synced().await;
    }

    async fn until(&self, due: Option<Timestamp>) {
        match due {
            Some(due) => {
                let wait = due.duration_since(self.now());
                self.hands.cluster.clock.sleep(wait.try_into().unwrap_or_default()).await;
            }
            None => std::future::pending().await,
        }
    }

    fn now(&self) -> Timestamp {
        self.hands.cluster.clock.now()
    }

    fn take_in(&mut self, changes: Changes) {
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

    fn wake(&mut self, change: Change<'_>) {
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

    fn tell(&mut self, moved: Option<Moved>) {
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

    /// Decides for a few pods; says whether there may be more to do at once.
    fn decide_some(&mut self) -> bool {
        for _ in 0..DECISIONS {
            if self.writing >= WRITES {
                return false;
            }
            let Some(pod) = self.queue.pop(self.now()) else { return false };
            self.place(&pod);
        }
        true
    }

    fn place(&mut self, pod: &Arc<PodInfo>) {
        let cluster = &self.hands.cluster;
        // Whoever wishes for a spread of their own gets no other.
        let workload = if pod.spreads.is_empty() { workload::selector(cluster, pod) } else { None };
        match decide(&mut self.state, pod, &Informers(cluster), workload.as_ref()) {
            Verdict::Assign { node, volumes } => self.assign(pod, node, volumes),
            Verdict::Refused { diagnosis, prepared } => self.refuse(pod, &diagnosis, &prepared),
        }
    }

    fn assign(&mut self, pod: &Arc<PodInfo>, node: usize, volumes: Choice) {
        let name = self.state.nodes[node].name.clone();
        self.state.promises.make(&volumes, &name);
        self.state.assume(pod, node);
        self.state.dismiss(&pod.uid);
        self.wake(Change::Placed(pod));
        let (hands, pod) = (self.hands.clone(), pod.clone());
        self.write(async move {
            let result = hands.bind(&pod, &name, &volumes).await;
            Done::Bind { pod, result }
        });
    }

    fn refuse(&mut self, pod: &Arc<PodInfo>, diagnosis: &Diagnosis, prepared: &Prepared) {
        let budgets = || budgets(&self.hands.cluster.budgets.all());
        match preempt(&self.state, pod, prepared, diagnosis, budgets) {
            Preemption::Yes { node, victims } => self.make_room(pod, diagnosis, node, victims),
            Preemption::No { message, keeps_nomination } => {
                let had = if keeps_nomination { None } else { self.state.dismiss(&pod.uid) };
                let nomination = if had.is_some() { Nomination::Clear } else { Nomination::Keep };
                self.wait(pod, diagnosis.plugins(), false);
                self.report(pod, Report { reason: "Unschedulable", message: diagnosis.message(&message), nomination });
            }
        }
    }

    fn make_room(&mut self, pod: &Arc<PodInfo>, diagnosis: &Diagnosis, node: usize, victims: Vec<Arc<PodInfo>>) {
        let name = self.state.nodes[node].name.clone();
        let lower = self.state.nominated(node).iter().filter(|other| other.priority < pod.priority);
        let lower: Vec<Arc<PodInfo>> = lower.cloned().collect();
        for other in &lower {
            self.state.dismiss(&other.uid);
            self.queue.activate(&other.uid);
        }
        self.state.nominate(pod, node);
        self.wait(pod, diagnosis.plugins(), true);
        let nomination = Nomination::Set(name.clone());
        self.report(pod, Report { reason: "Unschedulable", message: diagnosis.message(""), nomination });
        let (hands, pod) = (self.hands.clone(), pod.clone());
        self.write(async move {
            let evicted = make_room(&hands, &pod, &name, &lower, &victims).await;
            if let Err(error) = &evicted {
                tracing::warn!(pod = ?pod.key, error = %chain(error), "victims were not told to go");
            }
            Done::Evict { pod, failed: evicted.is_err() }
        });
    }

    fn wait(&mut self, pod: &PodInfo, refused_by: Plugins, held: bool) {
        let now = self.now();
        self.queue.refuse(&pod.uid, refused_by, held, now);
    }

    fn report(&mut self, pod: &Arc<PodInfo>, report: Report) {
        self.hands.events.warning(&*pod.pod, "FailedScheduling", report.message.clone());
        let (hands, pod) = (self.hands.clone(), pod.clone());
        self.write(async move {
            if let Err(error) = hands.report(&pod.pod, &report).await {
                tracing::warn!(pod = ?pod.key, error = %chain(&error), "pod not told why it waits");
            }
            Done::Report
        });
    }

    fn write(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.writing += 1;
        let done = self.done.clone();
        self.hands.cluster.spawn(async move {
            // Nobody listens only when everything ends.
            let _ = done.send(work.await).await;
        });
    }

    fn finish(&mut self, done: Done) {
        self.writing -= 1;
        match done {
            Done::Bind { pod, result } => {
                self.state.promises.release(&pod.claims);
                match result {
                    Ok(()) => self.queue.remove(&pod.uid),
                    Err(failure) => self.take_back(&pod, failure),
                }
            }
            Done::Evict { pod, failed } => self.queue.release(&pod.uid, failed),
            Done::Report => {}
        }
    }

    fn take_back(&mut self, pod: &Arc<PodInfo>, failure: Failure) {
        let moved = self.state.forget(&pod.uid);
        self.tell(moved);
        let now = self.now();
        self.queue.fail(&pod.uid, now);
        if let Failure::Told(message) = failure {
            self.report(pod, Report { reason: "SchedulerError", message, nomination: Nomination::Keep });
        }
    }
}

async fn make_room(
    hands: &Hands,
    pod: &PodInfo,
    node: &str,
    lower: &[Arc<PodInfo>],
    victims: &[Arc<PodInfo>],
) -> Result<(), Error> {
    for other in lower {
        hands.clear_nomination(&other.pod).await?;
    }
    hands.evict(pod, node, victims).await
}

/// Whether this scheduler is to place the pod.
fn is_ours(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    node_name(pod).is_none()
        && !is_deleting(pod)
        && !pods::is_finished(pod)
        && spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
}
