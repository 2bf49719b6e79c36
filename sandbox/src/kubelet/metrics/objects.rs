//! `NodeMetrics` and `PodMetrics`, as metrics-server makes them; no IO.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use crate::{
    kubelet::usage::WINDOW,
    meta::{labels, name, seconds},
};

use super::measure::{MeasuredNode, MeasuredPod};

pub(super) fn node(node: &Node, measured: &MeasuredNode) -> Value {
    json!({
        "metadata": {"name": name(node), "creationTimestamp": seconds(measured.at), "labels": labels(node)},
        "timestamp": seconds(measured.at),
        "window": window(),
        "usage": usage(measured.usage.cpu, measured.usage.working_set),
    })
}

pub(super) fn pod(measured: &MeasuredPod, now: Timestamp) -> Value {
    let containers: Vec<Value> = measured
        .containers
        .iter()
        .map(|container| json!({"name": container.name, "usage": usage(container.usage.cpu, container.usage.working_set)}))
        .collect();
    let mut metadata =
        json!({"name": measured.name(), "namespace": measured.namespace(), "creationTimestamp": seconds(now)});
    if measured.pod.metadata.labels.is_some() {
        metadata["labels"] = json!(labels(&*measured.pod));
    }
    json!({"metadata": metadata, "timestamp": seconds(now), "window": window(), "containers": containers})
}

fn window() -> String {
    format!("{}s", WINDOW.as_secs())
}

/// Amounts in billionths of a processor and in kibibytes, the units of metrics-server.
fn usage(cpu: f64, memory: f64) -> Value {
    json!({"cpu": format!("{:.0}n", cpu * 1e9), "memory": format!("{:.0}Ki", memory / 1024.0)})
}
