//! The node objects, their leases and addresses.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{Node, NodeCondition},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, Time},
};
use kube::{
    Client,
    api::{Api, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    SandboxConfig,
    clock::Clock,
    cluster::Cluster,
    error::{Error, chain},
    meta::{name, seconds},
};

/// What is fixed about a node.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) name: String,
    pub(super) address: String,
    /// The first three numbers of its pods' addresses.
    network: [u8; 3],
    version: String,
    runtime: String,
}

const PORT: u16 = 10250;

pub(super) fn specs(config: &SandboxConfig) -> Vec<Spec> {
    let byte = |number: usize| u8::try_from(number % 256).unwrap_or(0);
    (0..config.nodes)
        .map(|index| Spec {
            name: format!("{}{}", config.node_prefix, index + 1),
            address: format!("172.18.{}.{}", byte((index + 2) / 250), (index + 2) % 250),
            network: [10, byte(244 + index / 256), byte(index)],
            version: config.kubernetes_version.clone(),
            runtime: "containerd://2.0.5".to_owned(),
        })
        .collect()
}

/// Which pod holds which address of which node.
#[derive(Default)]
pub(super) struct Addresses {
    taken: HashMap<String, BTreeMap<u8, String>>,
    held: HashMap<String, (String, u8)>,
}

impl Addresses {
    /// The pod's address: the one it holds, the one its status names, or a free one. `None` when all are taken.
    pub(super) fn assign(&mut self, node: &Spec, pod: &str, status: Option<&str>) -> Option<String> {
        let format = |last: u8| {
            let [a, b, c] = node.network;
            format!("{a}.{b}.{c}.{last}")
        };
        if let Some((_, last)) = self.held.get(pod) {
            return Some(format(*last));
        }
        let taken = self.taken.entry(node.name.clone()).or_default();
        let named = status
            .and_then(|ip| ip.rsplit('.').next()?.parse().ok())
            .filter(|last| format(*last) == status.unwrap_or_default());
        let last = named
            .filter(|last| !taken.contains_key(last))
            .or_else(|| (2..=254).find(|last| !taken.contains_key(last)))?;
        taken.insert(last, pod.to_owned());
        self.held.insert(pod.to_owned(), (node.name.clone(), last));
        Some(format(last))
    }

    pub(super) fn release(&mut self, pod: &str) {
        let Some((node, last)) = self.held.remove(pod) else { return };
        if let Some(taken) = self.taken.get_mut(&node) {
            taken.remove(&last);
        }
    }
}

/// Registers the nodes and keeps their leases and heartbeats, in one task for all.
pub(super) fn start(cluster: &Cluster, specs: Vec<Spec>, config: &SandboxConfig) {
    let (client, clock) = (cluster.client.clone(), cluster.clock.clone());
    let (lease, heartbeat) = (config.timings.lease, config.timings.heartbeat);
    let mut jitter = Jitter(config.seed | 1);
    cluster.spawn(async move {
        for spec in &specs {
            persist("node not registered, trying again", || register(&client, spec, &clock)).await;
        }
        let mut last_heartbeat = tokio::time::Instant::now();
        loop {
            let report = last_heartbeat.elapsed() >= clock.real(heartbeat);
            if report {
                last_heartbeat = tokio::time::Instant::now();
            }
            for spec in &specs {
                if let Err(error) = renew(&client, spec, lease, &clock).await {
                    tracing::warn!(node = %spec.name, error = %chain(&error), "node lease not renewed");
                }
                if report && let Err(error) = report_status(&client, spec, &clock).await {
                    tracing::warn!(node = %spec.name, error = %chain(&error), "node status not reported");
                }
            }
            clock.sleep(jitter.around(lease)).await;
        }
    });
}

/// Tries until it works; the task that runs it is cancelled from outside.
async fn persist<F: Future<Output = Result<(), Error>>>(complaint: &'static str, mut attempt: impl FnMut() -> F) {
    let mut wait = Duration::from_millis(50);
    while let Err(error) = attempt().await {
        tracing::warn!(error = %chain(&error), "{complaint}");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(10));
    }
}

/// Repeatable noise (xorshift), so that many clusters do not write in step.
struct Jitter(u64);

impl Jitter {
    fn around(&mut self, wait: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        wait.mul_f64(0.96 + 0.08 * f64::from(u32::try_from(self.0 >> 32).unwrap_or(0)) / f64::from(u32::MAX))
    }
}

async fn register(client: &Client, spec: &Spec, clock: &Clock) -> Result<(), Error> {
    let api: Api<Node> = Api::all(client.clone());
    let params = PostParams { field_manager: Some("kubelet".to_owned()), ..PostParams::default() };
    match api.create(&params, &node(spec)?).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(Error::api("register a node", error)),
    }
    report_status(client, spec, clock).await?;
    welcome(&api, spec).await
}

/// Takes off the taint of a new node, which is known to be ready: there is no controller here that watches nodes.
async fn welcome(api: &Api<Node>, spec: &Spec) -> Result<(), Error> {
    let node = api.get(&spec.name).await.map_err(|error| Error::api("read a node", error))?;
    let mut taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    let before = taints.len();
    taints.retain(|taint| taint.key != "node.kubernetes.io/not-ready");
    if taints.len() == before {
        return Ok(());
    }
    let version = node.metadata.resource_version;
    let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}});
    let params = PatchParams { field_manager: Some("kubelet".to_owned()), ..PatchParams::default() };
    api.patch(&spec.name, &params, &Patch::Merge(patch)).await.map_err(|error| Error::api("welcome a node", error))?;
    Ok(())
}

