//! `auth.alauda.io/v1`: who holds which role, and where.
//!
//! A binding says it in its spec, or as before in labels; the spec counts when it says anything. It never changes: another
//! right is another binding, so none is ever changed half-way.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a binding gives, to whom, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BindingSpec {
    /// Who is given the role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub subjects: Vec<Subject>,
    /// The name of a RoleTemplate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub role_ref: Option<String>,
    /// The level of that template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Level>,
    /// Where the role is given. Of level cluster: clusters. Of level project: projects, each in all its clusters or in the
    /// one named. Of level namespace: namespaces, each with its cluster and its project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub constraint: Vec<Constraint>,
}

impl BindingSpec {
    /// Whether it says nothing, so that labels say it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A user, or everybody of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// `User` or `Group`.
    pub kind: SubjectKind,
    /// The user's e-mail in lower case, or the group's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// A person.
    User,
    /// People.
    Group,
}

impl SubjectKind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }
}

/// At which level a role is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// In every cluster.
    Platform,
    /// In clusters.
    Cluster,
    /// In projects.
    Project,
    /// In namespaces.
    Namespace,
}

impl Level {
    /// From the widest down.
    pub const ALL: [Self; 4] = [Self::Platform, Self::Cluster, Self::Project, Self::Namespace];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Cluster => "cluster",
            Self::Project => "project",
            Self::Namespace => "namespace",
        }
    }

    /// The level that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }
}

/// One place where a role is given. An empty text says as little as an absent one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Constraint {
    /// A project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub project: Option<String>,
    /// A cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub cluster: Option<String>,
    /// A namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
}

/// A role that users or groups hold.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "auth.alauda.io",
    version = "v1",
    kind = "UserBinding",
    status = "BindingStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Kind","type":"string","jsonPath":".spec.subjects[0].kind"}"#,
    printcolumn = r#"{"name":"Name","type":"string","jsonPath":".spec.subjects[0].name"}"#,
    printcolumn = r#"{"name":"Scope","type":"string","jsonPath":".spec.scope"}"#,
    printcolumn = r#"{"name":"Role","type":"string","jsonPath":".spec.roleRef"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct UserBindingSpec(pub BindingSpec);

/// A role that groups hold.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "auth.alauda.io",
    version = "v1",
    kind = "GroupBinding",
    status = "BindingStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Kind","type":"string","jsonPath":".spec.subjects[0].kind"}"#,
    printcolumn = r#"{"name":"Name","type":"string","jsonPath":".spec.subjects[0].name"}"#,
    printcolumn = r#"{"name":"Scope","type":"string","jsonPath":".spec.scope"}"#,
    printcolumn = r#"{"name":"Role","type":"string","jsonPath":".spec.roleRef"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct GroupBindingSpec(pub BindingSpec);

/// How far a binding is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BindingStatus {
    /// In one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BindingPhase>,
    /// Valid: it says something that can be given. Synced: it is given wherever it says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<BindingCondition>,
    /// Where it is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub synced_clusters: Vec<String>,
    /// Where it is not, and should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_clusters: Vec<String>,
    /// How many native bindings it is, over all clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bindings_created: Option<BindingsCreated>,
    /// What failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_details: Option<FailureDetails>,
    /// How often it was tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<i32>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry_time: Option<Time>,
    /// When it was last given everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reconcile_time: Option<Time>,
    /// Kept for those who read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_spec_hash: Option<String>,
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// How far a binding is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BindingPhase {
    /// Not everywhere yet, and nothing has failed.
    Pending,
    /// Given wherever it says so.
    Synced,
    /// Somewhere it is not given, and it is tried again.
    Failed,
    /// It says nothing that can be given.
    Invalid,
    /// Being taken away.
    Terminating,
}

/// One thing that is said of a binding. No field is required, as published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BindingCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when the status is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// How many native bindings a binding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BindingsCreated {
    /// For whole clusters.
    pub cluster_role_bindings: i32,
    /// In namespaces.
    pub role_bindings: i32,
}

/// What failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureDetails {
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<Time>,
    /// Which objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub affected_items: Vec<AffectedItem>,
}

/// An object that could not be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AffectedItem {
    /// Its kind.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the cluster said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
