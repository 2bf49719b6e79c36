//! `/api`, `/apis`, `/apis/<group>`, `/apis/<group>/<version>`: one document for each step.

use std::sync::Arc;

use api_meta::{Value, json};
use apiserver_model::ResourceInfo;

use crate::{Group, is_stored, other_version, storage_version_hash, verbs};

/// `/api`; `address` is where clients reach this server.
pub fn api_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis`
pub fn group_list(groups: &[Group]) -> Value {
    let groups: Vec<Value> = groups.iter().filter(|g| !g.name.is_empty()).map(summary).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`
pub fn group(group: &Group) -> Value {
    let mut value = summary(group);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    value
}

fn summary(group: &Group) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|(version, _)| json!({"groupVersion": format!("{}/{version}", group.name), "version": version}))
        .collect();
    json!({"name": group.name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/api/v1`, `/apis/<group>/<version>`
pub fn resource_list(group_version: &str, resources: &[Arc<ResourceInfo>]) -> Value {
    let mut sorted: Vec<_> = resources.iter().collect();
    sorted.sort_by(|a, b| a.plural.cmp(&b.plural));
    let entries: Vec<Value> = sorted.into_iter().flat_map(|info| entries(info)).collect();
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": entries});
    // Upstream leaves the version out for the core group.
    if group_version != "v1" {
        list["apiVersion"] = "v1".into();
    }
    list
}

fn entries(info: &ResourceInfo) -> Vec<Value> {
    let mut main = json!({
        "name": info.plural, "singularName": info.singular, "namespaced": info.namespaced(), "kind": info.kind,
        "verbs": verbs(&info.verbs),
    });
    if !info.short_names.is_empty() {
        main["shortNames"] = json!(info.short_names);
    }
    if !info.categories.is_empty() {
        main["categories"] = json!(info.categories);
    }
    if is_stored(info) {
        main["storageVersionHash"] = storage_version_hash(info).into();
    }
    let subresources = info.subresources.iter().map(|sub| {
        let mut entry = json!({
            "name": format!("{}/{}", info.plural, sub.name), "singularName": "", "namespaced": info.namespaced(),
            "kind": sub.kind.kind, "verbs": verbs(&sub.verbs),
        });
        if let Some((group, version)) = other_version(info, &sub.kind) {
            entry["group"] = group.into();
            entry["version"] = version.into();
        }
        entry
    });
    std::iter::once(main).chain(subresources).collect()
}
