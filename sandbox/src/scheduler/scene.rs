//! A small cluster on paper, for the tests of decisions.

use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim, Pod},
    policy::v1::PodDisruptionBudget,
    storage::v1::StorageClass,
};
use kube::core::Selector;
use serde_json::{Value, json};

use crate::{
    cache::Key,
    meta::{name, uid},
};

use super::{
    decide::{Verdict, decide},
    pod_info::PodInfo,
    preemption::{Preemption, budgets, preempt},
    refusal::Diagnosis,
    state::State,
    volumes::{Choice, Storage},
};

#[derive(Default)]
pub(super) struct Scene {
    pub(super) state: State,
    pub(super) storage: Shelf,
    pub(super) budgets: Vec<Arc<PodDisruptionBudget>>,
}

#[derive(Default)]
pub(super) struct Shelf {
    pub(super) claims: Vec<Arc<PersistentVolumeClaim>>,
    pub(super) volumes: Vec<Arc<PersistentVolume>>,
    pub(super) classes: Vec<Arc<StorageClass>>,
}

impl Storage for Shelf {
    fn claim(&self, key: &Key) -> Option<Arc<PersistentVolumeClaim>> {
        self.claims.iter().find(|claim| Key::of(&***claim) == *key).cloned()
    }

    fn volume(&self, wanted: &str) -> Option<Arc<PersistentVolume>> {
        self.volumes.iter().find(|volume| name(&***volume) == wanted).cloned()
    }

    fn class(&self, wanted: &str) -> Option<Arc<StorageClass>> {
        self.classes.iter().find(|class| name(&***class) == wanted).cloned()
    }

    fn volumes(&self) -> Vec<Arc<PersistentVolume>> {
        self.volumes.clone()
    }
}

pub(super) fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).unwrap())
}

/// A pod of namespace `n` with one container; `spec` is laid over its spec.
pub(super) fn pod(name: &str, labels: Value, spec: Value) -> Arc<Pod> {
    let mut value = json!({"metadata": {"namespace": "n", "name": name, "uid": format!("uid-{name}"), "labels": labels},
        "spec": {"containers": [{"name": "main"}]}});
    for (key, part) in spec.as_object().unwrap() {
        value["spec"][key] = part.clone();
    }
    parsed(value)
}

/// A container's spec that asks for cores.
pub(super) fn asks(cpu: &str) -> Value {
    json!([{"name": "main", "resources": {"requests": {"cpu": cpu}}}])
}

impl Scene {
    /// Nodes `a`, `b`, ... with two cores each, in zones `z1`, `z2`, `z1`, ...
    pub(super) fn with_nodes(count: u8) -> Self {
        let mut scene = Self::default();
        for at in 0..count {
            let name = char::from(b'a' + at).to_string();
            scene.node(&name, json!({}), json!({"topology.kubernetes.io/zone": format!("z{}", at % 2 + 1)}));
        }
        scene
    }

    pub(super) fn node(&mut self, name: &str, spec: Value, labels: Value) -> &mut Self {
        let mut node = json!({"metadata": {"name": name, "labels": labels}, "spec": spec,
            "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "10"}}});
        node["metadata"]["labels"]["kubernetes.io/hostname"] = json!(name);
        self.state.set_node(name, Some(parsed(node)));
        self
    }

    /// Puts a pod on a node.
    pub(super) fn run(&mut self, node: &str, pod: &Arc<Pod>) -> &mut Self {
        let mut placed = (**pod).clone();
        placed.spec.as_mut().unwrap().node_name = Some(node.to_owned());
        self.state.set_pod(uid(&**pod), Some(&Arc::new(placed)));
        self
    }

    pub(super) fn decide(&mut self, pod: &Arc<Pod>) -> Verdict {
        decide(&mut self.state, &PodInfo::new(pod), &self.storage, None)
    }

    pub(super) fn decide_for_workload(&mut self, pod: &Arc<Pod>, selector: &Selector) -> Verdict {
        decide(&mut self.state, &PodInfo::new(pod), &self.storage, Some(selector))
    }

    pub(super) fn choice(&mut self, pod: &Arc<Pod>) -> Choice {
        match self.decide(pod) {
            Verdict::Assign { volumes, .. } => volumes,
            Verdict::Refused { diagnosis, .. } => panic!("{diagnosis:?}"),
        }
    }

    pub(super) fn name(&self, slot: usize) -> &str {
        &self.state.nodes[slot].name
    }

    fn preempt(&mut self, pod: &Arc<Pod>) -> (Diagnosis, Preemption) {
        let Verdict::Refused { diagnosis, prepared } = self.decide(pod) else { panic!("the pod fits") };
        let outcome = preempt(&self.state, &PodInfo::new(pod), &prepared, &diagnosis, || budgets(&self.budgets));
        (diagnosis, outcome)
    }

    /// The node that would be freed, and who would have to go.
    pub(super) fn victims(&mut self, pod: &Arc<Pod>) -> (String, Vec<String>) {
        match self.preempt(pod) {
            (_, Preemption::Yes { node, victims }) => {
                let names = victims.iter().map(|victim| victim.key.name.to_string()).collect();
                (self.name(node).to_owned(), names)
            }
            (_, Preemption::No { message, .. }) => panic!("{message}"),
        }
    }

    /// The node's name, or what people are told.
    pub(super) fn told(&mut self, pod: &Arc<Pod>) -> String {
        if let Verdict::Assign { node, .. } = self.decide(pod) {
            return format!("on {}", self.name(node));
        }
        match self.preempt(pod) {
            (diagnosis, Preemption::No { message, .. }) => diagnosis.message(&message),
            (diagnosis, Preemption::Yes { .. }) => diagnosis.message(""),
        }
    }
}
