//! Nodes, pods and containers with what they use at one time; no IO.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, ContainerStatus, Node, PersistentVolumeClaim, Pod},
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{
    kubelet::{
        nodes::Spec,
        server::container_of,
        usage::{self, Reserved, Run, Traffic, Usage, seed},
    },
    meta::{controller_of, created, labels, name, namespace, uid},
};

use super::volume::{self, Volume};

/// The disk of a node.
pub(super) const DISK: f64 = 100.0 * 1024.0 * 1024.0 * 1024.0;

/// A container that runs.
pub(super) struct MeasuredContainer {
    pub(super) name: String,
    pub(super) image: String,
    /// What the runtime calls it.
    pub(super) id: String,
    pub(super) since: Timestamp,
    pub(super) reserved: Reserved,
    pub(super) usage: Usage,
}

/// A pod in which something runs.
pub(super) struct MeasuredPod {
    pub(super) pod: Arc<Pod>,
    pub(super) since: Timestamp,
    pub(super) containers: Vec<MeasuredContainer>,
    pub(super) traffic: Traffic,
    pub(super) volumes: Vec<Volume>,
}

pub(super) struct MeasuredNode {
    pub(super) name: String,
    pub(super) at: Timestamp,
    pub(super) object: Arc<Node>,
    pub(super) since: Timestamp,
    pub(super) cores: f64,
    pub(super) memory: f64,
    pub(super) usage: Usage,
    pub(super) traffic: Traffic,
    pub(super) disk_used: f64,
    pub(super) pods: Vec<MeasuredPod>,
}

pub(super) fn amount(quantity: &Quantity) -> Option<f64> {
    quantity.0.parse::<api_meta::Quantity>().ok().map(|amount| amount.as_f64())
}

/// What a pod's replicas have in common: the workload's name, without what tells ReplicaSets of a Deployment apart.
fn workload(pod: &Pod) -> (String, String) {
    let owner = controller_of(&pod.metadata).map_or_else(|| name(pod), |owner| owner.name.as_str());
    let hash = labels(pod).get("pod-template-hash").map(|hash| format!("-{hash}"));
    let common = hash.and_then(|hash| owner.strip_suffix(&*hash)).unwrap_or(owner);
    (namespace(pod).to_owned(), common.to_owned())
}

fn reserved(container: &Container) -> Reserved {
    let resources = container.resources.clone().unwrap_or_default();
    let of = |map: &Option<std::collections::BTreeMap<String, Quantity>>, key: &str| {
        map.as_ref().and_then(|map| map.get(key)).and_then(amount)
    };
    Reserved {
        cpu_request: of(&resources.requests, "cpu"),
        cpu_limit: of(&resources.limits, "cpu"),
        memory_request: of(&resources.requests, "memory"),
        memory_limit: of(&resources.limits, "memory"),
    }
}

fn running(pod: &Pod) -> impl Iterator<Item = (&ContainerStatus, Timestamp)> {
    let statuses = pod.status.iter().flat_map(|status| {
        let all = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
        all.into_iter().flatten().flatten()
    });
    statuses.filter_map(|status| {
        let running = status.state.as_ref()?.running.as_ref()?;
        Some((status, running.started_at.as_ref()?.0))
    })
}

impl MeasuredPod {
    /// A pod at that time; nothing if none of its containers runs.
    pub(super) fn new(pod: &Arc<Pod>, now: Timestamp) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        let workload = workload(pod);
        let containers: Vec<_> = running(pod)
            .filter_map(|(status, since)| {
                let container = container_of(spec, &status.name)?;
                let reserved = reserved(&container);
                let run = Run {
                    workload: seed(&(&workload, &status.name)),
                    instance: seed(&(uid(&**pod), &status.name)),
                    reserved,
                    since,
                };
                let id = status.container_id.as_deref().unwrap_or_default();
                Some(MeasuredContainer {
                    name: status.name.clone(),
                    image: status.image.clone(),
                    id: id.rsplit("//").next().unwrap_or_default().to_owned(),
                    since,
                    reserved,
                    usage: run.at(now),
                })
            })
            .collect();
        if containers.is_empty() {
            return None;
        }
        let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
        let since = started.unwrap_or_else(|| created(&**pod));
        let traffic = usage::traffic(seed(&workload), seed(&uid(&**pod)), since, now);
        Some(Self { pod: pod.clone(), since, containers, traffic, volumes: Vec::new() })
    }

    pub(super) fn with_volumes(
        mut self,
        claims: &dyn Fn(&str, &str) -> Option<Arc<PersistentVolumeClaim>>,
        now: Timestamp,
    ) -> Self {
        self.volumes = volume::of(&self.pod, self.since, claims, now);
        self
    }

    /// All containers together.
    pub(super) fn usage(&self) -> Usage {
        self.containers.iter().fold(Usage::default(), |sum, container| plus(sum, container.usage))
    }

    pub(super) fn namespace(&self) -> &str {
        namespace(&*self.pod)
    }

    pub(super) fn name(&self) -> &str {
        name(&*self.pod)
    }

    pub(super) fn uid(&self) -> &str {
        uid(&*self.pod)
    }
}

fn plus(a: Usage, b: Usage) -> Usage {
    Usage {
        cpu: a.cpu + b.cpu,
        cpu_seconds: a.cpu_seconds + b.cpu_seconds,
        throttled_seconds: a.throttled_seconds + b.throttled_seconds,
        working_set: a.working_set + b.working_set,
        rss: a.rss + b.rss,
        cache: a.cache + b.cache,
        root_bytes: a.root_bytes + b.root_bytes,
        log_bytes: a.log_bytes + b.log_bytes,
    }
}

