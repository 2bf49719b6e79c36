//! `auth.alauda.io/v1beta1`: roles as the platform gives them.

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A role that can be bound. Its label [`TEMPLATE_LEVEL`](super::TEMPLATE_LEVEL) says at which level.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "auth.alauda.io",
    version = "v1beta1",
    kind = "RoleTemplate",
    status = "RoleTemplateStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Display","type":"string","jsonPath":".metadata.annotations.cpaas\\.io/display-name","description":"The name that people see"}"#,
    printcolumn = r#"{"name":"Level","type":"string","jsonPath":".metadata.labels.auth\\.cpaas\\.io/roletemplate\\.level","description":"platform, cluster, project or namespace"}"#,
    printcolumn = r#"{"name":"Official","type":"string","jsonPath":".metadata.labels.auth\\.cpaas\\.io/roletemplate\\.official","description":"Whether it came with the platform"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct RoleTemplateSpec {
    /// Rights by the name of a product's function. Such functions do not exist here, so a template with any fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub rules: Vec<FunctionRule>,
    /// Rights that ClusterRoles lend, by their labels and by where they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub aggregation_rules: Vec<AggregationRule>,
    /// Rights of its own, where the level mainly is: in the whole cluster, or in the namespaces of the project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "policy_rules_schema")]
    pub custom_rules: Vec<PolicyRule>,
}

/// Rights by the name of a product's function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionRule {
    /// The name of a FunctionResource.
    pub function_resource_ref: String,
    /// What may be done.
    #[serde(default)]
    pub verbs: Vec<String>,
}

/// Rights that ClusterRoles lend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AggregationRule {
    /// Where they hold.
    pub scope: RoleScope,
    /// Which ClusterRoles: those that any of these selects.
    #[serde(default)]
    #[schemars(schema_with = "selectors_schema")]
    pub cluster_role_selectors: Vec<LabelSelector>,
}

/// Where rights of a role hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoleScope {
    /// In the whole cluster.
    Cluster,
    /// In the project's own namespace.
    ProjectNs,
    /// In the namespaces that people work in.
    BusinessNs,
    /// In the platform's namespace.
    SystemNs,
    /// In `kube-public`.
    KubePublic,
}

impl RoleScope {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Cluster, Self::ProjectNs, Self::BusinessNs, Self::SystemNs, Self::KubePublic];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::ProjectNs => "project-ns",
            Self::BusinessNs => "business-ns",
            Self::SystemNs => "system-ns",
            Self::KubePublic => "kube-public",
        }
    }
}

/// What became of a template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleTemplateStatus {
    /// `Synced`, `Pending` or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Valid: its rights can be given. Synced: its ClusterRoles are in every cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The ClusterRoles that follow from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_roles: Vec<String>,
    /// Where they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub synced_clusters: Vec<String>,
    /// Where they are not, and should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_clusters: Vec<String>,
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// RBAC's rules, with bounds: validation rules that walk over them have a known cost.
fn policy_rules_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let texts =
        schemars::json_schema!({"type": "array", "maxItems": 128, "items": {"type": "string", "maxLength": 253}});
    schemars::json_schema!({
        "type": "array",
        "maxItems": 256,
        "items": {
            "type": "object",
            "required": ["verbs"],
            "properties": {
                "verbs": texts, "apiGroups": texts, "resources": texts, "resourceNames": texts, "nonResourceURLs": texts,
            },
        },
    })
}

/// Label selectors, with bounds.
fn selectors_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": {
            "type": "object",
            "properties": {
                "matchLabels": {
                    "type": "object", "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 63},
                },
                "matchExpressions": {
                    "type": "array",
                    "maxItems": 16,
                    "items": {
                        "type": "object",
                        "required": ["key", "operator"],
                        "properties": {
                            "key": {"type": "string", "maxLength": 317},
                            "operator": {"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                            "values": {"type": "array", "maxItems": 64, "items": {"type": "string", "maxLength": 63}},
                        },
                    },
                },
            },
        },
    })
}
