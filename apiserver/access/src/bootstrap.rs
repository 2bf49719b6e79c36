//! The roles and bindings that every cluster starts with (upstream: `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`).
//!
//! They are facts, and stand in `bootstrap/policy.json`: those that a kube-apiserver 1.34 with the authorisers Node and
//! RBAC makes on an empty store, in its order, short of what all of them share.

mod reconcile;

use api_meta::{Object, Value, json};
use serde::Deserialize;

pub use reconcile::{Reconciled, reconciled};

const POLICY: &str = include_str!("bootstrap/policy.json");
const GROUP: &str = "rbac.authorization.k8s.io";

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Role(Role),
    Binding(Binding),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    #[serde(rename = "role")]
    name: String,
    /// Of the whole cluster, if empty.
    #[serde(default)]
    namespace: String,
    /// The role that takes in this one's rules.
    aggregate_to: Option<String>,
    /// Its rules are those of the roles that aggregate to this name.
    aggregated_from: Option<String>,
    rules: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Binding {
    #[serde(rename = "binding")]
    name: String,
    #[serde(default)]
    namespace: String,
    /// A role of the same namespace, or of the cluster.
    to: String,
    /// `Group NAME`, `User NAME` or `ServiceAccount NAMESPACE/NAME`.
    subjects: Vec<String>,
}

/// What must be there before the first request.
pub fn bootstrap_policy() -> Vec<Object> {
    let entries: Vec<Entry> = serde_json::from_str(POLICY).expect("a test reads the same text");
    let objects = entries.into_iter().map(|entry| match entry {
        Entry::Role(role) => role.object(),
        Entry::Binding(binding) => binding.object(),
    });
    objects.filter_map(|object| Object::try_from(object).ok()).collect()
}

impl Role {
    fn object(self) -> Value {
        let kind = if self.namespace.is_empty() { "ClusterRole" } else { "Role" };
        let mut role = shared(kind, &self.name, &self.namespace);
        if let Some(to) = self.aggregate_to {
            role["metadata"]["labels"][aggregate_to(&to)] = "true".into();
        }
        if let Some(from) = self.aggregated_from {
            role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {aggregate_to(&from): "true"}}]});
        }
        role["rules"] = if self.rules.is_empty() { Value::Null } else { self.rules.into() };
        role
    }
}

impl Binding {
    fn object(self) -> Value {
        let (kind, role) = match self.namespace.is_empty() {
            true => ("ClusterRoleBinding", "ClusterRole"),
            false => ("RoleBinding", "Role"),
        };
        let mut binding = shared(kind, &self.name, &self.namespace);
        binding["roleRef"] = json!({"apiGroup": GROUP, "kind": role, "name": self.to});
        if !self.subjects.is_empty() {
            binding["subjects"] = self.subjects.iter().map(|subject| self::subject(subject)).collect();
        }
        binding
    }
}

fn shared(kind: &str, name: &str, namespace: &str) -> Value {
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind,
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        },
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

fn subject(text: &str) -> Value {
    let (kind, name) = text.split_once(' ').unwrap_or((text, ""));
    match name.split_once('/') {
        Some((namespace, name)) => json!({"kind": kind, "name": name, "namespace": namespace}),
        None => json!({"apiGroup": GROUP, "kind": kind, "name": name}),
    }
}

fn aggregate_to(role: &str) -> String {
    format!("{GROUP}/aggregate-to-{role}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_binding_has_its_role() {
        let policy = bootstrap_policy();
        let entries: Vec<Value> = serde_json::from_str(POLICY).unwrap();
        assert_eq!(policy.len(), entries.len());
        let of = |kind: &'static str| policy.iter().filter(move |object| object.kind() == kind);
        for (binding, role) in [("ClusterRoleBinding", "ClusterRole"), ("RoleBinding", "Role")] {
            for binding in of(binding) {
                let name = binding.str_at(&["roleRef", "name"]).unwrap();
                assert!(of(role).any(|r| r.name() == name && r.namespace() == binding.namespace()), "{name}");
            }
        }
    }

    #[test]
    fn entries_are_spelled_out() {
        let policy = bootstrap_policy();
        let find = |kind: &str, name: &str| policy.iter().find(|o| o.kind() == kind && o.name() == name).unwrap();
        let edit = find("ClusterRole", "edit").to_value();
        assert_eq!(edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"], "true");
        let selected = &edit["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"];
        assert_eq!(selected, &json!({"rbac.authorization.k8s.io/aggregate-to-edit": "true"}));
        let subjects = |kind: &str, name: &str| find(kind, name).to_value()["subjects"].clone();
        assert_eq!(
            subjects("ClusterRoleBinding", "system:kube-dns"),
            json!([{"kind": "ServiceAccount", "name": "kube-dns", "namespace": "kube-system"}])
        );
        assert_eq!(
            subjects("ClusterRoleBinding", "system:kube-scheduler"),
            json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:kube-scheduler"}])
        );
        assert_eq!(subjects("ClusterRoleBinding", "system:node"), Value::Null);
        assert_eq!(find("Role", "extension-apiserver-authentication-reader").namespace(), "kube-system");
    }
}
