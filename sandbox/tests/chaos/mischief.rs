//! What goes wrong, and what people do meanwhile: acts drawn at random from a seed, each taken back after a while.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        batch::v1::Job,
        core::v1::{Namespace, Node, PersistentVolumeClaim, Pod},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
};
use sandbox::{Clock, fault};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::judge::node_of;

/// On a pod that is deleted by hand, for those who look at it later.
pub(crate) const TAKEN: &str = "test.example/taken";

/// Workloads and how many pods each has when nobody scales it.
const DEPLOYMENTS: [(&str, i32); 3] = [("web", 4), ("api", 3), ("single", 1)];
const ROLLING: [(&str, i32); 2] = [DEPLOYMENTS[0], DEPLOYMENTS[1]];
const STATEFUL_SETS: [(&str, i32); 2] = [("database", 3), ("queue", 3)];
const POD_FAULTS: [&str; 6] =
    ["crash-loop", "image-pull-error", "slow-start=20s", "out-of-memory", "not-ready", "liveness-failure"];
const NODE_FAULTS: [&str; 5] = ["not-ready", "unreachable", "memory-pressure", "disk-pressure", "pid-pressure"];
const VERSIONS: [&str; 3] = ["v1.34.1", "v1.34.2", "v1.35.0"];
/// So many nodes are left alone.
const WELL: usize = 2;

