//! What an administrator applies to a cluster so that it joins, or so that it carries the hub.

mod hub;
mod pod;

use k8s_openapi::ByteString;
use lib_names::ClusterName;
use lib_tls::SpkiPin;
use serde_json::{Value, json};
use tunnel_protocol::AGENT;

use crate::registration::hash;
use crate::traces::{ENFORCING, removal_objects};
use crate::{ADMINS_BINDING, FLEET_USER, INVENTORY_USER, NAMESPACE, UPGRADE_USER};

pub use hub::{HUB, HUB_ADMISSION, HubManifest};

/// What an agent needs to know. Holds a secret.
pub struct Invitation<'a> {
    /// The name of its cluster on the hub.
    pub cluster: &'a ClusterName,
    /// The registration token.
    pub token: &'a str,
    /// Where the hub is: `host:port`.
    pub hub: &'a str,
    /// Whom the agent trusts to be the hub.
    pub authority_pem: &'a str,
    /// What the agent is run from.
    pub image: &'a str,
    /// What other parts of the hub may do in a member.
    pub rights: &'a [Value],
    /// The way out of the cluster, where it leads through a proxy.
    pub egress: Option<Egress<'a>>,
}

/// A proxy on the way to the hub. Holds a secret.
#[derive(Clone, Copy)]
pub struct Egress<'a> {
    /// Its URL, with user and password if it wants them.
    pub proxy: &'a str,
    /// Where it does not lead, as in `NO_PROXY`.
    pub no_proxy: Option<&'a str>,
    /// The authority of a proxy that speaks TLS.
    pub authority_pem: Option<&'a str>,
}

/// The Secret that names the proxy. It is the member's own: an agent takes it from there whoever put it there, and a
/// registration without a proxy leaves it as it is.
pub(crate) const EGRESS: &str = "acp-agent-proxy";

/// Where the kubelet asks an agent whether it lives.
const PROBES: u16 = 9440;
/// How long another Pod of an agent may take, in seconds: for its image, mostly.
const PROGRESS: u32 = 180;

