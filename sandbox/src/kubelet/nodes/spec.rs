//! What is fixed about a node, and which nodes there are.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use k8s_openapi::{api::core::v1::Node, apimachinery::pkg::api::resource::Quantity};

use crate::{
    NodeCapacity, SandboxConfig,
    meta::{labels, name},
};

/// On nodes that nothing but this process stands behind.
pub(super) const SIMULATED: &str = "node.acp.io/simulated";

const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];
pub(super) const REGION: &str = "region-1";

#[derive(Clone, Debug)]
pub(in crate::kubelet) struct Spec {
    pub(in crate::kubelet) name: String,
    pub(in crate::kubelet) address: String,
    /// The first three numbers of its pods' addresses.
    pub(super) network: [u8; 3],
    pub(super) zone: &'static str,
    /// What its kubelet runs unless the node says otherwise.
    pub(super) version: String,
    pub(super) runtime: String,
    pub(in crate::kubelet) capacity: NodeCapacity,
}

impl Spec {
    pub(super) fn numbered(config: &SandboxConfig, index: usize) -> Self {
        let byte = |number: usize| u8::try_from(number % 256).unwrap_or(0);
        Self {
            name: format!("{}{}", config.node_prefix, index + 1),
            address: format!("172.18.{}.{}", byte((index + 2) / 250), (index + 2) % 250),
            network: [10, byte(244 + index / 256), byte(index)],
            zone: ZONES[index % ZONES.len()],
            version: config.kubernetes_version.clone(),
            runtime: "containerd://2.0.5".to_owned(),
            capacity: NodeCapacity {
                cpu: canonical(&config.node_capacity.cpu),
                memory: canonical(&config.node_capacity.memory),
                pods: config.node_capacity.pods,
            },
        }
    }

    /// Where its pods' addresses come from.
    pub(super) fn pod_network(&self) -> String {
        let [a, b, c] = self.network;
        format!("{a}.{b}.{c}.0/24")
    }
}

/// An amount as API servers write it, so that what is reported equals what is read.
fn canonical(amount: &Quantity) -> Quantity {
    amount.0.parse::<api_meta::Quantity>().map_or_else(|_| amount.clone(), |parsed| Quantity(parsed.to_string()))
}

/// The nodes that have a kubelet here.
pub(in crate::kubelet) struct Nodes {
    config: SandboxConfig,
    known: RwLock<Known>,
}

struct Known {
    specs: BTreeMap<String, Arc<Spec>>,
    next: usize,
}

impl Nodes {
    /// Those that the configuration asks for.
    pub(in crate::kubelet) fn new(config: &SandboxConfig) -> Self {
        let specs = (0..config.nodes).map(|index| Spec::numbered(config, index));
        let specs = specs.map(|spec| (spec.name.clone(), Arc::new(spec))).collect();
        Self { config: config.clone(), known: RwLock::new(Known { specs, next: config.nodes }) }
    }

    pub(in crate::kubelet) fn get(&self, name: &str) -> Option<Arc<Spec>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).specs.get(name).cloned()
    }

    pub(in crate::kubelet) fn names(&self) -> Vec<String> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).specs.keys().cloned().collect()
    }

    /// Gives a node a kubelet that says it is simulated and has none.
    pub(super) fn take_up(&self, node: &Node) {
        if labels(node).get(SIMULATED).is_none_or(|value| value != "true") || self.get(name(node)).is_some() {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let spec = Spec { name: name(node).to_owned(), ..Spec::numbered(&self.config, known.next) };
        known.next += 1;
        known.specs.insert(spec.name.clone(), Arc::new(spec));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn many_nodes_have_different_networks() {
        let config = SandboxConfig::default();
        let all: Vec<_> = (0..1000).map(|index| Spec::numbered(&config, index)).collect();
        let networks: std::collections::BTreeSet<_> = all.iter().map(|spec| spec.network).collect();
        let hosts: std::collections::BTreeSet<_> = all.iter().map(|spec| spec.address.clone()).collect();
        assert_eq!((networks.len(), hosts.len()), (1000, 1000));
        assert_eq!(all[..4].iter().map(|spec| spec.zone).collect::<Vec<_>>(), ["zone-a", "zone-b", "zone-c", "zone-a"]);
    }

    #[test]
    fn capacities_are_canonical() {
        let memory = Quantity("8192Mi".to_owned());
        let node_capacity = NodeCapacity { memory, ..NodeCapacity::default() };
        let spec = Spec::numbered(&SandboxConfig { node_capacity, ..SandboxConfig::default() }, 0);
        assert_eq!(spec.capacity.memory.0, "8Gi");
    }

    #[test]
    fn a_node_that_says_it_is_simulated_is_taken_up_once() {
        let nodes = Nodes::new(&SandboxConfig { nodes: 1, ..SandboxConfig::default() });
        let node = |name: &str, simulated: &str| -> Node {
            serde_json::from_value(json!({"metadata": {"name": name, "labels": {SIMULATED: simulated}}})).unwrap()
        };
        nodes.take_up(&node("extra", "true"));
        nodes.take_up(&node("extra", "true"));
        nodes.take_up(&node("other", "false"));
        assert_eq!(nodes.names(), ["extra", "node-1"]);
        assert_eq!(nodes.get("extra").unwrap().address, "172.18.0.3");
    }
}
