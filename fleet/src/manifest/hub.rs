//! The hub in a cluster: everything that it needs there, and itself.

use serde_json::{Value, json};

use super::pod;
use crate::NAMESPACE;
use crate::install::hub_objects;

/// What the hub is called in its cluster: its Deployment, its ServiceAccount and its Service.
pub const HUB: &str = "acp-hub";
/// The Service by which the cluster's API server asks the hub.
pub const HUB_ADMISSION: &str = "acp-hub-admission";

/// Ports of the hub's container.
const DOOR: u16 = 8443;
const ADMISSION: u16 = 9443;

/// What an operator decides about a hub in a cluster.
pub struct HubManifest<'a> {
    /// What the hub is run from, and the agents that it invites.
    pub image: &'a str,
    /// Where people and agents reach it: `host:port`.
    pub address: &'a str,
    /// How many of it run.
    pub replicas: u32,
    /// The roles and bindings of parts of the hub other than the fleet.
    pub rights: &'a [Value],
}

impl HubManifest<'_> {
    /// All that an administrator applies. It holds no secret: the hub makes its own, in the cluster.
    pub fn objects(&self) -> Vec<Value> {
        let account = json!({"kind": "ServiceAccount", "name": HUB, "namespace": NAMESPACE});
        let mut objects = hub_objects(account, self.rights);
        objects.extend([
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(HUB)}),
            service(HUB, "door"),
            service(HUB_ADMISSION, "admission"),
            json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(HUB),
                // Not a least number: a single replica would keep its node from being drained.
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels()}},
            }),
            self.deployment(),
        ]);
        objects
    }

    fn deployment(&self) -> Value {
        let probe = |path: &str, period: u16| {
            json!({
                "httpGet": {"path": path, "port": "door", "scheme": "HTTPS"},
                "periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": 3,
            })
        };
        let mut startup = probe("/livez", 2);
        startup["failureThreshold"] = json!(60);
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(HUB),
            "spec": {
                "replicas": self.replicas,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "selector": {"matchLabels": labels()},
                "template": {
                    "metadata": {"labels": labels()},
                    "spec": {
                        "serviceAccountName": HUB,
                        "securityContext": pod::security(),
                        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                            apart("kubernetes.io/hostname", 100), apart("topology.kubernetes.io/zone", 50),
                        ]}},
                        "containers": [{
                            "name": "hub",
                            "image": self.image,
                            "command": ["acp", "hub"],
                            // The kubelet puts them in.
                            "env": [field("POD_NAME", "metadata.name"), field("POD_IP", "status.podIP")],
                            "args": [
                                format!("--listen=[::]:{DOOR}"), format!("--public-address={}", self.address),
                                format!("--admission-listen=[::]:{ADMISSION}"), format!("--agent-image={}", self.image),
                                format!("--replica=$(POD_NAME)=$(POD_IP):{DOOR}"),
                            ],
                            "ports": [
                                {"name": "door", "containerPort": DOOR},
                                {"name": "admission", "containerPort": ADMISSION},
                            ],
                            // It is alive as soon as it answers, and answers as soon as it knows people and clusters.
                            "startupProbe": startup,
                            "livenessProbe": probe("/livez", 10),
                            "readinessProbe": probe("/readyz", 5),
                            "securityContext": pod::container_security(),
                            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
                        }],
                    },
                },
            },
        })
    }
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": HUB})
}

fn metadata(name: &str) -> Value {
    json!({"name": name, "namespace": NAMESPACE, "labels": labels()})
}

/// At port 443, to a port of the container.
fn service(name: &str, target: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(name),
        "spec": {"selector": labels(), "ports": [{"name": target, "port": 443, "targetPort": target}]},
    })
}

fn field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

fn apart(topology: &str, weight: u8) -> Value {
    json!({"weight": weight, "podAffinityTerm": {"topologyKey": topology, "labelSelector": {"matchLabels": labels()}}})
}
