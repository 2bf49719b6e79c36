//! The nodes as their kubelets keep them: registered, their leases renewed, their status told.
//!
//! Each node is a key in one queue, so that nodes report individually and a thousand of them cost one task. What is due
//! is decided in [`plan`]; this file does it.
//!
//! # Flow
//!
//! A kubelet registers its node when it starts. As with upstream's, a node that is deleted stays deleted until its
//! kubelet starts again (here: with this process), or until somebody creates it anew, which the kubelet takes up. A
//! node that somebody creates with the label `node.acp.io/simulated: "true"` gets a kubelet of its own. Annotations
//! change what a kubelet runs ([`KUBELET_VERSION`], [`RUNTIME_VERSION`]), as a restart with other software does, and
//! what it suffers from ([`NodeFault`](crate::fault::NodeFault)).

mod addresses;
mod plan;
mod spec;
mod status;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::{Node, ObjectReference},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::{
    SandboxConfig,
    cache::Key,
    cluster::{Cluster, LEASES},
    controller::{self, Next},
    error::Error,
    events::{Recorder, reference},
    meta::name,
    queue::Queue,
};

use super::lock;
pub(super) use addresses::Addresses;
use plan::{Memory, Pace, Work};
pub(super) use spec::{Nodes, Spec};

/// On a node: the version its kubelet restarts with, such as `v1.35.0`.
const KUBELET_VERSION: &str = "sandbox.cpaas.io/kubelet-version";
/// On a node: the version of its container runtime, such as `containerd://2.1.4`.
const RUNTIME_VERSION: &str = "sandbox.cpaas.io/container-runtime-version";

/// Where kubelets listen.
pub(super) const PORT: u16 = 10250;

/// The field manager of kubelets.
const KUBELET: &str = "kubelet";

/// The least of the machine's time between two renewals of a lease, and between two reports of an unchanged status.
const LEAST: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// So many nodes report at the same time; the store writes them together.
const WIDTH: usize = 32;

struct Reporter {
    cluster: Cluster,
    events: Recorder,
    nodes: Arc<Nodes>,
    pace: Pace,
    seed: u64,
    memory: Mutex<HashMap<String, Memory>>,
    /// The queue of the pods' kubelets.
    pods: Arc<Queue<Key>>,
}

/// Registers the nodes and keeps their leases and statuses; the informers must not be running yet. `pods` is where pods
/// are queued when their node can act again.
pub(super) fn start(cluster: &Cluster, nodes: &Arc<Nodes>, config: &SandboxConfig, pods: Arc<Queue<Key>>) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    nodes.names().into_iter().for_each(|name| queue.add(name));
    let (wake, known) = (queue.clone(), nodes.clone());
    cluster.nodes.on_change(move |old, new| {
        let Some(node) = new.or(old) else { return };
        if new.is_some() {
            known.take_up(node);
        }
        if known.get(name(&**node)).is_some() {
            wake.add(name(&**node).to_owned());
        }
    });
    let reporter = Reporter {
        cluster: cluster.clone(),
        events: cluster.events.for_component(KUBELET),
        nodes: nodes.clone(),
        pace: Pace {
            lease: cluster.clock.bearable(config.timings.lease, LEAST.0),
            heartbeat: cluster.clock.bearable(config.timings.heartbeat, LEAST.1),
        },
        seed: config.seed,
        memory: Mutex::default(),
        pods,
    };
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        reporter.cluster.nodes.synced().await;
        controller::run("kubelet-node", queue, WIDTH, token, |name| reporter.reconcile(name)).await;
    });
}

impl Reporter {
    async fn reconcile(&self, name: String) -> Result<Next, Error> {
        let Some(spec) = self.nodes.get(&name) else { return Ok(None) };
        let node = self.cluster.nodes.get(&Key::new("", &name));
        let memory = {
            let mut all = lock(&self.memory);
            let memory = all.entry(name.clone()).or_insert_with(|| Memory::new(self.seed, &name));
            // Whatever becomes of the rest: the node may be deleted before it is told of.
            memory.registered |= node.is_some();
            memory.clone()
        };
        let work = plan::plan(&spec, node.as_deref(), memory, &self.pace, self.cluster.clock.now());
        self.carry_out(&spec, node.as_deref(), work).await
    }

    async fn carry_out(&self, spec: &Spec, node: Option<&Node>, work: Work) -> Result<Next, Error> {
        let nodes = &self.cluster.nodes;
        if work.register {
            return self.register(spec).await;
        }
        let Some(node) = node else {
            lock(&self.memory).insert(spec.name.clone(), work.memory);
            return Ok(work.again);
        };
        let mut latest = None;
        if let Some(labelled) = &work.labelled {
            latest = nodes.update_as(node, labelled, None, KUBELET).await?;
        }
        if let Some(status) = work.status {
            let before = latest.as_deref().unwrap_or(node);
            let after = Node { status: Some(status), ..before.clone() };
            nodes.update_as(before, &after, Some("status"), KUBELET).await?;
        }
        // What has been told is told, also when the lease fails.
        lock(&self.memory).insert(spec.name.clone(), work.memory);
        let events = self.events.on_host(&spec.name);
        for notice in work.events {
            // Kubelets name their node by its name alone.
            let about = ObjectReference { uid: Some(spec.name.clone()), resource_version: None, ..reference(node) };
            events.tell(about, notice);
        }
        if work.acts_again {
            self.cluster.placement.on(&spec.name).into_iter().for_each(|pod| self.pods.add(pod));
        }
        if work.renew {
            self.renew(spec, node).await?;
        }
        Ok(work.again)
    }

    /// Creates the node; what comes of it is for the next look.
    async fn register(&self, spec: &Spec) -> Result<Next, Error> {
        let api: Api<Node> = Api::all(self.cluster.client.clone());
        let params = PostParams { field_manager: Some(KUBELET.to_owned()), ..PostParams::default() };
        let node = status::registered(spec, self.cluster.clock.now());
        match api.create(&params, &node).await {
            Ok(_) => {}
            // It is there already, and about to be seen.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(Error::api("register a node", error)),
        }
        lock(&self.memory).entry(spec.name.clone()).and_modify(|memory| memory.registered = true);
        Ok(None)
    }

    async fn renew(&self, spec: &Spec, node: &Node) -> Result<(), Error> {
        let api: Api<Lease> = Api::namespaced(self.cluster.client.clone(), LEASES);
        let now = MicroTime(self.cluster.clock.now());
        let params = PatchParams { field_manager: Some(KUBELET.to_owned()), ..PatchParams::default() };
        let patch = json!({"spec": {"renewTime": now, "holderIdentity": spec.name}});
        match api.patch(&spec.name, &params, &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => self.create_lease(&api, spec, node, now).await,
            Err(error) => Err(Error::api("renew a node's lease", error)),
        }
    }

    async fn create_lease(&self, api: &Api<Lease>, spec: &Spec, node: &Node, now: MicroTime) -> Result<(), Error> {
        let duration = self.pace.lease.as_secs().saturating_mul(4);
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: name(node).to_owned(),
            uid: node.metadata.uid.clone().unwrap_or_default(),
            ..OwnerReference::default()
        };
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(spec.name.clone()),
                namespace: Some(LEASES.to_owned()),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(spec.name.clone()),
                lease_duration_seconds: Some(i32::try_from(duration).unwrap_or(i32::MAX).max(1)),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        };
        let params = PostParams { field_manager: Some(KUBELET.to_owned()), ..PostParams::default() };
        api.create(&params, &lease).await.map_err(|error| Error::api("create a node's lease", error))?;
        Ok(())
    }
}
