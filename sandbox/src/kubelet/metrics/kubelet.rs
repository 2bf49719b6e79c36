//! `/metrics` and `/metrics/probes`: what kubelets tell of themselves, of volumes and of probes.

use k8s_openapi::api::core::v1::{Container, Probe};

use super::{
    exposition::{Exposition, Kind},
    measure::MeasuredNode,
    volume::Volume,
};

/// Name, help, and the value.
type Series = (&'static str, &'static str, fn(&Volume) -> f64);

const VOLUMES: [Series; 6] = [
    ("kubelet_volume_stats_available_bytes", "Number of available bytes in the volume", |volume| {
        volume.available().floor()
    }),
    ("kubelet_volume_stats_capacity_bytes", "Capacity in bytes of the volume", |volume| volume.capacity),
    ("kubelet_volume_stats_inodes", "Maximum number of inodes in the volume", Volume::inodes),
    ("kubelet_volume_stats_inodes_free", "Number of free inodes in the volume", |volume| {
        volume.inodes() - volume.inodes_used()
    }),
    ("kubelet_volume_stats_inodes_used", "Number of used inodes in the volume", Volume::inodes_used),
    ("kubelet_volume_stats_used_bytes", "Number of used bytes in the volume", |volume| volume.used),
];

pub(super) fn of(node: &MeasuredNode) -> String {
    let mut text = Exposition::default();
    let info = node.object.status.as_ref().and_then(|status| status.node_info.clone()).unwrap_or_default();
    let version = &*info.kubelet_version;
    let mut numbers = version.trim_start_matches('v').splitn(3, '.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let help = "[ALPHA] A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.";
    let labels = [("git_version", version), ("major", major), ("minor", minor), ("platform", "linux/amd64")];
    text.family("kubernetes_build_info", Kind::Gauge, help).sample(&labels, 1.0);
    let help = "[ALPHA] The node's name. The count is always 1.";
    text.family("kubelet_node_name", Kind::Gauge, help).sample(&[("node", &node.name)], 1.0);
    let help = "[ALPHA] Number of pods that have a running pod sandbox";
    text.family("kubelet_running_pods", Kind::Gauge, help).sample(&[], count(node.pods.len()));
    let containers = node.pods.iter().map(|pod| pod.containers.len()).sum();
    let help = "[ALPHA] Number of containers currently running";
    let state = [("container_state", "running")];
    text.family("kubelet_running_containers", Kind::Gauge, help).sample(&state, count(containers));
    for (name, help, value) in VOLUMES {
        let mut family = text.family(name, Kind::Gauge, &format!("[ALPHA] {help}"));
        // A claim of several pods is one volume.
        let mut seen = std::collections::BTreeSet::new();
        for pod in &node.pods {
            for volume in &pod.volumes {
                let Some(claim) = &volume.claim else { continue };
                if seen.insert((pod.namespace(), claim)) {
                    let labels = [("namespace", pod.namespace()), ("persistentvolumeclaim", claim)];
                    family.sample(&labels, value(volume));
                }
            }
        }
    }
    text.finish()
}

fn count(number: usize) -> f64 {
    u32::try_from(number).unwrap_or(u32::MAX).into()
}

/// The probes of a container by their kind, as the series names them.
fn probes_of(container: &Container) -> impl Iterator<Item = (&'static str, &Probe)> {
    let all = [
        ("Liveness", &container.liveness_probe),
        ("Readiness", &container.readiness_probe),
        ("Startup", &container.startup_probe),
    ];
    all.into_iter().filter_map(|(kind, probe)| Some((kind, probe.as_ref()?)))
}

pub(super) fn probes(node: &MeasuredNode) -> String {
    let mut text = Exposition::default();
    let help = "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.";
    let mut family = text.family("prober_probe_total", Kind::Counter, help);
    for pod in &node.pods {
        let specs = pod.pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
        for container in &pod.containers {
            let Some(spec) = specs.iter().find(|spec| spec.name == container.name) else { continue };
            for (kind, probe) in probes_of(spec) {
                let age = node.at.duration_since(container.since).as_secs_f64();
                let delay = f64::from(probe.initial_delay_seconds.unwrap_or(0));
                let period = f64::from(probe.period_seconds.unwrap_or(10).max(1));
                let done = ((age - delay) / period).floor().max(0.0);
                // A startup probe has done its work with its first success.
                let done = if kind == "Startup" { done.min(1.0) } else { done };
                let labels = [
                    ("container", &*container.name),
                    ("namespace", pod.namespace()),
                    ("pod", pod.name()),
                    ("pod_uid", pod.uid()),
                    ("probe_type", kind),
                    ("result", "successful"),
                ];
                family.sample(&labels, done);
            }
        }
    }
    text.finish()
}
