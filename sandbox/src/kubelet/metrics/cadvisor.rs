//! `/metrics/cadvisor`: containers as their control groups see them.

use k8s_openapi::api::core::v1::Pod;

use crate::kubelet::usage::Usage;

use super::{
    exposition::{Exposition, Family, Kind},
    measure::{DISK, MeasuredContainer, MeasuredNode, MeasuredPod},
};

/// What is told of a container. Where there is no value, there is no sample.
struct Series {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// A label that only this family has.
    extra: Option<(&'static str, &'static str)>,
    value: fn(&MeasuredContainer, &MeasuredNode) -> Option<f64>,
}

const fn counter(
    name: &'static str,
    help: &'static str,
    value: fn(&MeasuredContainer, &MeasuredNode) -> Option<f64>,
) -> Series {
    Series { name, kind: Kind::Counter, help, extra: None, value }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    value: fn(&MeasuredContainer, &MeasuredNode) -> Option<f64>,
) -> Series {
    Series { name, kind: Kind::Gauge, help, extra: None, value }
}

impl Series {
    const fn with(self, label: &'static str, content: &'static str) -> Self {
        Self { extra: Some((label, content)), ..self }
    }
}

/// The period in which quotas of processors are given.
const PERIOD_SECONDS: f64 = 0.1;
const DEVICE: &str = "/dev/vda1";

fn age(container: &MeasuredContainer, node: &MeasuredNode) -> f64 {
    node.at.duration_since(container.since).as_secs_f64().max(0.0)
}

const CONTAINERS: [Series; 30] = [
    counter("container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", |c, _| {
        Some(c.usage.cpu_seconds)
    })
    .with("cpu", "total"),
    counter("container_cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds.", |c, _| {
        Some(c.usage.cpu_seconds * 0.7)
    }),
    counter("container_cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds.", |c, _| {
        Some(c.usage.cpu_seconds * 0.3)
    }),
    counter("container_cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.", |c, node| {
        c.reserved.cpu_limit.map(|_| (age(c, node) / PERIOD_SECONDS).floor())
    }),
    counter("container_cpu_cfs_throttled_periods_total", "Number of throttled period intervals.", |c, _| {
        c.reserved.cpu_limit.map(|_| (c.usage.throttled_seconds / PERIOD_SECONDS).max(0.0).floor())
    }),
    counter(
        "container_cpu_cfs_throttled_seconds_total",
        "Total time duration the container has been throttled.",
        |c, _| c.reserved.cpu_limit.map(|_| c.usage.throttled_seconds.max(0.0)),
    ),
    gauge(
        "container_memory_usage_bytes",
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
        |c, _| Some((c.usage.working_set + c.usage.cache * 0.5).floor()),
    ),
    gauge("container_memory_working_set_bytes", "Current working set in bytes.", |c, _| {
        Some(c.usage.working_set.floor())
    }),
    gauge("container_memory_rss", "Size of RSS in bytes.", |c, _| Some(c.usage.rss.floor())),
    gauge("container_memory_cache", "Number of bytes of page cache memory.", |c, _| Some(c.usage.cache.floor())),
    gauge("container_memory_mapped_file", "Size of memory mapped files in bytes.", |c, _| {
        Some((c.usage.cache * 0.2).floor())
    }),
    gauge("container_memory_swap", "Container swap usage in bytes.", |_, _| Some(0.0)),
    counter("container_memory_failcnt", "Number of memory usage hits limits", |_, _| Some(0.0)),
    counter("container_oom_events_total", "Count of out of memory events observed for the container", |_, _| Some(0.0)),
    gauge(
        "container_fs_usage_bytes",
        "Number of bytes that are consumed by the container on this filesystem.",
        |c, _| Some((c.usage.root_bytes + c.usage.log_bytes).floor()),
    )
    .with("device", DEVICE),
    gauge(
        "container_fs_limit_bytes",
        "Number of bytes that can be consumed by the container on this filesystem.",
        |_, _| Some(DISK),
    )
    .with("device", DEVICE),
    counter("container_fs_reads_total", "Cumulative count of reads completed", |c, _| {
        Some((c.usage.cpu_seconds * 0.5).floor())
    })
    .with("device", DEVICE),
    counter("container_fs_reads_bytes_total", "Cumulative count of bytes read", |c, _| {
        Some((c.usage.cpu_seconds * 8_192.0).floor())
    })
    .with("device", DEVICE),
    counter("container_fs_writes_total", "Cumulative count of writes completed", |c, _| {
        Some((c.usage.cpu_seconds * 2.0).floor())
    })
    .with("device", DEVICE),
    counter("container_fs_writes_bytes_total", "Cumulative count of bytes written", |c, _| {
        Some((c.usage.cpu_seconds * 16_384.0).floor())
    })
    .with("device", DEVICE),
    gauge("container_spec_cpu_period", "CPU period of the container.", |_, _| Some(100_000.0)),
    gauge("container_spec_cpu_quota", "CPU quota of the container.", |c, _| {
        c.reserved.cpu_limit.map(|limit| (limit * 100_000.0).round())
    }),
    gauge("container_spec_cpu_shares", "CPU share of the container.", |c, _| {
        Some((c.reserved.cpu_request.or(c.reserved.cpu_limit).unwrap_or(0.0) * 1024.0).max(2.0).round())
    }),
    gauge("container_spec_memory_limit_bytes", "Memory limit for the container.", |c, _| {
        Some(c.reserved.memory_limit.unwrap_or(0.0))
    }),
    gauge("container_start_time_seconds", "Start time of the container since unix epoch in seconds.", |c, _| {
        Some(c.since.as_duration().as_secs_f64())
    }),
    gauge("container_last_seen", "Last time a container was seen by the exporter", |_, node| {
        Some(node.at.as_duration().as_secs_f64().floor())
    }),
    gauge("container_processes", "Number of processes running inside the container.", |_, _| Some(1.0)),
    gauge("container_threads", "Number of threads running inside the container", |_, node| Some(node.cores.min(4.0))),
    gauge("container_file_descriptors", "Number of open file descriptors for the container.", |_, _| Some(16.0)),
    gauge("container_sockets", "Number of open sockets for the container.", |_, _| Some(4.0)),
];

