//! `/metrics/resource`: what schedulers and metrics-server want to know.

use crate::kubelet::usage::Usage;

use super::{
    exposition::{Exposition, Kind},
    measure::MeasuredNode,
};

/// Name, kind, help, and the value.
type Series = (&'static str, Kind, &'static str, fn(&Usage) -> f64);

const CONTAINERS: [Series; 3] = [
    (
        "container_cpu_usage_seconds_total",
        Kind::Counter,
        "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
        |usage| usage.cpu_seconds,
    ),
    (
        "container_memory_working_set_bytes",
        Kind::Gauge,
        "[STABLE] Current working set of the container in bytes",
        |usage| usage.working_set.floor(),
    ),
    (
        "container_swap_usage_bytes",
        Kind::Gauge,
        "[ALPHA] Current amount of the container swap usage in bytes. Reported only on non-windows systems",
        |_| 0.0,
    ),
];

const NODE: [Series; 3] = [
    (
        "node_cpu_usage_seconds_total",
        Kind::Counter,
        "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
        |usage| usage.cpu_seconds,
    ),
    ("node_memory_working_set_bytes", Kind::Gauge, "[STABLE] Current working set of the node in bytes", |usage| {
        usage.working_set.floor()
    }),
    (
        "node_swap_usage_bytes",
        Kind::Gauge,
        "[ALPHA] Current swap usage of the node in bytes. Reported only on non-windows systems",
        |_| 0.0,
    ),
];

const PODS: [Series; 3] = [
    (
        "pod_cpu_usage_seconds_total",
        Kind::Counter,
        "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
        |usage| usage.cpu_seconds,
    ),
    ("pod_memory_working_set_bytes", Kind::Gauge, "[STABLE] Current working set of the pod in bytes", |usage| {
        usage.working_set.floor()
    }),
    (
        "pod_swap_usage_bytes",
        Kind::Gauge,
        "[ALPHA] Current amount of the pod swap usage in bytes. Reported only on non-windows systems",
        |_| 0.0,
    ),
];

pub(super) fn of(node: &MeasuredNode) -> String {
    let mut text = Exposition::default();
    for (name, kind, help, value) in CONTAINERS {
        let mut family = text.family(name, kind, help);
        for pod in &node.pods {
            for container in &pod.containers {
                let labels = [("container", &*container.name), ("namespace", pod.namespace()), ("pod", pod.name())];
                family.sample_at(&labels, value(&container.usage), node.at);
            }
        }
    }
    let help = "[STABLE] Start time of the container since unix epoch in seconds";
    let mut started = text.family("container_start_time_seconds", Kind::Gauge, help);
    for pod in &node.pods {
        for container in &pod.containers {
            let labels = [("container", &*container.name), ("namespace", pod.namespace()), ("pod", pod.name())];
            started.sample(&labels, container.since.as_duration().as_secs_f64());
        }
    }
    for (name, kind, help, value) in NODE {
        text.family(name, kind, help).sample_at(&[], value(&node.usage), node.at);
    }
    for (name, kind, help, value) in PODS {
        let mut family = text.family(name, kind, help);
        for pod in &node.pods {
            family.sample_at(&[("namespace", pod.namespace()), ("pod", pod.name())], value(&pod.usage()), node.at);
        }
    }
    let help = "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise";
    text.family("resource_scrape_error", Kind::Gauge, help).sample(&[], 0.0);
    text.finish()
}
