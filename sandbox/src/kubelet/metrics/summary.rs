//! `/stats/summary`: the same as JSON (upstream: `k8s.io/kubelet/pkg/apis/stats/v1alpha1`).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    kubelet::usage::{Traffic, Usage},
    meta::seconds,
};

use super::{
    measure::{DISK, MeasuredContainer, MeasuredNode, MeasuredPod},
    volume::Volume,
};

/// Inodes of a node's disk.
const INODES: u64 = 6_553_600;

/// A whole number of whatever it is; counts and bytes here are far below what a double holds exactly.
fn whole(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "amounts are neither negative nor large"
    )]
    let whole = value.max(0.0) as u64;
    whole
}

pub(super) fn of(node: &MeasuredNode) -> Value {
    let pods: Vec<Value> = node.pods.iter().map(|measured| pod(measured, node)).collect();
    let disk = disk(node.disk_used, node);
    json!({
        "node": {
            "nodeName": node.name,
            "startTime": seconds(node.since),
            "cpu": cpu(&node.usage, node.at),
            "memory": memory(&node.usage, Some(node.memory), node.at),
            "network": network(&node.traffic, node.at),
            "fs": disk,
            "runtime": {"imageFs": disk, "containerFs": disk},
            "rlimit": {"time": seconds(node.at), "maxpid": 4_194_304, "curproc": 150 + 4 * node.pods.len()},
            "swap": {"time": seconds(node.at), "swapAvailableBytes": 0, "swapUsageBytes": 0},
        },
        "pods": pods,
    })
}

fn pod(pod: &MeasuredPod, node: &MeasuredNode) -> Value {
    let usage = pod.usage();
    let containers: Vec<Value> = pod.containers.iter().map(|measured| container(measured, node)).collect();
    let volumes: Vec<Value> = pod.volumes.iter().map(|measured| volume(measured, pod, node.at)).collect();
    let mut summary = json!({
        "podRef": {"name": pod.name(), "namespace": pod.namespace(), "uid": pod.uid()},
        "startTime": seconds(pod.since),
        "containers": containers,
        "cpu": cpu(&usage, node.at),
        "memory": memory(&usage, None, node.at),
        "network": network(&pod.traffic, node.at),
        "ephemeral-storage": disk(usage.root_bytes + usage.log_bytes, node),
        "process_stats": {"process_count": pod.containers.len()},
        "swap": {"time": seconds(node.at), "swapUsageBytes": 0},
    });
    if !volumes.is_empty() {
        summary["volume"] = volumes.into();
    }
    summary
}

fn container(container: &MeasuredContainer, node: &MeasuredNode) -> Value {
    let usage = &container.usage;
    json!({
        "name": container.name,
        "startTime": seconds(container.since),
        "cpu": cpu(usage, node.at),
        "memory": memory(usage, container.reserved.memory_limit, node.at),
        "rootfs": disk(usage.root_bytes, node),
        "logs": disk(usage.log_bytes, node),
        "swap": {"time": seconds(node.at), "swapUsageBytes": 0},
    })
}

fn cpu(usage: &Usage, at: Timestamp) -> Value {
    json!({
        "time": seconds(at),
        "usageNanoCores": whole(usage.cpu * 1e9),
        "usageCoreNanoSeconds": whole(usage.cpu_seconds * 1e9),
    })
}

fn memory(usage: &Usage, most: Option<f64>, at: Timestamp) -> Value {
    let mut memory = json!({
        "time": seconds(at),
        "usageBytes": whole(usage.working_set + usage.cache * 0.5),
        "workingSetBytes": whole(usage.working_set),
        "rssBytes": whole(usage.rss),
        "pageFaults": whole(usage.rss / 4096.0),
        "majorPageFaults": 0,
    });
    if let Some(most) = most {
        memory["availableBytes"] = whole(most - usage.working_set).into();
    }
    memory
}

fn network(traffic: &Traffic, at: Timestamp) -> Value {
    let interface = json!({
        "name": "eth0",
        "rxBytes": whole(traffic.received),
        "rxErrors": 0,
        "txBytes": whole(traffic.sent),
        "txErrors": 0,
    });
    let mut network = interface.clone();
    network["time"] = json!(seconds(at));
    network["interfaces"] = json!([interface]);
    network
}

/// The node's disk, and what somebody uses of it.
fn disk(used: f64, node: &MeasuredNode) -> Value {
    let inodes_used = whole(used / 65_536.0);
    json!({
        "time": seconds(node.at),
        "availableBytes": whole(DISK - node.disk_used),
        "capacityBytes": whole(DISK),
        "usedBytes": whole(used),
        "inodes": INODES,
        "inodesFree": INODES.saturating_sub(whole(node.disk_used / 65_536.0)),
        "inodesUsed": inodes_used,
    })
}

fn volume(volume: &Volume, pod: &MeasuredPod, at: Timestamp) -> Value {
    let mut stats = json!({
        "time": seconds(at),
        "availableBytes": whole(volume.available()),
        "capacityBytes": whole(volume.capacity),
        "usedBytes": whole(volume.used),
        "inodes": whole(volume.inodes()),
        "inodesFree": whole(volume.inodes() - volume.inodes_used()),
        "inodesUsed": whole(volume.inodes_used()),
        "name": volume.name,
    });
    if let Some(claim) = &volume.claim {
        stats["pvcRef"] = json!({"name": claim, "namespace": pod.namespace()});
    }
    stats
}
