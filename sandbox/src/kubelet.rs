//! Simulated kubelets: all nodes of a cluster in one set of tasks.
//!
//! Nothing runs on these nodes but in-process programs, and they say so: in their labels, in the first line of every
//! log, and wherever a command is not known. Everything above the node is real: the objects, the timings, the probes of
//! controllers and clients.

mod behaviour;
mod by_container;
mod courses;
mod faults;
mod http_service;
mod inside;
mod lifecycle;
mod logs;
mod metrics;
mod nodes;
mod programs;
mod server;
mod usage;
mod volumes;

pub use programs::{Identity, Program, ProgramContext, Programs};
pub use server::{Body, Unreachable};

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, PodStatus};

use crate::{
    Timings,
    cache::{Deletion, Key},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::{Recorder, reference},
    fault::{Fault, NodeFault},
    meta::{name, uid},
    queue::Queue,
    volumes::VolumeContents,
};

use by_container::ByContainer;
use courses::Courses;
use inside::{Contents, View};
use lifecycle::{About, Happening, Memory, Step, World};
use logs::{LogWriter, Logs};
use nodes::Addresses;

/// The simulated nodes of one cluster.
pub struct Kubelets {
    cluster: Cluster,
    events: Recorder,
    nodes: Arc<nodes::Nodes>,
    timings: Timings,
    memory: Mutex<HashMap<String, Memory>>,
    /// Statuses on their way to the API server, by uid. What runs here is true before the server says so.
    reporting: Mutex<HashMap<String, PodStatus>>,
    addresses: Mutex<Addresses>,
    logs: Logs,
    programs: Option<Arc<dyn Programs>>,
    running: Mutex<ByContainer<programs::Handle>>,
    contents: Contents,
    courses: Courses,
    /// What commands have written to volumes.
    volumes: Arc<VolumeContents>,
    queue: Arc<Queue<Key>>,
    /// What nodes have used in all, by node.
    totals: Mutex<HashMap<String, metrics::Totals>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kubelets {
    pub(crate) fn start(
        cluster: &Cluster,
        config: &crate::SandboxConfig,
        volumes: Arc<VolumeContents>,
        programs: Option<Arc<dyn Programs>>,
    ) -> Arc<Self> {
        let kubelets = Arc::new(Self {
            cluster: cluster.clone(),
            events: cluster.events.for_component("kubelet"),
            nodes: Arc::new(nodes::Nodes::new(config)),
            timings: config.timings.clone(),
            memory: Mutex::new(HashMap::new()),
            reporting: Mutex::new(HashMap::new()),
            addresses: Mutex::new(Addresses::default()),
            logs: Logs::new(&cluster.clock),
            programs,
            running: Mutex::default(),
            contents: Contents::default(),
            courses: Courses::default(),
            volumes,
            queue: Arc::new(Queue::new(&cluster.clock)),
            totals: Mutex::default(),
        });
        kubelets.follow_pods();
        faults::follow(cluster, &kubelets.queue);
        nodes::start(cluster, &kubelets.nodes, config, kubelets.queue.clone());
        let (this, token) = (kubelets.clone(), cluster.token.clone());
        cluster.tasks.spawn(async move {
            this.cluster.pods.synced().await;
            let queue = this.queue.clone();
            controller::run("kubelet", queue, 32, token, |key| this.sync(key)).await;
        });
        kubelets
    }

    fn follow_pods(self: &Arc<Self>) {
        // Weak: the informer outlives the kubelets otherwise, each holding the other.
        let this = Arc::downgrade(self);
        self.cluster.pods.on_change(move |old, new| {
            let Some(this) = this.upgrade() else { return };
            // A namesake may be seen without the end of the one before it.
            if let Some(old) = old.filter(|old| new.is_none_or(|new| uid(&**new) != uid(&***old))) {
                this.forget(old);
            }
            if let Some(pod) = new.filter(|pod| this.node_of(pod).is_some()) {
                this.queue.add(Key::of(&**pod));
            }
        });
    }

    fn node_of(&self, pod: &Pod) -> Option<Arc<nodes::Spec>> {
        self.nodes.get(pod.spec.as_ref()?.node_name.as_deref()?)
    }

    /// Whether the node's kubelet does anything at all.
    fn acts(&self, node: &str) -> bool {
        !self.suffers(node, &[NodeFault::Unreachable])
    }

    fn suffers(&self, node: &str, from: &[NodeFault]) -> bool {
        let node = self.cluster.nodes.get(&Key::new("", node));
        node.is_some_and(|node| from.iter().any(|fault| fault.is_of(&node)))
    }

    /// Stops and forgets what belonged to a pod that is gone.
    fn forget(&self, pod: &Pod) {
        if self.node_of(pod).is_none() {
            return;
        }
        lock(&self.memory).remove(uid(pod));
        lock(&self.addresses).release(uid(pod));
        self.logs.forget(uid(pod));
        lock(&self.running).forget(uid(pod));
        self.contents.forget(uid(pod));
        self.courses.forget(uid(pod));
    }

    /// Forgets a pod that went while something was done for it. Looked at last: one that goes from now on takes along
    /// what was kept of it.
    fn forget_gone(&self, pod: &Pod) {
        let present = self.cluster.pods.get(&Key::of(pod));
        if present.is_none_or(|present| uid(&*present) != uid(pod)) {
            self.forget(pod);
        }
    }

    /// A container's log, for a request that may outlive the pod.
    fn log_of(&self, pod: &Pod, container: &str) -> LogWriter {
        let writer = self.logs.writer(uid(pod), container);
        self.forget_gone(pod);
        writer
    }

    /// Moves one pod a step on (upstream: `syncPod`).
    async fn sync(&self, key: Key) -> Result<Next, Error> {
        let Some(pod) = self.cluster.pods.get(&key) else { return Ok(None) };
        let Some(node) = self.node_of(&pod) else { return Ok(None) };
        // Without a container runtime nothing starts or ends, either (upstream: "skipping pod synchronization").
        if self.suffers(&node.name, &[NodeFault::Unreachable, NodeFault::NotReady]) {
            return Ok(None);
        }
        let moved = self.move_on(&pod, &node).await;
        self.forget_gone(&pod);
        moved
    }

    async fn move_on(&self, pod: &Pod, node: &nodes::Spec) -> Result<Next, Error> {
        let memory = lock(&self.memory).get(uid(pod)).cloned().unwrap_or_else(|| {
            self.contents.add_images_of(pod);
            Memory::default()
        });
        self.mount(pod).await;
        self.look_up(pod).await;
        let pod_ip = self.pod_ip(pod, node);
        let exits = self.exits(pod);
        let told = faults::of(&self.cluster, pod);
        let partitioned = self.partition(pod, &told.faults);
        let is_program = |image: &str| self.is_program(image);
        let step = {
            let inside = View { kubelets: self, pod };
            let world = World {
                now: self.cluster.clock.now(),
                timings: &self.timings,
                host_ip: &node.address,
                pod_ip: pod_ip.as_deref(),
                exits: &exits,
                is_program: &is_program,
                faults: &told.faults,
                complaints: &told.complaints,
                inside: &inside,
            };
            lifecycle::advance(pod, memory, &world)
        };
        let again = self.carry_out(pod, node, step).await?;
        Ok(again.into_iter().chain(partitioned).min())
    }

    /// Cuts off what runs in a pod, or lets it back. Says when to look again.
    fn partition(&self, pod: &Pod, faults: &[Fault]) -> Next {
        let (now, mut running) = (self.cluster.clock.now(), lock(&self.running));
        let all = running.of_mut(uid(pod));
        all.filter_map(|(container, handle)| handle.partition(faults::cut_off(faults, container), now)).min()
    }

    async fn carry_out(&self, pod: &Pod, node: &nodes::Spec, step: Step) -> Result<Next, Error> {
        // Before anybody is told that they run: what is done in them from then on belongs to the new run.
        for container in &step.started {
            self.contents.renew(uid(pod), container);
            lock(&self.running).remove(uid(pod), container);
        }
        let updated = step.status.as_ref().map(|status| Pod { status: Some(status.clone()), ..pod.clone() });
        for container in &step.started {
            let run = courses::present_run(pod, container);
            self.set_out(updated.as_ref().unwrap_or(pod), container, run).await;
        }
        if let (Some(status), Some(updated)) = (step.status, &updated) {
            lock(&self.reporting).insert(uid(pod).to_owned(), status);
            let written = self.cluster.pods.update_as(pod, updated, Some("status"), "kubelet").await;
            // From here on the cache has it, or the next attempt will.
            lock(&self.reporting).remove(uid(pod));
            written?;
        }
        for container in &step.started {
            self.start_program(pod, container).await;
        }
        for container in &step.stopping {
            if let Some(handle) = lock(&self.running).get(uid(pod), container) {
                handle.stop();
            }
        }
        for image in &step.pulled {
            self.contents.add_image(&node.name, image);
        }
        lock(&self.memory).insert(uid(pod).to_owned(), step.memory);
        self.tell(pod, node, step.events);
        if step.delete {
            self.cluster.pods.delete(pod, Deletion::immediate()).await?;
        }
        Ok(step.again)
    }

    fn tell(&self, pod: &Pod, node: &nodes::Spec, happenings: Vec<Happening>) {
        let events = self.events.on_host(&node.name);
        for Happening { about, notice } in happenings {
            let about = match about {
                About::Pod => reference(pod),
                About::Container { list, name } => {
                    ObjectReference { field_path: Some(format!("spec.{list}{{{name}}}")), ..reference(pod) }
                }
                // Kubelets know their node by its name alone.
                About::Node => ObjectReference {
                    kind: Some("Node".to_owned()),
                    name: Some(node.name.clone()),
                    uid: Some(node.name.clone()),
                    ..ObjectReference::default()
                },
            };
            events.tell(about, notice);
        }
    }

    fn is_program(&self, image: &str) -> bool {
        self.programs.as_ref().is_some_and(|programs| programs.knows(image))
    }

    fn pod_ip(&self, pod: &Pod, node: &nodes::Spec) -> Option<String> {
        if pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true) {
            return Some(node.address.clone());
        }
        let held = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
        lock(&self.addresses).assign(node, uid(pod), held)
    }

