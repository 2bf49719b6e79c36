//! Which labels a node may give itself. With others it could draw to itself what it should not run.

use std::collections::BTreeSet;

use api_meta::{Map, Value};

const OWN: [&str; 12] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "node.kubernetes.io/windows-build",
];

const OWN_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

pub(super) fn modified_labels<'a>(
    new: Option<&'a Map<String, Value>>,
    old: Option<&'a Map<String, Value>>,
) -> BTreeSet<&'a str> {
    let differs = |key: &str| new.and_then(|labels| labels.get(key)) != old.and_then(|labels| labels.get(key));
    let keys = [new, old].into_iter().flatten().flat_map(|labels| labels.keys());
    keys.map(String::as_str).filter(|key| differs(key)).collect()
}

pub(super) fn forbidden_labels<'a>(modified: &BTreeSet<&'a str>) -> Vec<&'a str> {
    modified.iter().copied().filter(|key| is_forbidden(key)).collect()
}

fn is_of(domain: &str, parent: &str) -> bool {
    domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

fn is_forbidden(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let restricted = is_of(domain, "node-restriction.kubernetes.io");
    let kubernetes = is_of(domain, "kubernetes.io") || is_of(domain, "k8s.io");
    let own = OWN.contains(&key) || OWN_DOMAINS.iter().any(|own| is_of(domain, own));
    restricted || (kubernetes && !own)
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(key: &str, expect: bool) {
        assert_eq!(is_forbidden(key), expect, "{key}");
    }

    #[test]
    fn own_labels_and_those_of_others() {
        check("kubernetes.io/hostname", false);
        check("node.kubernetes.io/anything", false);
        check("example.com/rack", false);
        check("rack", false);
        check("node-role.kubernetes.io/control-plane", true);
        check("node-restriction.kubernetes.io/x", true);
        check("team.node-restriction.kubernetes.io/x", true);
        check("foo.k8s.io/x", true);
        check("notkubernetes.io/x", false);
    }

    #[test]
    fn modified_are_those_that_differ() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let (new, old) = (map(json!({"a": "1", "b": "2"})), map(json!({"a": "1", "b": "3", "c": "4"})));
        assert_eq!(modified_labels(Some(&new), Some(&old)).into_iter().collect::<Vec<_>>(), ["b", "c"]);
    }
}