/// Sums over counters that come and go: what once was counted stays counted.
#[derive(Default)]
pub(in crate::kubelet) struct Totals {
    cpu_seconds: Total,
    received: Total,
    sent: Total,
}

#[derive(Default)]
struct Total {
    sum: f64,
    seen: HashMap<u64, f64>,
}

impl Total {
    fn take(&mut self, counters: impl Iterator<Item = (u64, f64)>) -> f64 {
        let before = std::mem::take(&mut self.seen);
        for (counter, value) in counters {
            self.sum += (value - before.get(&counter).copied().unwrap_or(0.0)).max(0.0);
            self.seen.insert(counter, value);
        }
        self.sum
    }
}

impl MeasuredNode {
    pub(super) fn new(
        spec: &Spec,
        object: Arc<Node>,
        pods: Vec<MeasuredPod>,
        totals: &mut Totals,
        at: Timestamp,
    ) -> Self {
        let cores = amount(&spec.capacity.cpu).unwrap_or_default();
        let memory = amount(&spec.capacity.memory).unwrap_or_default();
        let since = created(&*object);
        // Kubelet, runtime and the rest of the system.
        let system = Run {
            workload: seed(&"system"),
            instance: seed(&spec.name),
            reserved: Reserved {
                cpu_request: Some(0.1 + 0.01 * cores),
                memory_request: Some((memory * 0.05).max(512.0 * 1024.0 * 1024.0).min(memory * 0.3)),
                ..Reserved::default()
            },
            since,
        };
        let own = system.at(at);
        let mut usage = pods.iter().fold(own, |sum, pod| plus(sum, pod.usage()));
        usage.cpu = usage.cpu.min(cores);
        usage.working_set = usage.working_set.min(memory * 0.98);
        let containers = pods.iter().flat_map(|pod| pod.containers.iter().map(move |c| (pod, c)));
        let cpu = containers.map(|(pod, c)| (seed(&(pod.uid(), &c.name, c.since)), c.usage.cpu_seconds));
        usage.cpu_seconds = totals.cpu_seconds.take(cpu.chain([(0, own.cpu_seconds)]));
        let traffic = usage::traffic(seed(&"system"), seed(&spec.name), since, at);
        let of = |part: fn(&Traffic) -> f64| pods.iter().map(move |pod| (seed(&pod.uid()), part(&pod.traffic)));
        let traffic = Traffic {
            received: totals.received.take(of(|t| t.received).chain([(0, traffic.received)])),
            sent: totals.sent.take(of(|t| t.sent).chain([(0, traffic.sent)])),
        };
        let disk_used = (0.12 * DISK + usage.root_bytes + usage.log_bytes).min(DISK);
        Self { name: spec.name.clone(), at, object, since, cores, memory, usage, traffic, disk_used, pods }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SandboxConfig, kubelet::nodes::Nodes};
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn pod(name: &str, running: bool) -> Arc<Pod> {
        let state =
            if running { json!({"running": {"startedAt": at(0)}}) } else { json!({"terminated": {"exitCode": 0}}) };
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"pod-template-hash": "abc"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-abc", "uid": "u", "controller": true}]},
                "spec": {"containers": [{"name": "main", "image": "i", "resources": {"requests": {"cpu": "100m"}}}]},
                "status": {"startTime": at(0), "containerStatuses": [{"name": "main", "image": "i", "imageID": "",
                    "ready": running, "restartCount": 0, "state": state, "containerID": "containerd://abc"}]}
            }))
            .unwrap(),
        )
    }

    fn node(pods: &[&str], totals: &mut Totals, second: i64) -> MeasuredNode {
        let spec = Nodes::new(&SandboxConfig::default()).get("node-1").unwrap();
        let mut object = Node::default();
        object.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
        let pods = pods.iter().filter_map(|name| MeasuredPod::new(&pod(name, true), at(second))).collect();
        MeasuredNode::new(&spec, Arc::new(object), pods, totals, at(second))
    }

    #[test]
    fn only_what_runs_is_measured() {
        let measured = MeasuredPod::new(&pod("a", true), at(60)).unwrap();
        assert_eq!((&*measured.containers[0].id, measured.containers.len()), ("abc", 1));
        assert!(measured.usage().cpu_seconds > 0.0 && measured.traffic.received > 0.0);
        assert!(MeasuredPod::new(&pod("b", false), at(60)).is_none());
    }

    #[test]
    fn deployments_are_workloads_and_not_their_replica_sets() {
        assert_eq!(workload(&pod("a", true)), ("n".to_owned(), "web".to_owned()));
    }

    #[test]
    fn a_node_s_counters_do_not_go_back_when_pods_leave() {
        let mut totals = Totals::default();
        let before = node(&["a", "b"], &mut totals, 3600);
        let after = node(&["a"], &mut totals, 3660);
        assert!(after.usage.cpu_seconds > before.usage.cpu_seconds);
        assert!(after.traffic.received > before.traffic.received);
        assert!(after.usage.working_set < before.usage.working_set);
        let later = node(&["a", "b"], &mut totals, 3720);
        assert!(later.usage.cpu_seconds > after.usage.cpu_seconds);
    }
}
