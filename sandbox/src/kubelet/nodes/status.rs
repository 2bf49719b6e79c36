//! What a kubelet reports of its node; no IO.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus, NodeSystemInfo,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, Time},
    },
};

use crate::{
    fault::NodeFault,
    meta::{annotation, seconds},
};

use super::{
    KUBELET_VERSION, PORT, RUNTIME_VERSION, Spec,
    spec::{REGION, SIMULATED},
};

/// What runs on a node; another one means that it was started anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Software {
    pub(super) kubelet: String,
    runtime: String,
}

impl Software {
    /// What a node is to run.
    pub(super) fn of(spec: &Spec, node: &Node) -> Self {
        let chosen = |key: &str, default: &str| annotation(node, key).unwrap_or(default).to_owned();
        Self { kubelet: chosen(KUBELET_VERSION, &spec.version), runtime: chosen(RUNTIME_VERSION, &spec.runtime) }
    }
}

/// The labels that a kubelet puts on its node.
pub(super) fn labels(spec: &Spec) -> BTreeMap<String, String> {
    [
        ("beta.kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/hostname", &spec.name),
        ("kubernetes.io/os", "linux"),
        ("topology.kubernetes.io/region", REGION),
        ("topology.kubernetes.io/zone", spec.zone),
        ("type", "simulated"),
        (SIMULATED, "true"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// A node as its kubelet registers it.
pub(super) fn registered(spec: &Spec, now: Timestamp) -> Node {
    let network = spec.pod_network();
    let mut node = Node {
        metadata: ObjectMeta {
            name: Some(spec.name.clone()),
            labels: Some(labels(spec)),
            annotations: Some([("node.alpha.kubernetes.io/ttl".to_owned(), "0".to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec { pod_cidr: Some(network.clone()), pod_cidrs: Some(vec![network]), ..NodeSpec::default() }),
        status: None,
    };
    node.status = Some(reported(spec, &node, now));
    node
}

/// The status to report of a node, given what is known of it.
pub(super) fn reported(spec: &Spec, node: &Node, now: Timestamp) -> NodeStatus {
    let mut status = node.status.clone().unwrap_or_default();
    let capacity = capacity(spec);
    status.capacity = Some(capacity.clone());
    status.allocatable = Some(capacity);
    let address = |kind: &str, address: &str| NodeAddress { type_: kind.to_owned(), address: address.to_owned() };
    status.addresses = Some(vec![address("InternalIP", &spec.address), address("Hostname", &spec.name)]);
    status.daemon_endpoints =
        Some(NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: PORT.into() }) });
    status.node_info = Some(node_info(spec, node));
    let known = status.conditions.get_or_insert_default();
    for (kind, holds, reason, message) in conditions(node) {
        let told = NodeCondition {
            type_: kind.to_owned(),
            status: if holds { "True" } else { "False" }.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: Some(Time(seconds(now))),
            last_transition_time: Some(Time(seconds(now))),
        };
        // Conditions of others stay, also where they stand.
        match known.iter_mut().find(|condition| condition.type_ == kind) {
            Some(before) => {
                let since = before.last_transition_time.clone().filter(|_| before.status == told.status);
                *before = NodeCondition { last_transition_time: since.or(told.last_transition_time.clone()), ..told };
            }
            None => known.push(told),
        }
    }
    status
}

type Condition = (&'static str, bool, &'static str, &'static str);

fn conditions(node: &Node) -> [Condition; 4] {
    let pick = |fault: NodeFault, [well, ill]: [Condition; 2]| if fault.is_of(node) { ill } else { well };
    [
        pick(
            NodeFault::MemoryPressure,
            [
                ("MemoryPressure", false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                ("MemoryPressure", true, "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
            ],
        ),
        pick(
            NodeFault::DiskPressure,
            [
                ("DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                ("DiskPressure", true, "KubeletHasDiskPressure", "kubelet has disk pressure"),
            ],
        ),
        pick(
            NodeFault::PidPressure,
            [
                ("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                ("PIDPressure", true, "KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
            ],
        ),
        pick(
            NodeFault::NotReady,
            [
                ("Ready", true, "KubeletReady", "kubelet is posting ready status"),
                ("Ready", false, "KubeletNotReady", "container runtime is down (simulated by sandbox.cpaas.io/fault)"),
            ],
        ),
    ]
}

fn capacity(spec: &Spec) -> BTreeMap<String, Quantity> {
    let fixed = |amount: &str| Quantity(amount.to_owned());
    [
        ("cpu", spec.capacity.cpu.clone()),
        ("memory", spec.capacity.memory.clone()),
        ("pods", Quantity(spec.capacity.pods.to_string())),
        ("ephemeral-storage", fixed("100Gi")),
        ("hugepages-1Gi", fixed("0")),
        ("hugepages-2Mi", fixed("0")),
    ]
    .map(|(name, amount)| (name.to_owned(), amount))
    .into()
}

fn node_info(spec: &Spec, node: &Node) -> NodeSystemInfo {
    let id = format!("simulated-{}", spec.name);
    let software = Software::of(spec, node);
    NodeSystemInfo {
        architecture: "amd64".to_owned(),
        boot_id: id.clone(),
        container_runtime_version: software.runtime,
        kernel_version: "6.6.0-simulated".to_owned(),
        kube_proxy_version: String::new(),
        kubelet_version: software.kubelet,
        machine_id: id.clone(),
        operating_system: "linux".to_owned(),
        os_image: "Simulated node".to_owned(),
        system_uuid: id,
        ..NodeSystemInfo::default()
    }
}

/// Whether two statuses say the same, whenever they say it (upstream: `nodeStatusHasChanged`).
pub(super) fn same(a: &NodeStatus, b: &NodeStatus) -> bool {
    let timeless = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            (condition.last_heartbeat_time, condition.last_transition_time) = (None, None);
        }
        status
    };
    timeless(a) == timeless(b)
}
