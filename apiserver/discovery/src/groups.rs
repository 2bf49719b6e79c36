//! Groups and their versions, most preferred first.

use std::cmp::Ordering;
use std::sync::Arc;

use apiserver_model::ResourceInfo;

/// One API group and what it serves.
pub struct Group {
    pub name: String,
    /// Most preferred first.
    pub versions: Vec<(String, Vec<Arc<ResourceInfo>>)>,
}

/// Upstream's order of the built-in groups (their `APIService` priorities); others follow by name.
const ORDER: [&str; 21] = [
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// All groups with their versions and resources, resources by name.
pub fn groups(resources: &[Arc<ResourceInfo>]) -> Vec<Group> {
    let mut names: Vec<&str> = resources.iter().map(|r| &*r.group).collect();
    let rank = |name: &str| ORDER.iter().position(|o| *o == name).unwrap_or(ORDER.len());
    names.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
    names.dedup();
    names.into_iter().map(|name| group(name, resources)).collect()
}

fn group(name: &str, resources: &[Arc<ResourceInfo>]) -> Group {
    let members: Vec<_> = resources.iter().filter(|r| r.group == name).collect();
    let mut versions: Vec<&str> = members.iter().map(|r| &*r.version).collect();
    versions.sort_by(|a, b| by_preference(a, b));
    versions.dedup();
    let of = |version: &str| {
        let mut list: Vec<_> = members.iter().filter(|r| r.version == version).map(|r| (*r).clone()).collect();
        list.sort_by(|a, b| a.plural.cmp(&b.plural));
        list
    };
    Group { name: name.to_owned(), versions: versions.into_iter().map(|v| (v.to_owned(), of(v))).collect() }
}

/// `v2`, `v1`, `v2beta1`, `v1beta2`, `v1alpha1`, then anything else by name (upstream: `CompareKubeAwareVersionStrings`).
fn by_preference(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Stability, major, minor.
fn parse(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    for (stage, rank) in [("beta", 1), ("alpha", 0)] {
        if let Some((major, minor)) = rest.split_once(stage) {
            return Some((rank, major.parse().ok()?, minor.parse().ok()?));
        }
    }
    Some((2, rest.parse().ok()?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_by_preference() {
        let mut versions = vec!["v1alpha1", "foo", "v1", "v2beta1", "v10", "v1beta2", "v2"];
        versions.sort_by(|a, b| by_preference(a, b));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo"]);
    }
}