    fn exits(&self, pod: &Pod) -> BTreeMap<String, i32> {
        let running = lock(&self.running);
        let ended = running.of(uid(pod)).filter_map(|(name, handle)| Some((name.to_owned(), handle.exit_code()?)));
        ended.collect()
    }

    /// Runs a container's program, if its image is one.
    async fn start_program(&self, pod: &Pod, container: &str) {
        let Some(programs) = &self.programs else { return };
        let Some(spec) = pod.spec.as_ref().and_then(|spec| server::container_of(spec, container)) else { return };
        let Some(program) = programs.find(spec.image.as_deref().unwrap_or_default()) else { return };
        let mounted = volumes::resolve(&self.cluster.client, pod, &spec).await;
        let log = self.logs.writer(uid(pod), container);
        let mut partition = programs::Partition::default();
        let cut = faults::cut_off(&faults::of(&self.cluster, pod).faults, container);
        // It is looked at again as soon as the container is seen to run.
        let _ = partition.tell(cut, self.cluster.clock.now());
        let token = self.cluster.token.child_token();
        let context = match mounted {
            Ok(resolved) => ProgramContext::new(pod, &spec, resolved, log.clone(), token, partition.follow()),
            Err(error) => {
                log.line(&format!("the container's environment could not be read: {}", crate::error::chain(&error)));
                self.end(pod, container, 128);
                return;
            }
        };
        let (tasks, queue) = (&self.cluster.tasks, self.queue.clone());
        let handle = programs::Handle::start(tasks, program, context, partition, queue, Key::of(pod));
        lock(&self.running).insert(uid(pod), container, handle);
    }