/// Something that is wrong until it is taken back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    Cordoned(String),
    Missing(String),
    Node(String),
    Pod(String),
    Deployment(&'static str),
    StatefulSet(&'static str),
    DaemonSet,
    Job,
    Claim(String),
    Paused(&'static str),
    Scaled(&'static str),
    SetScaled(&'static str),
    Away,
    Slow,
}

pub(crate) struct Mischief {
    client: Client,
    clock: Clock,
    random: Rng,
    guest: Deployment,
    harms: BTreeMap<Harm, Timestamp>,
    /// How often what was done.
    done: BTreeMap<&'static str, usize>,
    refused: usize,
}

impl Mischief {
    pub(crate) fn new(client: &Client, clock: &Clock, seed: u64, guest: Deployment) -> Self {
        Self {
            client: client.clone(),
            clock: clock.clone(),
            random: Rng::with_seed(seed),
            guest,
            harms: BTreeMap::new(),
            done: BTreeMap::new(),
            refused: 0,
        }
    }

    /// What was done, in numbers.
    pub(crate) fn told(&self) -> String {
        format!("{:?}, {} evictions refused", self.done, self.refused)
    }

    /// One act, after those have been taken back whose time is over.
    pub(crate) async fn act(&mut self) {
        let now = self.clock.now();
        let over: Vec<Harm> =
            self.harms.iter().filter(|(_, until)| **until <= now).map(|(harm, _)| harm.clone()).collect();
        for harm in over {
            self.heal(harm).await;
        }
        match self.random.u8(0..22) {
            0..3 => self.delete_a_pod().await,
            3..6 => self.evict_a_pod().await,
            6..8 => self.break_a_pod().await,
            8..10 => self.break_a_workload().await,
            10..12 => self.break_a_node().await,
            12 => self.cordon_and_drain().await,
            13..16 => self.roll_out().await,
            16 => self.scale().await,
            17 => self.pause().await,
            18 => self.upgrade_a_kubelet().await,
            19 => self.slow_down().await,
            20 => self.send_the_guest_away().await,
            _ => self.take_a_node_out().await,
        }
    }

    /// Takes back all that is wrong.
    pub(crate) async fn end(&mut self) {
        // First what makes the rest slow.
        if self.harms.contains_key(&Harm::Slow) {
            self.heal(Harm::Slow).await;
        }
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        while let Some((harm, _)) = self.harms.first_key_value() {
            self.heal(harm.clone()).await;
            tick.tick().await;
        }
    }

    fn note(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    /// Leaves something wrong for between ten seconds and six minutes, mostly short.
    fn leave(&mut self, what: &'static str, harm: Harm) {
        self.note(what);
        let doublings = self.random.f64() * 5.2;
        let seconds = 10.0 * doublings.exp2();
        println!("{what}: {harm:?} for {seconds:.0} s");
        self.harms.insert(harm, self.clock.now() + SignedDuration::from_secs_f64(seconds));
    }

    async fn heal(&mut self, harm: Harm) {
        println!("healed: {harm:?}");
        self.harms.remove(&harm);
        match harm {
            Harm::Cordoned(node) => self.patch_all::<Node>(&node, json!({"spec": {"unschedulable": null}})).await,
            Harm::Missing(node) => {
                let node: Node = serde_json::from_value(json!({"metadata": {"name": node}})).expect("a node");
                allow(Api::all(self.client.clone()).create(&PostParams::default(), &node).await);
            }
            Harm::Node(node) => self.patch_all::<Node>(&node, told(Value::Null)).await,
            Harm::Pod(pod) => self.patch::<Pod>(&pod, told(Value::Null)).await,
            Harm::Deployment(name) => self.patch::<Deployment>(name, told(Value::Null)).await,
            Harm::StatefulSet(name) => self.patch::<StatefulSet>(name, told(Value::Null)).await,
            Harm::DaemonSet => self.patch::<DaemonSet>("agent", told(Value::Null)).await,
            Harm::Job => self.patch::<Job>("work", told(Value::Null)).await,
            Harm::Claim(claim) => self.patch::<PersistentVolumeClaim>(&claim, told(Value::Null)).await,
            Harm::Paused(name) => self.patch::<Deployment>(name, json!({"spec": {"paused": null}})).await,
            Harm::Scaled(name) => self.patch::<Deployment>(name, replicas(usual(&DEPLOYMENTS, name))).await,
            Harm::SetScaled(name) => self.patch::<StatefulSet>(name, replicas(usual(&STATEFUL_SETS, name))).await,
            Harm::Away => self.bring_the_guest_back().await,
            Harm::Slow => self.patch_all::<Namespace>("kube-system", told(Value::Null)).await,
        }
    }

    async fn delete_a_pod(&mut self) {
        let Some(pod) = self.pod(|_| true).await else { return };
        let mark = Patch::Merge(json!({"metadata": {"annotations": {TAKEN: "true"}}}));
        let Some(marked) = allow(self.api::<Pod>().patch(&pod, &PatchParams::default(), &mark).await) else { return };
        println!("deleted: {pod}");
        // This one, and no other of its name that may have come since.
        let preconditions = Preconditions { uid: marked.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        allow(self.api::<Pod>().delete(&pod, &params).await);
        self.note("pods deleted");
    }

    async fn evict_a_pod(&mut self) {
        let Some(pod) = self.pod(covered).await else { return };
        self.evict(&pod).await;
    }

    async fn evict(&mut self, pod: &str) {
        match self.api::<Pod>().evict(pod, &EvictParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 429 => self.refused += 1,
            other => {
                println!("evicted: {pod}");
                allow(other);
                self.note("pods evicted");
            }
        }
    }

    async fn break_a_pod(&mut self) {
        let Some(pod) = self.pod(|_| true).await else { return };
        let word = self.word(&POD_FAULTS);
        println!("{pod}: {word}");
        self.patch::<Pod>(&pod, told(word.into())).await;
        self.leave("pods broken", Harm::Pod(pod));
    }

    async fn break_a_workload(&mut self) {
        let word = self.word(&POD_FAULTS);
        println!("a workload: {word}");
        match self.random.u8(0..8) {
            0..3 => {
                let name = self.of(&DEPLOYMENTS);
                self.patch::<Deployment>(name, told(word.into())).await;
                self.leave("workloads broken", Harm::Deployment(name));
            }
            3..5 => {
                let name = self.of(&STATEFUL_SETS);
                self.patch::<StatefulSet>(name, told(word.into())).await;
                self.leave("workloads broken", Harm::StatefulSet(name));
            }
            5 => {
                self.patch::<DaemonSet>("agent", told(word.into())).await;
                self.leave("workloads broken", Harm::DaemonSet);
            }
            6 => {
                self.patch::<Job>("work", told(word.into())).await;
                self.leave("workloads broken", Harm::Job);
            }
            _ => {
                let claim = format!("data-database-{}", self.random.u8(0..3));
                self.patch::<PersistentVolumeClaim>(&claim, told("full".into())).await;
                self.leave("volumes filled", Harm::Claim(claim));
            }
        }
    }

    async fn break_a_node(&mut self) {
        let Some(node) = self.well_node().await else { return };
        let word = self.word(&NODE_FAULTS);
        println!("{node}: {word}");
        self.patch_all::<Node>(&node, told(word.into())).await;
        self.leave("nodes broken", Harm::Node(node));
    }

    async fn cordon_and_drain(&mut self) {
        let Some(node) = self.well_node().await else { return };
        self.patch_all::<Node>(&node, json!({"spec": {"unschedulable": true}})).await;
        self.leave("nodes drained", Harm::Cordoned(node.clone()));
        for pod in self.pods().await {
            let is_of_node = pod.owner_references().iter().any(|owner| owner.kind == "DaemonSet");
            if node_of(&pod) == Some(&node) && !is_of_node {
                self.evict(&pod.name_any()).await;
            }
        }
    }

    /// One of four revisions: to one that there was is to undo.
    async fn roll_out(&mut self) {
        let revision = json!([{"name": "REVISION", "value": self.random.u8(0..4).to_string()}]);
        let change = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": revision}]}}}});
        let (params, change) = (PatchParams::default(), Patch::Strategic(change));
        let name = match self.random.u8(0..6) {
            0..3 => {
                let name = self.of(&DEPLOYMENTS);
                allow(self.api::<Deployment>().patch(name, &params, &change).await);
                name
            }
            3..5 => {
                let name = self.of(&STATEFUL_SETS);
                allow(self.api::<StatefulSet>().patch(name, &params, &change).await);
                name
            }
            _ => {
                allow(self.api::<DaemonSet>().patch("agent", &params, &change).await);
                "agent"
            }
        };
        println!("rolled out: {name} {revision}");
        self.note("rollouts");
    }

    async fn scale(&mut self) {
        let size = replicas(self.random.i32(1..7));
        if self.random.bool() {
            let name = self.of(&ROLLING);
            self.patch::<Deployment>(name, size).await;
            self.leave("workloads scaled", Harm::Scaled(name));
        } else {
            let name = self.of(&STATEFUL_SETS);
            self.patch::<StatefulSet>(name, size).await;
            self.leave("workloads scaled", Harm::SetScaled(name));
        }
    }

    /// Not the one that recreates: paused in between it begins the new beside the old, also upstream.
    async fn pause(&mut self) {
        let name = self.of(&ROLLING);
        self.patch::<Deployment>(name, json!({"spec": {"paused": true}})).await;
        self.leave("rollouts paused", Harm::Paused(name));
    }

    async fn upgrade_a_kubelet(&mut self) {
        let Some(node) = self.well_node().await else { return };
        let version = self.word(&VERSIONS);
        let change = json!({"metadata": {"annotations": {"sandbox.cpaas.io/kubelet-version": version}}});
        self.patch_all::<Node>(&node, change).await;
        self.note("kubelets upgraded");
    }

    async fn slow_down(&mut self) {
        let latency = self.word(&["api-latency=20ms", "api-latency=100ms", "api-latency=300ms"]);
        self.patch_all::<Namespace>("kube-system", told(latency.into())).await;
        self.leave("API slowed down", Harm::Slow);
    }

    async fn send_the_guest_away(&mut self) {
        if self.harms.contains_key(&Harm::Away) {
            return;
        }
        let policies = [PropagationPolicy::Background, PropagationPolicy::Foreground, PropagationPolicy::Orphan];
        let policy = policies[self.random.usize(0..3)].clone();
        println!("the guest goes: {policy:?}");
        let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
        allow(self.api::<Deployment>().delete("guest", &params).await);
        self.leave("workloads deleted", Harm::Away);
    }

    /// Later, while it is not gone yet: it waits for its pods, and they for their nodes.
    async fn bring_the_guest_back(&mut self) {
        let guests = self.api::<Deployment>();
        if allow(guests.get_opt("guest").await).flatten().is_some() {
            self.harms.insert(Harm::Away, self.clock.now() + SignedDuration::from_secs(10));
        } else {
            allow(guests.create(&PostParams::default(), &self.guest).await);
        }
    }

    async fn take_a_node_out(&mut self) {
        let Some(node) = self.well_node().await else { return };
        allow(Api::<Node>::all(self.client.clone()).delete(&node, &DeleteParams::default()).await);
        self.leave("nodes taken out", Harm::Missing(node));
    }

    fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.random.usize(0..words.len())]
    }

    fn of(&mut self, workloads: &[(&'static str, i32)]) -> &'static str {
        workloads[self.random.usize(0..workloads.len())].0
    }

    async fn pods(&self) -> Vec<Pod> {
        let list = allow(self.api::<Pod>().list(&ListParams::default()).await);
        let mut pods = list.map(|list| list.items).unwrap_or_default();
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods
    }

    async fn pod(&mut self, wanted: impl Fn(&Pod) -> bool) -> Option<String> {
        let pods: Vec<Pod> = self.pods().await.into_iter().filter(wanted).collect();
        (!pods.is_empty()).then(|| pods[self.random.usize(0..pods.len())].name_any())
    }

    /// A node that nothing is wrong with, unless too few of them would be left.
    async fn well_node(&mut self) -> Option<String> {
        let nodes = allow(Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await)?;
        let names = nodes.items.iter().map(ResourceExt::name_any);
        let is_harmed = |node: &String| {
            let harms = [Harm::Cordoned(node.clone()), Harm::Missing(node.clone()), Harm::Node(node.clone())];
            harms.iter().any(|harm| self.harms.contains_key(harm))
        };
        let well: Vec<String> = names.filter(|node| !is_harmed(node)).collect();
        (well.len() > WELL).then(|| well[self.random.usize(0..well.len())].clone())
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::default_namespaced(self.client.clone())
    }

    async fn patch<K>(&self, name: &str, change: Value)
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        allow(self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(change)).await);
    }

    async fn patch_all<K>(&self, name: &str, change: Value)
    where
        K: Resource + Clone + DeserializeOwned + Serialize + Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::all(self.client.clone());
        allow(api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await);
    }
}

/// What may come of a request here: it is done, or its object has gone or changed meanwhile.
#[track_caller]
fn allow<T>(result: Result<T, kube::Error>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => None,
        Err(error) => panic!("a request failed: {error}"),
    }
}

fn told(words: Value) -> Value {
    json!({"metadata": {"annotations": {fault::ANNOTATION: words}}})
}

fn replicas(number: i32) -> Value {
    json!({"spec": {"replicas": number}})
}

fn usual(workloads: &[(&str, i32)], name: &str) -> i32 {
    workloads.iter().find(|(other, _)| *other == name).expect("the workload is one of these").1
}

/// Whether a budget covers a pod.
fn covered(pod: &Pod) -> bool {
    pod.labels().get("app").is_some_and(|app| ["web", "api", "database"].contains(&app.as_str()))
}

/// From one act to the next, in the cluster's time.
pub(crate) const PAUSE: Duration = Duration::from_secs(4);