/// Name, help, and the value.
type Amount<T> = (&'static str, Kind, &'static str, fn(&T) -> f64);

/// What is told of the groups of a pod and of the whole node, too.
const GROUPS: [Amount<Usage>; 3] = [
    ("container_cpu_usage_seconds_total", Kind::Counter, "", |usage| usage.cpu_seconds),
    ("container_memory_usage_bytes", Kind::Gauge, "", |usage| (usage.working_set + usage.cache * 0.5).floor()),
    ("container_memory_working_set_bytes", Kind::Gauge, "", |usage| usage.working_set.floor()),
];

/// How large the packets of a network are, on average.
const PACKET: f64 = 800.0;

const NETWORK: [Amount<MeasuredPod>; 8] = [
    ("container_network_receive_bytes_total", Kind::Counter, "Cumulative count of bytes received", |pod| {
        pod.traffic.received.floor()
    }),
    ("container_network_receive_packets_total", Kind::Counter, "Cumulative count of packets received", |pod| {
        (pod.traffic.received / PACKET).floor()
    }),
    (
        "container_network_receive_errors_total",
        Kind::Counter,
        "Cumulative count of errors encountered while receiving",
        |_| 0.0,
    ),
    (
        "container_network_receive_packets_dropped_total",
        Kind::Counter,
        "Cumulative count of packets dropped while receiving",
        |_| 0.0,
    ),
    ("container_network_transmit_bytes_total", Kind::Counter, "Cumulative count of bytes transmitted", |pod| {
        pod.traffic.sent.floor()
    }),
    ("container_network_transmit_packets_total", Kind::Counter, "Cumulative count of packets transmitted", |pod| {
        (pod.traffic.sent / PACKET).floor()
    }),
    (
        "container_network_transmit_errors_total",
        Kind::Counter,
        "Cumulative count of errors encountered while transmitting",
        |_| 0.0,
    ),
    (
        "container_network_transmit_packets_dropped_total",
        Kind::Counter,
        "Cumulative count of packets dropped while transmitting",
        |_| 0.0,
    ),
];