impl Invitation<'_> {
    /// How to run the agent elsewhere. It trusts whoever has the key of that pin.
    pub(crate) fn command(&self, pin: SpkiPin) -> String {
        let Self { cluster, token, hub, .. } = self;
        format!("acp agent --hub {hub} --cluster {cluster} --token {token} --ca-pin {pin}")
    }

    /// One YAML stream. Its documents are JSON, which is YAML: nothing has to be quoted by hand.
    pub(crate) fn manifest(&self) -> String {
        self.objects().iter().map(|object| format!("---\n{object:#}\n")).collect()
    }

    /// All that a cluster is to have so that it joins.
    pub fn objects(&self) -> Vec<Value> {
        let mut objects = member_objects();
        objects.extend_from_slice(self.rights);
        objects.extend(removal_objects(self.rights));
        objects.extend(self.agent_objects());
        objects
    }

    fn agent_objects(&self) -> Vec<Value> {
        let name = AGENT;
        let text = |value: &str| json!(ByteString(value.as_bytes().to_vec()));
        let (mount, proxy) = ("/var/run/acp/registration", "/var/run/acp/proxy");
        let environment = |name: &str, key: &str| {
            let reference = json!({"name": EGRESS, "key": key, "optional": true});
            json!({"name": name, "valueFrom": {"secretKeyRef": reference}})
        };
        let egress = self.egress.map(|Egress { proxy, no_proxy, authority_pem }| {
            let keys = [("url", Some(proxy)), ("no-proxy", no_proxy), ("ca.crt", authority_pem)];
            let data: serde_json::Map<String, Value> =
                keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), text(value?)))).collect();
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {"name": EGRESS, "namespace": NAMESPACE}, "data": data,
            })
        });
        // Another registration or another proxy is another pod: an agent reads both when it starts.
        let known = match &egress {
            None => hash(self.token),
            Some(secret) => hash(&format!("{} {}", self.token, secret["data"])),
        };
        let objects = [
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {"name": "acp-agent-registration", "namespace": NAMESPACE},
                "data": {
                    "token": text(self.token), "ca.crt": text(self.authority_pem),
                    "hub": text(self.hub), "cluster": text(self.cluster.as_str()),
                },
            }),
            // The cluster asks the agent about quotas.
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {
                    "selector": {"app.kubernetes.io/name": name},
                    "ports": [{"name": "admission", "port": 443, "targetPort": "admission"}],
                },
            }),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/name": name}},
                "spec": {
                    // The newest session of a key wins, and who had the tunnel before leaves it alone for a while.
                    "replicas": 1,
                    // The one that serves goes when its successor does: an image that does not start, or does not reach the
                    // hub, takes nothing away.
                    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                    "minReadySeconds": 10, "progressDeadlineSeconds": PROGRESS,
                    "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
                    "template": {
                        "metadata": {
                            "labels": {"app.kubernetes.io/name": name},
                            "annotations": {"fleet.cpaas.io/registration": known},
                        },
                        "spec": {
                            "serviceAccountName": name,
                            "securityContext": pod::security(),
                            "containers": [{
                                "name": "agent",
                                "image": self.image,
                                "command": ["acp-agent"],
                                "args": [
                                    format!("--hub={}", self.hub), format!("--cluster={}", self.cluster),
                                    format!("--token-file={mount}/token"), format!("--ca-file={mount}/ca.crt"),
                                    format!("--probe-listen=[::]:{PROBES}"),
                                ],
                                "env": [
                                    environment("HTTPS_PROXY", "url"), environment("NO_PROXY", "no-proxy"),
                                    // Nobody is trusted by the image. The hub and the cluster are known by authorities of
                                    // their own: this one is for the proxy.
                                    {"name": "SSL_CERT_FILE", "value": format!("{proxy}/ca.crt")},
                                ],
                                "ports": [
                                    {"name": "admission", "containerPort": 9443}, {"name": "probes", "containerPort": PROBES},
                                ],
                                // It lives while it runs, whoever is away: the hub, or the cluster's own API. It is ready when it
                                // listens to the cluster, and its version is one that has reached the hub.
                                "livenessProbe": {
                                    "httpGet": {"path": "/livez", "port": "probes"},
                                    "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3,
                                },
                                "readinessProbe": {
                                    "httpGet": {"path": "/readyz", "port": "probes"},
                                    "periodSeconds": 2, "timeoutSeconds": 5,
                                },
                                "securityContext": pod::container_security(),
                                "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
                                "volumeMounts": [
                                    {"name": "registration", "mountPath": mount, "readOnly": true},
                                    {"name": "proxy", "mountPath": proxy, "readOnly": true},
                                ],
                            }],
                            "volumes": [
                                {"name": "registration", "secret": {"secretName": "acp-agent-registration"}},
                                {"name": "proxy", "secret": {
                                    "secretName": EGRESS, "optional": true, "items": [{"key": "ca.crt", "path": "ca.crt"}],
                                }},
                            ],
                        },
                    },
                },
            }),
        ];
        egress.into_iter().chain(objects).collect()
    }
}

/// The rights that a member gives: to the agent, to say who asks; to the hub's controllers, their narrow role.
pub fn member_objects() -> Vec<Value> {
    let group = RBAC;
    let agent = json!({"kind": "ServiceAccount", "name": AGENT, "namespace": NAMESPACE});
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": AGENT, "namespace": NAMESPACE}}),
        role(ENFORCING, quota_rules()),
        binding(ENFORCING, agent.clone()),
        role(
            "acp:agent",
            json!([
                {"apiGroups": [""], "resources": ["users", "groups", "serviceaccounts"], "verbs": ["impersonate"]},
                {"apiGroups": ["authentication.k8s.io"], "resources": ["uids", "userextras", "userextras/*"], "verbs": ["impersonate"]},
                {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]},
                {"nonResourceURLs": ["/version", "/readyz", "/livez", "/healthz"], "verbs": ["get"]},
            ]),
        ),
        binding("acp:agent", agent.clone()),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "acp:agent", "namespace": NAMESPACE},
            "rules": [
                {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["acp-agent-credential", "acp-agent-admission"],
                 "verbs": ["get", "update", "patch"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "acp:agent", "namespace": NAMESPACE},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "acp:agent"}, "subjects": [agent],
        }),
        role(
            FLEET_USER,
            json!([
                {"apiGroups": [group], "resources": ["clusterrolebindings"], "verbs": ["create"]},
                {"apiGroups": [group], "resources": ["clusterrolebindings"], "resourceNames": [ADMINS_BINDING],
                 "verbs": ["get", "update", "patch"]},
                {"apiGroups": [group], "resources": ["clusterroles"], "resourceNames": ["cluster-admin"], "verbs": ["bind"]},
                // Whoever loses a right loses the streams that needed it.
                {"apiGroups": [group], "resources": ["clusterroles", "clusterrolebindings", "roles", "rolebindings"],
                 "verbs": ["list", "watch"]},
            ]),
        ),
        binding(FLEET_USER, user(FLEET_USER)),
    ];
    objects.extend(inventory_objects());
    objects.extend(upgrade_objects());
    objects
}

