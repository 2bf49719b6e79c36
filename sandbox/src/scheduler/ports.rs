//! Host ports: one address, protocol and number on a node belongs to one pod.

use k8s_openapi::api::core::v1::Pod;

use super::{
    node_info::NodeInfo,
    pod_info::PodInfo,
    refusal::{Plugin, Refusal},
};

const ANY: &str = "0.0.0.0";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    address: String,
    protocol: String,
    number: i32,
}

impl HostPort {
    pub(super) fn conflicts(&self, other: &Self) -> bool {
        let same_address = self.address == other.address || self.address == ANY || other.address == ANY;
        same_address && self.protocol == other.protocol && self.number == other.number
    }
}

/// The host ports of a pod's containers, and of those init containers that keep running.
pub(super) fn of_pod(pod: &Pod) -> Vec<HostPort> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let or = |text: Option<&str>, default: &str| text.filter(|text| !text.is_empty()).unwrap_or(default).to_owned();
    ports
        .filter_map(|port| {
            Some(HostPort {
                address: or(port.host_ip.as_deref(), ANY),
                protocol: or(port.protocol.as_deref(), "TCP"),
                number: port.host_port.filter(|number| *number > 0)?,
            })
        })
        .collect()
}

pub(super) fn filter(pod: &PodInfo, node: &NodeInfo) -> Result<(), Refusal> {
    if pod.ports.is_empty() || !node.pods.iter().any(|other| conflict(pod, other)) {
        return Ok(());
    }
    Err(Refusal::for_now(Plugin::NodePorts, "node(s) didn't have free ports for the requested pod ports"))
}

pub(super) fn conflict(pod: &PodInfo, other: &PodInfo) -> bool {
    other.ports.iter().any(|taken| pod.ports.iter().any(|wanted| wanted.conflicts(taken)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(a: (&str, &str, i32), b: (&str, &str, i32), expect: bool) {
        let port = |(address, protocol, number): (&str, &str, i32)| HostPort {
            address: address.to_owned(),
            protocol: protocol.to_owned(),
            number,
        };
        assert_eq!(port(a).conflicts(&port(b)), expect);
        assert_eq!(port(b).conflicts(&port(a)), expect);
    }

    #[test]
    fn conflicts() {
        check((ANY, "TCP", 80), (ANY, "TCP", 80), true);
        check((ANY, "TCP", 80), ("127.0.0.1", "TCP", 80), true);
        check(("127.0.0.1", "TCP", 80), ("127.0.0.2", "TCP", 80), false);
        check((ANY, "TCP", 80), (ANY, "UDP", 80), false);
        check((ANY, "TCP", 80), (ANY, "TCP", 81), false);
    }
}