fn decode<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|source| Error::Encoding { what: "a node", source })
}

fn node(spec: &Spec) -> Result<Node, Error> {
    let [a, b, c] = spec.network;
    let cidr = format!("{a}.{b}.{c}.0/24");
    decode(json!({
        "metadata": {
            "name": spec.name,
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": spec.name,
                "kubernetes.io/os": "linux",
                "type": "simulated",
                "node.acp.io/simulated": "true",
            },
            "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
        },
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
    }))
}

async fn report_status(client: &Client, spec: &Spec, clock: &Clock) -> Result<(), Error> {
    let api: Api<Node> = Api::all(client.clone());
    let node = api.get(&spec.name).await.map_err(|error| Error::api("read a node", error))?;
    let patch = json!({"status": status(spec, &node, clock.now())});
    let params = PatchParams { field_manager: Some("kubelet".to_owned()), ..PatchParams::default() };
    api.patch_status(&spec.name, &params, &Patch::Merge(patch))
        .await
        .map_err(|error| Error::api("report a node's status", error))?;
    Ok(())
}

fn status(spec: &Spec, node: &Node, now: Timestamp) -> Value {
    let capacity = json!({"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi",
                          "hugepages-1Gi": "0", "hugepages-2Mi": "0"});
    let id = format!("simulated-{}", spec.name);
    let conditions: Vec<_> = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    .into_iter()
    .map(|condition| self::condition(node, condition, now))
    .collect();
    json!({
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": [{"type": "InternalIP", "address": spec.address}, {"type": "Hostname", "address": spec.name}],
        "conditions": conditions,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT}},
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": id,
            "containerRuntimeVersion": spec.runtime,
            "kernelVersion": "6.6.0-simulated",
            "kubeProxyVersion": "",
            "kubeletVersion": spec.version,
            "machineID": id,
            "operatingSystem": "linux",
            "osImage": "Simulated node",
            "systemUUID": id,
        },
    })
}

fn condition(node: &Node, (kind, status, reason, message): (&str, &str, &str, &str), now: Timestamp) -> NodeCondition {
    let before = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let before =
        before.and_then(|all| all.iter().find(|condition| condition.type_ == kind && condition.status == status));
    let at = Some(Time(seconds(now)));
    NodeCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: at.clone(),
        last_transition_time: before.map_or(at, |before| before.last_transition_time.clone()),
    }
}

async fn renew(client: &Client, spec: &Spec, period: Duration, clock: &Clock) -> Result<(), Error> {
    let api: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let now = MicroTime(clock.now());
    let params = PatchParams { field_manager: Some("kubelet".to_owned()), ..PatchParams::default() };
    let patch = json!({"spec": {"renewTime": now, "holderIdentity": spec.name}});
    match api.patch(&spec.name, &params, &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => create_lease(client, &api, spec, period, &now).await,
        Err(error) => Err(Error::api("renew a node's lease", error)),
    }
}

async fn create_lease(
    client: &Client,
    api: &Api<Lease>,
    spec: &Spec,
    period: Duration,
    now: &MicroTime,
) -> Result<(), Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let node = nodes.get(&spec.name).await.map_err(|error| Error::api("read a node", error))?;
    let lease: Lease = decode(json!({
        "metadata": {"name": spec.name, "namespace": "kube-node-lease", "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": name(&node), "uid": node.metadata.uid}]},
        "spec": {"holderIdentity": spec.name, "leaseDurationSeconds": period.as_secs() * 4, "renewTime": now},
    }))?;
    let params = PostParams { field_manager: Some("kubelet".to_owned()), ..PostParams::default() };
    api.create(&params, &lease).await.map_err(|error| Error::api("create a node's lease", error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_and_given_back() {
        let spec = &specs(&SandboxConfig { nodes: 1, ..SandboxConfig::default() })[0];
        let mut addresses = Addresses::default();
        assert_eq!(addresses.assign(spec, "a", Some("10.244.0.9")).as_deref(), Some("10.244.0.9"));
        assert_eq!(addresses.assign(spec, "b", None).as_deref(), Some("10.244.0.2"));
        assert_eq!(addresses.assign(spec, "b", None).as_deref(), Some("10.244.0.2"));
        assert_eq!(addresses.assign(spec, "c", Some("192.0.2.9")).as_deref(), Some("10.244.0.3"));
        addresses.release("b");
        assert_eq!(addresses.assign(spec, "d", None).as_deref(), Some("10.244.0.2"));
    }

    #[test]
    fn jitter_stays_near_and_repeats() {
        let waits = |seed| {
            let mut jitter = Jitter(seed);
            (0..50).map(move |_| jitter.around(Duration::from_secs(10))).collect::<Vec<_>>()
        };
        assert!(waits(7).iter().all(|wait| (9.5..10.5).contains(&wait.as_secs_f64())));
        assert_eq!(waits(7), waits(7));
    }

    #[test]
    fn many_nodes_have_different_networks() {
        let all = specs(&SandboxConfig { nodes: 1000, ..SandboxConfig::default() });
        let networks: std::collections::BTreeSet<_> = all.iter().map(|spec| spec.network).collect();
        let hosts: std::collections::BTreeSet<_> = all.iter().map(|spec| spec.address.clone()).collect();
        assert_eq!((networks.len(), hosts.len()), (1000, 1000));
    }
}