/// The right to give the agent another image, and to see what becomes of that. Whoever changes the agent's Deployment runs
/// what they like in the agent's name; nobody has this right but a part of the hub, for which the agent speaks already.
fn upgrade_objects() -> [Value; 2] {
    let metadata = json!({"name": UPGRADE_USER, "namespace": NAMESPACE});
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata,
            "rules": [
                {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": [AGENT], "verbs": ["get", "patch"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": UPGRADE_USER}, "subjects": [user(UPGRADE_USER)],
        }),
    ]
}

/// The right to read which objects there are: in members and on the hub. Of nearly all of them only the metadata is asked
/// for, but no rule can say so.
pub(crate) fn inventory_objects() -> [Value; 2] {
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "watch"]}]);
    [role(INVENTORY_USER, rules), binding(INVENTORY_USER, user(INVENTORY_USER))]
}

pub(crate) const RBAC: &str = "rbac.authorization.k8s.io";

pub(crate) fn role(name: &str, rules: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

/// Binds the role of that name.
pub(crate) fn binding(name: &str, subject: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}, "subjects": [subject],
    })
}

pub(crate) fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": RBAC, "name": name})
}

/// What it takes to keep what projects give to their namespaces within their quotas: to see it, to note what is under way,
/// and to have the cluster ask. The same for overcommit ratios.
pub(crate) fn quota_rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["namespaces", "resourcequotas"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["auth.alauda.io"], "resources": ["projectquotas"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["auth.alauda.io"], "resources": ["projectquotas/status"], "verbs": ["update"]},
        {"apiGroups": ["resource.alauda.io"], "resources": ["namespaceresourceratios"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["resource.alauda.io"], "resources": ["namespaceresourceratios/status"], "verbs": ["patch"]},
        // Applied by name, it needs no right to create any other: whoever may do that sees all that is written.
        {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["validatingwebhookconfigurations"],
         "resourceNames": ["cpaas-project-quota"], "verbs": ["get", "create", "patch"]},
        {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
         "resourceNames": ["cpaas-resource-ratio"], "verbs": ["get", "create", "patch"]},
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_yaml_that_kubectl_reads() {
        let authority = lib_tls::Authority::generate("hub", std::time::SystemTime::now()).unwrap();
        let invitation = Invitation {
            cluster: &"eu-1".parse().unwrap(),
            token: "tok",
            hub: "127.0.0.1:8443",
            authority_pem: authority.certificate_pem(),
            image: "acp/agent",
            rights: &[
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "other"}}),
            ],
            egress: Some(Egress { proxy: "http://me:s3cret@proxy:3128", no_proxy: Some(".svc"), authority_pem: None }),
        };
        let manifest = invitation.manifest();
        let objects: Vec<Value> = manifest
            .split("---\n")
            .filter(|text| !text.is_empty())
            .map(|text| serde_saphyr::from_str(text).unwrap())
            .collect();
        let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds[0], "Namespace");
        assert_eq!(kinds[kinds.len() - 2..], ["Service", "Deployment"]);
        assert!(objects.iter().all(|object| object["metadata"]["name"].is_string()));
        assert!(objects.iter().any(|object| object["metadata"]["name"] == "other"));
        // All of it but the namespace goes with the cluster.
        let owned = crate::traces::of_agent(invitation.rights);
        for object in objects.iter().filter(|object| object["kind"] != "Namespace") {
            let mut object = object.clone();
            object["metadata"]["labels"].take();
            let trace = crate::traces::Trace::of(&object);
            assert!(owned.contains(&trace) || trace == crate::traces::root(), "{}", trace.said());
        }
        assert!(invitation.command(authority.pin()).contains("--token tok --ca-pin sha256:"));
    }

    fn found<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
        objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    #[test]
    fn an_agent_is_nobody_writes_nothing_and_is_not_ended_because_its_hub_is_away() {
        let authority = lib_tls::Authority::generate("hub", std::time::SystemTime::now()).unwrap();
        let (cluster, authority_pem) = ("eu-1".parse().unwrap(), authority.certificate_pem());
        let (token, hub, image) = ("tok", "hub:1", "acp/agent");
        let objects =
            Invitation { cluster: &cluster, token, hub, authority_pem, image, rights: &[], egress: None }.objects();
        let pod = &found(&objects, "Deployment", AGENT).unwrap()["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let container = &pod["containers"][0];
        let security = &container["securityContext"];
        assert_eq!(
            (&security["readOnlyRootFilesystem"], &security["allowPrivilegeEscalation"]),
            (&json!(true), &json!(false))
        );
        // Of its own process and of nobody else; and no other Pod takes its place before that one is ready.
        assert_eq!(container["livenessProbe"]["httpGet"], json!({"path": "/livez", "port": "probes"}));
        assert_eq!(container["readinessProbe"]["httpGet"], json!({"path": "/readyz", "port": "probes"}));
        let spec = &found(&objects, "Deployment", AGENT).unwrap()["spec"];
        let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}});
        assert_eq!((&spec["strategy"], &spec["replicas"]), (&rolling, &json!(1)));
        let ports: Vec<_> = container["ports"].as_array().unwrap().iter().map(|port| &port["containerPort"]).collect();
        assert_eq!(ports, [9443, 9440]);
        let listens = format!("--probe-listen=[::]:{}", ports[1]);
        assert!(container["args"].as_array().unwrap().iter().any(|word| *word == listens), "{container}");
    }

    #[test]
    fn what_a_proxy_wants_to_know_is_in_its_secret_alone() {
        let authority = lib_tls::Authority::generate("hub", std::time::SystemTime::now()).unwrap();
        let proxy = "http://me:s3cret@proxy:3128";
        let objects = |egress| {
            let cluster = "eu-1".parse().unwrap();
            let (authority_pem, image) = (authority.certificate_pem(), "acp/agent");
            Invitation { cluster: &cluster, token: "tok", hub: "hub:1", authority_pem, image, rights: &[], egress }
                .objects()
        };
        let egress = Egress { proxy, no_proxy: None, authority_pem: Some("PEM") };
        let (with, without) = (objects(Some(egress)), objects(None));
        let secret = found(&with, "Secret", EGRESS).unwrap();
        let data: std::collections::BTreeMap<String, ByteString> =
            serde_json::from_value(secret["data"].clone()).unwrap();
        let keys: Vec<_> = data.iter().map(|(key, value)| (key.as_str(), value.0.as_slice())).collect();
        assert_eq!(keys, [("ca.crt", b"PEM".as_slice()), ("url", proxy.as_bytes())]);
        assert!(found(&without, "Secret", EGRESS).is_none(), "the member's own is left alone");
        // The agent looks there either way; another proxy is another Pod.
        let deployment = |objects: &[Value]| found(objects, "Deployment", AGENT).unwrap().clone();
        let template = |mut deployment: Value| deployment["spec"]["template"]["metadata"]["annotations"].take();
        assert_ne!(template(deployment(&with)), template(deployment(&without)));
        let env = &deployment(&without)["spec"]["template"]["spec"]["containers"][0]["env"];
        assert_eq!(env[0]["valueFrom"]["secretKeyRef"], json!({"name": EGRESS, "key": "url", "optional": true}));
        let elsewhere = with.iter().filter(|object| *object != secret).map(Value::to_string).collect::<String>();
        assert!(!elsewhere.contains("s3cret") && !elsewhere.contains("proxy:3128"));
    }
}
