//! `resource.alauda.io/v1`: how much more than they ask for the containers of a namespace may use.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// By what limits are divided to give requests, for new Pods of the namespace. The name is free; of several in a namespace
/// the first by name counts. The one named `cluster` in `cpaas-system` is the cluster's ratio.
#[derive(CustomResource, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "resource.alauda.io",
    version = "v1",
    kind = "NamespaceResourceRatio",
    namespaced,
    status = "NamespaceResourceRatioStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn = r#"{"name":"CPU","type":"integer","jsonPath":".spec.cpu","description":"Limit by request of CPU; nothing for the cluster's ratio, 0 for none"}"#,
    printcolumn = r#"{"name":"Memory","type":"integer","jsonPath":".spec.memory","description":"Limit by request of memory; nothing for the cluster's ratio, 0 for none"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
pub struct NamespaceResourceRatioSpec {
    /// Of CPU. Absent: the cluster's ratio; 0: requests are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub cpu: Option<i32>,
    /// Of memory. Absent: the cluster's ratio; 0: requests are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub memory: Option<i32>,
}

/// What the namespace would inherit, as the cluster's agent knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceResourceRatioStatus {
    /// The cluster's ratio of CPU.
    #[serde(default, rename = "clusterCPU", skip_serializing_if = "Option::is_none")]
    pub cluster_cpu: Option<i32>,
    /// The cluster's ratio of memory.
    #[serde(default, rename = "clusterMemory", skip_serializing_if = "Option::is_none")]
    pub cluster_memory: Option<i32>,
}
