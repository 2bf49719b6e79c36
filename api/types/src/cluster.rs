//! `cluster.x-k8s.io/v1beta1`: the handle of every cluster.
//!
//! The kind is Cluster API's, so manifests made for it are accepted: fields that the platform does not read are kept.
//! How the hub reaches a cluster is an annotation; with which credential, a Secret that only the hub reads.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, ValidationRule,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tenancy::{InvalidOvercommit, NamespaceResourceRatioSpec, Overcommit};

/// Annotation: how the hub reaches the cluster; a [`Connection`].
pub const CONNECTION: &str = "fleet.cpaas.io/connection";
/// Annotation: the name that people see.
pub const DISPLAY_NAME: &str = "cpaas.io/display-name";
/// Annotation: the hash of the key of the cluster's agent.
pub const AGENT_KEY: &str = "fleet.cpaas.io/agent-key";
/// Annotation: the hash of another key that asks to take the place of [`AGENT_KEY`], until an administrator has decided.
pub const REQUESTED_KEY: &str = "fleet.cpaas.io/requested-agent-key";
/// Annotation: the uid of the cluster that an administrator takes under this name in place of the one that is noted.
pub const ACCEPTED_UID: &str = "fleet.cpaas.io/cluster-uid";
/// Annotation: the cluster's name, by somebody who wants it removed. Without it nobody removes the cluster.
pub const CONFIRM_REMOVAL: &str = "fleet.cpaas.io/confirm-removal";
/// Annotation: the cluster's name, by somebody who wants it removed although it does not answer.
pub const FORCE_REMOVAL: &str = "fleet.cpaas.io/force-removal";
/// Annotation: where the hub is for the cluster's network, as `https://host:port`, if that is not the hub's own address.
pub const PLATFORM_URL: &str = "cpaas.io/platform-url";
/// Label: the cluster's name, on everything that belongs to it.
pub const CLUSTER_NAME: &str = "cpaas.io/cluster-name";
/// Finalizer: the hub forgets the cluster before its object goes.
pub const FINALIZER: &str = "fleet.cpaas.io/cluster";

/// What is wanted of a cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "cluster.x-k8s.io",
    version = "v1beta1",
    kind = "Cluster",
    namespaced,
    status = "ClusterStatus",
    shortname = "cl",
    category = "cluster-api",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"READY","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the cluster can be worked with"}"#,
    printcolumn = r#"{"name":"VERSION","type":"string","jsonPath":".status.kubernetesVersion","description":"The Kubernetes version"}"#,
    printcolumn = r#"{"name":"NODES","type":"integer","jsonPath":".status.nodes.total","description":"How many nodes there are"}"#,
    printcolumn = r#"{"name":"HEARTBEAT","type":"date","jsonPath":".status.lastHeartbeatTime","description":"When the cluster was last heard of"}"#,
    printcolumn = r#"{"name":"CONNECTION","type":"string","jsonPath":".metadata.annotations.fleet\\.cpaas\\.io/connection","description":"How the hub reaches the cluster"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// Whether controllers leave the cluster alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Where the cluster's API server is, for people. Requests follow the stored credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_plane_endpoint: Option<Endpoint>,
    /// The object of the infrastructure provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure_ref: Option<ObjectReference>,
    /// The object of the control plane provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_plane_ref: Option<ObjectReference>,
    /// What holds in the cluster; the platform sees to it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<ClusterProperties>,
}

/// What holds in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterProperties {
    /// By what limits of `cpu` and `memory` are divided to give requests, for new Pods of projects, unless their namespace
    /// says something else. "0" for none, or from "1" to "1000" with at most three decimals.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "oversold_ratio_schema")]
    pub oversold_ratio: BTreeMap<String, String>,
}

/// Short texts: the rules of [`definition`] look at each.
fn oversold_ratio_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 16},
    })
}

impl Cluster {
    /// Whether somebody has confirmed by its name that it is to be removed.
    pub fn is_removal_confirmed(&self) -> bool {
        self.says_its_name(CONFIRM_REMOVAL)
    }

    /// The same, and that it is not to be asked for anything.
    pub fn is_removal_forced(&self) -> bool {
        self.says_its_name(FORCE_REMOVAL)
    }

    fn says_its_name(&self, annotation: &str) -> bool {
        let said = self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(annotation));
        said.is_some() && said == self.metadata.name.as_ref()
    }
}

impl ClusterProperties {
    /// What the cluster's own NamespaceResourceRatio is to say; nothing where nothing is said here.
    pub fn ratio(&self) -> Result<Option<NamespaceResourceRatioSpec>, InvalidOvercommit> {
        let of = |key| self.oversold_ratio.get(key).map(|text| text.parse::<Overcommit>()).transpose();
        let ratio = NamespaceResourceRatioSpec { cpu: of("cpu")?, memory: of("memory")? };
        Ok(Some(ratio).filter(|ratio| *ratio != NamespaceResourceRatioSpec::default()))
    }
}

/// Where an API server is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// A DNS name or an address.
    pub host: String,
    /// The port.
    pub port: i32,
}

