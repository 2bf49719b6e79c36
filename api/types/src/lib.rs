//! The platform's own kinds.
//!
//! Each kind is a Rust type; its CustomResourceDefinition is generated from it. One module per group and version.

pub mod auth;
pub mod cluster;
pub mod dex;
pub mod support;
pub mod tenancy;

pub use cluster::{Cluster, ClusterSpec, ClusterStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The namespace of the platform's objects, on the hub and in members.
pub const PLATFORM_NAMESPACE: &str = "cpaas-system";

/// The group of those who run the platform: administrators of every cluster.
pub const PLATFORM_ADMINS: &str = "cpaas:platform-admins";

/// The definitions of all kinds.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        cluster::definition(cluster::Cluster::crd()),
        auth::User::crd(),
        auth::Group::crd(),
        auth::DisableUser::crd(),
        auth::DisableToken::crd(),
        auth::AccessTokenInfo::crd(),
        auth::SecurityPolicy::crd(),
    ];
    crds.extend(dex::definitions());
    crds.extend(tenancy::definitions());
    crds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_show_what_people_look_for() {
        let crds = crds();
        assert_eq!(crds[0].metadata.name.as_deref(), Some("clusters.cluster.x-k8s.io"));
        let version = &crds[0].spec.versions[0];
        let columns: Vec<_> =
            version.additional_printer_columns.iter().flatten().map(|column| column.name.as_str()).collect();
        assert_eq!(columns, ["READY", "VERSION", "NODES", "HEARTBEAT", "CONNECTION", "AGE"]);
        assert!(version.subresources.as_ref().unwrap().status.is_some());
    }

    #[test]
    fn foreign_fields_of_a_cluster_stay() {
        let schema = serde_json::to_value(&crds()[0].spec.versions[0].schema).unwrap();
        let properties = &schema["openAPIV3Schema"]["properties"];
        assert_eq!(properties["spec"]["x-kubernetes-preserve-unknown-fields"], true);
        assert_eq!(properties["status"]["properties"]["conditions"]["x-kubernetes-list-map-keys"][0], "type");
    }
}