    /// A container's run is over.
    fn end(&self, pod: &Pod, container: &str, code: i32) {
        lock(&self.running).insert(uid(pod), container, programs::Handle::ended(code));
        self.forget_gone(pod);
        self.queue.add(Key::of(pod));
    }

    /// A pod as its kubelet sees it.
    fn view(&self, key: &Key) -> Option<Arc<Pod>> {
        let pod = self.cluster.pods.get(key)?;
        match lock(&self.reporting).get(uid(&*pod)) {
            Some(status) => Some(Arc::new(Pod { status: Some(status.clone()), ..(*pod).clone() })),
            None => Some(pod),
        }
    }

    /// The pod that a streaming request names, if it is on that node.
    fn find(&self, node: &str, namespace: &str, pod: &str) -> Option<Arc<Pod>> {
        let pod = self.view(&Key::new(namespace, pod))?;
        (pod.spec.as_ref()?.node_name.as_deref() == Some(node)).then_some(pod)
    }

    /// The names of the nodes.
    pub fn node_names(&self) -> Vec<String> {
        self.nodes.names()
    }

    /// A node as its kubelet reports it, for tests and displays.
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.cluster.nodes.get(&Key::new("", name))
    }
}

/// The name in a pod's log of the node it is on.
fn node_name(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// For a pod, what its shell and programs see as their host name.
fn hostname(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|spec| spec.hostname.clone()).unwrap_or_else(|| name(pod).to_owned())
}

/// The moment that long after another; the last there is, where that lies beyond. Statuses say what clients wrote.
fn after(since: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    since.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// A wait no shorter than the clock can tell.
fn at_least_a_tick(wait: Duration) -> Duration {
    wait.max(Duration::from_millis(1))
}