pub(super) fn of(node: &MeasuredNode) -> String {
    let mut text = Exposition::default();
    let help = "A metric with a constant '1' value labeled by kernel version, OS version, docker version, cadvisor version & cadvisor revision.";
    let info = node.object.status.as_ref().and_then(|status| status.node_info.clone()).unwrap_or_default();
    text.family("cadvisor_version_info", Kind::Gauge, help).sample(
        &[
            ("cadvisorRevision", ""),
            ("cadvisorVersion", ""),
            ("dockerVersion", ""),
            ("kernelVersion", &info.kernel_version),
            ("osVersion", &info.os_image),
        ],
        1.0,
    );
    for series in &CONTAINERS {
        let mut family = text.family(series.name, series.kind, series.help);
        for pod in &node.pods {
            for container in &pod.containers {
                let Some(value) = (series.value)(container, node) else { continue };
                sample(&mut family, pod, Some(container), series.extra, value, node);
            }
        }
        if let Some((.., value)) = GROUPS.iter().find(|(name, ..)| *name == series.name) {
            for pod in &node.pods {
                sample(&mut family, pod, None, series.extra, value(&pod.usage()), node);
            }
            let mut labels =
                vec![("container", ""), ("id", "/"), ("image", ""), ("name", ""), ("namespace", ""), ("pod", "")];
            labels.extend(series.extra);
            family.sample_at(&labels, value(&node.usage), node.at);
        }
    }
    for (name, kind, help, value) in &NETWORK {
        let mut family = text.family(name, *kind, help);
        for pod in node.pods.iter().filter(|pod| !on_host_network(&pod.pod)) {
            sample(&mut family, pod, None, Some(("interface", "eth0")), value(pod), node);
        }
    }
    let machine = [("boot_id", &*info.boot_id), ("machine_id", &*info.machine_id), ("system_uuid", &*info.system_uuid)];
    text.family("machine_cpu_cores", Kind::Gauge, "Number of logical CPU cores.").sample(&machine, node.cores);
    let help = "Amount of memory installed on the machine.";
    text.family("machine_memory_bytes", Kind::Gauge, help).sample(&machine, node.memory);
    let help = "1 if there was an error while getting container metrics, 0 otherwise";
    text.family("container_scrape_error", Kind::Gauge, help).sample(&[], 0.0);
    text.finish()
}

fn sample(
    family: &mut Family<'_>,
    pod: &MeasuredPod,
    container: Option<&MeasuredContainer>,
    extra: Option<(&str, &str)>,
    value: f64,
    node: &MeasuredNode,
) {
    let of = |part: fn(&MeasuredContainer) -> &str| container.map_or("", part);
    let group = group(&pod.pod, pod.uid());
    let id = container.map_or_else(|| group.clone(), |container| format!("{group}/{}", container.id));
    let mut labels = vec![
        ("container", of(|c| &c.name)),
        ("id", &*id),
        ("image", of(|c| &c.image)),
        ("name", of(|c| &c.id)),
        ("namespace", pod.namespace()),
        ("pod", pod.name()),
    ];
    labels.extend(extra);
    labels.sort_unstable();
    family.sample_at(&labels, value, node.at);
}

/// The pod's control group.
fn group(pod: &Pod, uid: &str) -> String {
    match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("Guaranteed") => format!("/kubepods/pod{uid}"),
        Some("Burstable") => format!("/kubepods/burstable/pod{uid}"),
        _ => format!("/kubepods/besteffort/pod{uid}"),
    }
}

fn on_host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true)
}