/// What is known of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Ready, Connected, APIServerHealthy, ComponentsHealthy, VersionSupported, IdentityConfirmed, CertificatesValid,
    /// ClockSynchronised, AgentCurrent, RightsFollowed, Indexed, QuotaEnforced, RatioApplied, AgentKeyApproved,
    /// AuthorityTrusted, PlatformURLUsed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Pending, Provisioned, Deleting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// As `v1.34.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// How many nodes there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,
    /// How much the nodes have, and how much of it is given away: to within a minute or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resources>,
    /// How the control plane and the core add-ons are; those first that are not well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
    /// Which cluster answered first under this name. It is not written again, unless somebody accepts another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<ClusterIdentity>,
    /// Until when the certificates hold by which the cluster and the hub know each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// Whom the cluster's agent takes for the hub, by its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_trust: Option<AgentTrust>,
    /// How far the cluster's clock is ahead of the hub's, to within a second or a tenth of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_seconds: Option<i64>,
    /// When the cluster was last heard of: to within a minute or so while it is, exactly once it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat_time: Option<Time>,
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Which cluster it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterIdentity {
    /// The uid of its namespace kube-system.
    pub uid: String,
    /// Since when it is known under this name. Of two clusters with one uid, the first is the earlier.
    pub since: Time,
}

/// A certificate, and how long it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// `agent`, by its own word; or `credential`, the one that came with an import.
    pub name: String,
    /// Until when it holds.
    pub not_after: Time,
}

/// How much there is of each resource, over all nodes: amounts by names, as `cpu` and `500m`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// What the nodes have.
    #[serde(default)]
    pub capacity: BTreeMap<String, String>,
    /// What they have for Pods.
    #[serde(default)]
    pub allocatable: BTreeMap<String, String>,
    /// What the Pods on them ask for.
    #[serde(default)]
    pub allocated: BTreeMap<String, String>,
}

/// A part of the control plane, or a core add-on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// As `kube-apiserver` or `coredns`.
    pub name: String,
    /// Whether all of it is available.
    pub healthy: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when it is so.
    pub last_transition_time: Time,
}

/// Whom an agent takes for the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentTrust {
    /// The hashes of the authorities' keys, as `sha256:` and hexadecimal digits.
    pub authorities: Vec<String>,
    /// That of the one that has issued the agent's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Why it has not taken the authorities that the hub has told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How many nodes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nodes {
    /// All.
    pub total: i32,
    /// The ready ones.
    pub ready: i32,
}

/// How the hub reaches a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// It is the hub itself.
    InProcess,
    /// Through the tunnel that its agent holds open.
    Tunnel,
    /// At its address.
    Direct,
}

impl Connection {
    /// The annotation's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Tunnel => "tunnel",
            Self::Direct => "direct",
        }
    }

    /// What a cluster's annotation says. A cluster that was made elsewhere says nothing, and is not reached at all.
    pub fn of(cluster: &Cluster) -> Option<Self> {
        let value = cluster.metadata.annotations.as_ref()?.get(CONNECTION)?;
        [Self::InProcess, Self::Tunnel, Self::Direct].into_iter().find(|connection| connection.as_str() == value)
    }
}

/// What the derive cannot say: fields of Cluster API's that are not listed here stay in the object, and conditions are a
/// map by type.
pub(crate) fn definition(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let schemas =
        crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for schema in schemas {
        let Some(properties) = schema.properties.as_mut() else { continue };
        for part in ["spec", "status"] {
            if let Some(part) = properties.get_mut(part) {
                part.x_kubernetes_preserve_unknown_fields = Some(true);
            }
        }
        let parts = properties.get_mut("spec").and_then(|spec| spec.properties.as_mut()?.get_mut("properties"));
        if let Some(parts) = parts {
            parts.x_kubernetes_preserve_unknown_fields = Some(true);
            let ratio = parts.properties.as_mut().and_then(|parts| parts.get_mut("oversoldRatio"));
            if let Some(ratio) = ratio {
                ratio.x_kubernetes_validations = Some(oversold_ratio_rules());
            }
        }
        let conditions =
            properties.get_mut("status").and_then(|status| status.properties.as_mut()?.get_mut("conditions"));
        if let Some(JSONSchemaProps { x_kubernetes_list_type, x_kubernetes_list_map_keys, .. }) = conditions {
            *x_kubernetes_list_type = Some("map".into());
            *x_kubernetes_list_map_keys = Some(vec!["type".into()]);
        }
    }
    crd
}

/// What [`Overcommit`] reads, and nothing else.
fn oversold_ratio_rules() -> Vec<ValidationRule> {
    let rule = |rule: &str, message: &str| ValidationRule {
        rule: rule.into(),
        message: Some(message.into()),
        ..ValidationRule::default()
    };
    let number = r"^(0(\\.0{1,3})?|[1-9][0-9]{0,2}(\\.[0-9]{1,3})?|1000(\\.0{1,3})?)$";
    vec![
        rule("self.all(key, key in ['cpu', 'memory'])", "oversoldRatio has the keys cpu and memory, and no others"),
        rule(
            &format!("self.all(key, !(key in ['cpu', 'memory']) || self[key].matches('{number}'))"),
            "each of oversoldRatio is \"0\", and requests are left alone, or from \"1\" to \"1000\" with at most three decimals, such as \"1.5\"",
        ),
    ]
}
