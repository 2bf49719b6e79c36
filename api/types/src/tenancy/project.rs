//! `auth.alauda.io/v1`: projects, and what each may use of a cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Amounts, amounts, amounts_schema};

/// Names that no project may have, as published: their namespaces belong to the cluster or to the platform.
pub const PROJECT_NAMES_REFUSED: [&str; 12] = [
    "cpaas-system",
    "cert-manager",
    "default",
    "global-credentials",
    "kube-ovn",
    "kube-public",
    "kube-system",
    "nsx-system",
    "alauda-system",
    "kube-federation-system",
    "ALL-ALL",
    "true",
];

/// Whether a project may have this name: it is a namespace and a label in every cluster, and nobody's already. Kubernetes
/// keeps everything that begins with `kube-`.
pub fn is_project_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.starts_with("kube-")
        && !PROJECT_NAMES_REFUSED.contains(&name)
}

/// What a ResourceQuota can count by a name of its own.
pub(super) const PLAIN_KEYS: [&str; 19] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "pods",
    "services",
    "services.nodeports",
    "services.loadbalancers",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// Whether a ResourceQuota can have this key, so that a sum of namespaces can. (upstream:
/// `ValidateResourceQuotaResourceName`)
pub fn is_quota_key(key: &str) -> bool {
    key.len() <= 317
        && (PLAIN_KEYS.contains(&key)
            || ["hugepages-", "requests.hugepages-", "count/"].iter().any(|start| key.starts_with(start))
            || key.contains('/'))
}

/// People, namespaces and amounts that belong together, over any number of clusters.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "auth.alauda.io",
    version = "v1",
    kind = "Project",
    status = "ProjectStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Display","type":"string","jsonPath":".metadata.annotations.cpaas\\.io/display-name","description":"The name that people see"}"#,
    printcolumn = r#"{"name":"Clusters","type":"string","jsonPath":".spec.clusters[*].name","description":"Where its namespaces may be"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase","description":"Pending, Active, Degraded or Terminating"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSpec {
    /// The clusters that its namespaces may be in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub clusters: Vec<ProjectCluster>,
    /// What becomes of its namespaces in a cluster that leaves the project, and in all when it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_delete_policy: Option<ClusterDeletePolicy>,
}

/// A cluster of a project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectCluster {
    /// The cluster's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The cluster's type; kept for those who read it.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub type_: Option<String>,
    /// The most that the quotas of its namespaces may add up to there. What is not named has no bound.
    #[serde(default, deserialize_with = "amounts")]
    #[schemars(schema_with = "amounts_schema")]
    pub quota: Amounts,
}

/// What becomes of a project's namespaces when it leaves a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClusterDeletePolicy {
    /// They stay, belong to no project, and nobody has rights in them through it. The project's own namespace stays as
    /// well.
    #[default]
    Retain,
    /// They are deleted with all that is in them.
    Delete,
}

/// How a project stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectStatus {
    /// In one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ProjectPhase>,
    /// Why it is not Active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Kept for those who read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What was done, by kind of work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ProjectCondition>,
    /// The clusters in which something of the project may still be. One that left stays here until nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// How a project stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProjectPhase {
    /// Not everywhere yet, and nothing has failed.
    Pending,
    /// In every cluster as wanted.
    Active,
    /// In some cluster not as wanted: it refuses, or nobody reaches it.
    Degraded,
    /// Being deleted.
    Terminating,
}

/// What was done of one kind of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectCondition {
    /// Which work.
    #[serde(rename = "type")]
    pub type_: ProjectConditionType,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when the status is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Where it was done, and where not.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "projectNameSpaceDetail")]
    pub detail: Option<ProjectNamespaceDetail>,
}

/// The kinds of work that a project takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ProjectConditionType {
    /// Its own namespace in each cluster.
    ProjectNameSpace,
    /// Its quota in each cluster.
    Quota,
}

/// Where work was done, and where not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectNamespaceDetail {
    /// The project, and so its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is done.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub success_clusters: BTreeMap<String, bool>,
    /// Where it is not, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed_clusters: BTreeMap<String, String>,
}

/// The most that the quotas of a project's namespaces may add up to in this cluster. It is named as the project.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "auth.alauda.io",
    version = "v1",
    kind = "ProjectQuota",
    status = "ProjectQuotaStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.conditions[?(@.type==\"Exceeded\")].reason","description":"Whether the project's namespaces were given more than this"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
pub struct ProjectQuotaSpec {
    /// The most, by what is counted. What is not named has no bound.
    #[serde(default, deserialize_with = "amounts")]
    #[schemars(schema_with = "amounts_schema")]
    pub hard: Amounts,
}

/// What was given to namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectQuotaStatus {
    /// The bounds that `used` was last measured by.
    #[serde(default, deserialize_with = "amounts")]
    #[schemars(schema_with = "amounts_schema")]
    pub hard: Amounts,
    /// The sum over the quotas of the project's namespaces.
    #[serde(default, deserialize_with = "amounts")]
    #[schemars(schema_with = "amounts_schema")]
    pub used: Amounts,
    /// Room that was promised to writes of which it is not known yet what became of them. `used` has it in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub reservations: Vec<QuotaReservation>,
    /// Exceeded: more was given than is allowed now. Unbounded: some namespace is not bounded in all that the project is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Room that a write was promised. It ends when the write is seen, or can no longer come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuotaReservation {
    /// Where the write is.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// The ResourceQuota that is written; none for the namespace itself, which is put into the project.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub name: String,
    /// Whether the write puts the namespace into the project, and this ResourceQuota comes with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joining: bool,
    /// The ResourceQuota's UID, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub uid: Option<String>,
    /// The version of the ResourceQuota that is changed; none for one that is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub resource_version: Option<String>,
    /// How much it is to have.
    #[serde(default, deserialize_with = "amounts")]
    #[schemars(schema_with = "amounts_schema")]
    pub hard: Amounts,
    /// When the write can no longer come.
    pub until: Time,
}
