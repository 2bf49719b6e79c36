//! The one-request discovery document (`apidiscovery.k8s.io/v2`, KEP-3352).

use std::sync::Arc;

use api_meta::{Value, json};
use apiserver_model::ResourceInfo;

use crate::{Group, other_version, verbs};

pub const CONTENT_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/api` for the core group, `/apis` for all others.
pub fn group_discovery_list(groups: &[Group], core: bool) -> Value {
    let items: Vec<Value> = groups.iter().filter(|g| g.name.is_empty() == core).map(group).collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn group(group: &Group) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|(version, resources)| {
            let resources: Vec<Value> = resources.iter().map(resource).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": group.name}) };
    json!({"metadata": metadata, "versions": versions})
}

/// Types of the resource's own version are named by kind alone for built-in groups, in full for custom ones.
fn kind(info: &ResourceInfo, kind: &api_meta::GroupVersionKind) -> Value {
    let custom =
        info.storage_prefix.contains(&*info.group) && info.group.contains('.') && !info.group.ends_with(".k8s.io");
    let (group, version) = match other_version(info, kind) {
        None if !custom => ("", ""),
        _ => (&*kind.group, &*kind.version),
    };
    json!({"group": group, "version": version, "kind": kind.kind})
}

fn resource(info: &Arc<ResourceInfo>) -> Value {
    let mut entry = json!({
        "resource": info.plural,
        "responseKind": kind(info, &info.group_version_kind()),
        "scope": if info.namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": info.singular,
        "verbs": verbs(&info.verbs),
    });
    if !info.short_names.is_empty() {
        entry["shortNames"] = json!(info.short_names);
    }
    if !info.categories.is_empty() {
        entry["categories"] = json!(info.categories);
    }
    if !info.subresources.is_empty() {
        let mut subresources: Vec<Value> = info
            .subresources
            .iter()
            .map(|sub| {
                json!({
                    "subresource": sub.name, "responseKind": kind(info, &sub.kind), "verbs": verbs(&sub.verbs),
                })
            })
            .collect();
        subresources.sort_by(|a, b| a["subresource"].as_str().cmp(&b["subresource"].as_str()));
        entry["subresources"] = subresources.into();
    }
    entry
}
