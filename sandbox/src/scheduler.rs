//! Places pending pods on nodes: one decision at a time, many writes at once.
//!
//! # Flow
//!
//! Informers leave keys of what changed in the [`inbox`]. One task owns the [`State`] and the [`Queue`]: it takes in
//! changes, wakes the pods that they may help ([`hints`]), and decides for one pod after the other ([`decide()`],
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
mod news;
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
use tokio::sync::mpsc;

use crate::{
    cache::Key,
    cluster::Cluster,
    error::{Error, chain},
};

use binding::{Failure, Hands, Nomination, Report};
use decide::{Prepared, Verdict, decide};
use hints::Change;
use inbox::Inbox;
use pod_info::PodInfo;
use preemption::{Preemption, budgets, preempt};
use queue::Queue;
use refusal::{Diagnosis, Plugins};
use state::State;
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
    /// How many writes are under way, without those that wait for volumes.
    writing: usize,
}

/// A write that ended.
enum Done {
    Bind {
        pod: Arc<PodInfo>,
        result: Result<(), Failure>,
    },
    /// The same, with volumes that had to be bound before.
    BindLong {
        pod: Arc<PodInfo>,
        result: Result<(), Failure>,
    },
    Evict {
        pod: Arc<PodInfo>,
        failed: bool,
    },
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
        self.wake(Change::Placed(pod));
        if let Some((_, kept)) = self.state.dismiss(&pod.uid).filter(|(_, kept)| *kept != node) {
            self.wake(Change::Left { pod, node: kept });
        }
        let (hands, pod) = (self.hands.clone(), pod.clone());
        if volumes.is_empty() {
            self.write(async move { Done::Bind { result: hands.bind(&pod, &name, &volumes).await, pod } });
        } else {
            // Volumes may take minutes, and others must not wait for that.
            self.begin(async move { Done::BindLong { result: hands.bind(&pod, &name, &volumes).await, pod } });
        }
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
        self.begin(work);
    }

    fn begin(&self, work: impl Future<Output = Done> + Send + 'static) {
        let done = self.done.clone();
        self.hands.cluster.spawn(async move {
            // Nobody listens only when everything ends.
            let _ = done.send(work.await).await;
        });
    }

    fn finish(&mut self, done: Done) {
        if !matches!(done, Done::BindLong { .. }) {
            self.writing -= 1;
        }
        match done {
            Done::Bind { pod, result } | Done::BindLong { pod, result } => {
                self.state.promises.release(&pod.claims);
                match result {
                    Ok(()) => self.queue.remove(&pod.uid),
                    Err(failure) => self.take_back(&pod, failure),
                }
            }
            Done::Evict { pod, failed } => {
                let now = self.now();
                self.queue.release(&pod.uid, failed, now);
            }
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
