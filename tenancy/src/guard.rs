//! What RBAC cannot say: who may write what into an object.
//!
//! Which project a namespace belongs to is a label of it, and what bounds its Pods are labels as well. Whoever may update
//! a namespace may change all of them, as far as RBAC goes. So admission policies look at each change, and ask RBAC whether
//! the caller holds a fact: a right to a resource that does not exist. There is no second list of who may what.
//!
//! The policies stand in `guard/*.yaml`. Their rules fail closed. A cluster evaluates them itself, also when the hub is
//! away. Clusters below Kubernetes 1.30 do not know such policies: there the rights that they look after are not given,
//! see [`base_roles`](crate::roles::base_roles).

use api_types::PLATFORM_NAMESPACE;
use api_types::tenancy::MANAGED;
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::object::{Kind, Object};

/// The hub's identity for all of this, in members and on the hub. The policies know it by name.
pub const TENANCY_USER: &str = "acp:hub:tenancy";

/// In every cluster.
const EVERYWHERE: [&str; 3] = [
    include_str!("../guard/namespaces.yaml"),
    include_str!("../guard/managed.yaml"),
    include_str!("../guard/identity.yaml"),
];

/// On the hub besides, for the kinds that are only there.
const HUB: [&str; 6] = [
    include_str!("../guard/clusters.yaml"),
    include_str!("../guard/projects.yaml"),
    include_str!("../guard/bindings.yaml"),
    include_str!("../guard/escalation.yaml"),
    include_str!("../guard/people.yaml"),
    include_str!("../guard/roletemplates.yaml"),
];

const IDENTITY: &str = include_str!("../roles/identity.yaml");
const RBAC: &str = "rbac.authorization.k8s.io";

/// The policies that a cluster is to have, and their bindings.
pub fn policies(is_hub: bool) -> Vec<Object> {
    let hub = if is_hub { &HUB[..] } else { &[] };
    EVERYWHERE.iter().chain(hub).flat_map(|text| policy(text)).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    everywhere: Vec<PolicyRule>,
    hub: Vec<PolicyRule>,
}

/// The role of [`TENANCY_USER`] and its binding, for whoever prepares a cluster. They carry no label of the platform's:
/// that identity does not write its own rights.
pub fn identity(is_hub: bool) -> [Value; 2] {
    let Identity { everywhere, hub } = serde_saphyr::from_str(IDENTITY).expect("the file is checked by a test");
    let rules: Vec<_> = everywhere.into_iter().chain(if is_hub { hub } else { Vec::new() }).collect();
    let object =
        |kind: &str| json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": {"name": TENANCY_USER}});
    let (mut role, mut binding) = (object("ClusterRole"), object("ClusterRoleBinding"));
    role["rules"] = json!(rules);
    binding["roleRef"] = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": TENANCY_USER});
    binding["subjects"] = json!([{"apiGroup": RBAC, "kind": "User", "name": TENANCY_USER}]);
    [role, binding]
}

/// What all of this leaves in a member, in the order in which it may go: with a name, or all of a kind with these labels.
/// Bindings go before the roles that they bind, and all of it before what looks after it. Namespaces stay, and with them
/// what people run in them; so do the definitions of kinds that people may have used.
pub fn traces() -> Vec<Value> {
    let managed = json!({MANAGED: "true"});
    let of = |kind: Kind, metadata: Value| {
        let (version, kind, _) = kind.names();
        json!({"apiVersion": version, "kind": kind, "metadata": metadata})
    };
    let labelled = [Kind::ClusterRoleBinding, Kind::RoleBinding, Kind::ClusterRole, Kind::ProjectQuota];
    let mut traces: Vec<Value> = labelled.into_iter().map(|kind| of(kind, json!({"labels": managed}))).collect();
    let ratio = json!({"name": "cluster", "namespace": PLATFORM_NAMESPACE, "labels": managed});
    traces.push(of(Kind::Ratio, ratio));
    // What binds a policy goes before it.
    let guards = policies(false);
    traces.extend(
        guards.iter().rev().map(|object| of(object.key().kind, json!({"name": object.key().name, "labels": managed}))),
    );
    traces
}

/// Whether a cluster of this version evaluates them; `v1.30.4`, `v1.31.0+k3s1`.
pub fn is_guarded(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split(['.', '+', '-']);
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
    matches!((number(), number()), (Some(major), Some(minor)) if (major, minor) >= (1, 30))
}

fn policy(text: &str) -> [Object; 2] {
    let policy: Value = serde_saphyr::from_str(text).expect("the files are checked by a test");
    let name = policy["metadata"]["name"].as_str().unwrap_or_default();
    let bound = json!({"policyName": name, "validationActions": ["Deny"]});
    [
        Object::new(Kind::Policy, name).with("spec", policy["spec"].clone()),
        Object::new(Kind::PolicyBinding, name).with("spec", bound),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_refuses_when_it_cannot_be_evaluated() {
        let policies: Vec<_> = policies(true).into_iter().filter(|object| object.key().kind == Kind::Policy).collect();
        assert_eq!(policies.len(), 9);
        for policy in policies {
            assert_eq!(policy.body()["spec"]["failurePolicy"], "Fail", "{}", policy.key());
            assert!(policy.key().name.starts_with("cpaas-"), "{}", policy.key());
            let validations = policy.body()["spec"]["validations"].as_array().unwrap();
            assert!(validations.iter().all(|rule| rule["message"].is_string() && rule["reason"].is_string()));
        }
        assert_eq!(super::policies(false).len(), 6);
    }

    #[test]
    fn policies_are_known_from_1_30() {
        for version in ["v1.30.0", "1.31", "v1.34.2+k3s1", "v2.0.0", "v1.30.0-rc.1"] {
            assert!(is_guarded(version), "{version}");
        }
        for version in ["v1.29.9", "v1.3.0", "", "v1", "v1.x", "1.30x"] {
            assert!(!is_guarded(version), "{version}");
        }
    }
}
