//! What the platform has put into a member, so that it can be taken out again; and who may do that there.
//!
//! The last of it is what the hub acts by, its agent among it: with either gone, nothing more can be taken away. So all of
//! that is made to belong to one role first. Deleting that role is the last request, and the member's own garbage
//! collector does the rest, also if the hub is gone by then.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::manifest::{EGRESS, RBAC, binding, member_objects, role, user};
use crate::{ADMINS_BINDING, FLEET_USER, INVENTORY_USER, NAMESPACE};

/// As whom the hub takes things out of a member. The role of that name owns what goes last.
pub const REMOVAL_USER: &str = "acp:hub:removal";

/// Roles that the agent needs to have the cluster ask it.
pub(crate) const ENFORCING: &str = "acp:agent:quota";

/// By which the cluster asks its agent, which puts them there. While they are and the agent is not, writes are refused.
const WEBHOOKS: [(&str, &str); 2] = [
    ("ValidatingWebhookConfiguration", "cpaas-project-quota"),
    ("MutatingWebhookConfiguration", "cpaas-resource-ratio"),
];

/// Objects that another part of the hub has put into members, in the order in which they go. Where one has labels, what
/// lacks them is somebody else's; where it has no name, it stands for all that carry them.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// The user of the hub's who may delete them.
    pub user: &'static str,
    /// Kinds, with a name, labels or both.
    pub objects: Vec<Value>,
}

/// An object, or all of a kind that carry some labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) resource: ApiResource,
    pub(crate) namespace: Option<String>,
    pub(crate) which: Which,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Named(String),
    /// What has these labels, as a selector; of that name, if one is given.
    Labelled {
        labels: String,
        name: Option<String>,
    },
}

impl Trace {
    pub(crate) fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (version, kind) = (text(&object["apiVersion"]).unwrap_or_default(), text(&object["kind"]));
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let kind = GroupVersionKind::gvk(group, version, &kind.unwrap_or_default());
        let metadata = &object["metadata"];
        let labels = metadata["labels"].as_object().into_iter().flatten();
        let labels: Vec<_> =
            labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
        let which = match text(&metadata["name"]) {
            Some(name) if labels.is_empty() => Which::Named(name),
            name => Which::Labelled { labels: labels.join(","), name },
        };
        Self { resource: ApiResource::from_gvk(&kind), namespace: text(&metadata["namespace"]), which }
    }

    fn named(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self::of(&json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace},
        }))
    }

    /// As people say it, and kubectl takes it.
    pub(crate) fn said(&self) -> String {
        let kind = self.resource.kind.to_ascii_lowercase();
        match (&self.which, &self.namespace) {
            (Which::Named(name), Some(namespace)) => format!("{kind}/{name} in {namespace}"),
            (Which::Named(name), None) => format!("{kind}/{name}"),
            (Which::Labelled { name: Some(name), .. }, _) => format!("{kind}/{name}"),
            (Which::Labelled { labels, name: None }, _) => format!("{kind} with {labels}"),
        }
    }
}

/// What keeps the cluster asking.
pub(crate) fn webhooks() -> Vec<Trace> {
    let asking = Trace::named("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", None, ENFORCING);
    let configurations = WEBHOOKS.map(|(kind, name)| Trace::named("admissionregistration.k8s.io/v1", kind, None, name));
    // An agent that may not puts none of them back.
    std::iter::once(asking).chain(configurations).collect()
}

/// That the platform's administrators are the cluster's.
pub(crate) fn admins() -> Trace {
    Trace::named("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", None, ADMINS_BINDING)
}

/// Beside the roles: what came with the agent's manifest, and what it keeps.
const OF_AGENT: [(&str, &str, &str); 8] = [
    ("rbac.authorization.k8s.io/v1", "Role", REMOVAL_USER),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", REMOVAL_USER),
    ("v1", "Service", "acp-agent"),
    ("apps/v1", "Deployment", "acp-agent"),
    ("v1", "Secret", "acp-agent-registration"),
    ("v1", "Secret", "acp-agent-credential"),
    ("v1", "Secret", "acp-agent-admission"),
    ("v1", "Secret", EGRESS),
];

/// What goes last where an agent is: all but the namespace, which may hold what is others'. `rights` are those of other parts
/// of the hub.
pub(crate) fn of_agent(rights: &[Value]) -> Vec<Trace> {
    let objects = member_objects();
    let objects = objects.iter().chain(rights).filter(|object| object["kind"] != "Namespace");
    let bound = Trace::named("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", None, REMOVAL_USER);
    let kept = OF_AGENT.map(|(version, kind, name)| Trace::named(version, kind, Some(NAMESPACE), name));
    objects.map(Trace::of).chain([bound]).chain(kept).collect()
}

/// What goes last where the hub dials: its roles, which its own credential has laid.
pub(crate) fn of_import(rights: &[Value]) -> Vec<Trace> {
    let ours = member_objects()
        .into_iter()
        .filter(|object| [FLEET_USER, INVENTORY_USER].iter().any(|name| object["metadata"]["name"] == *name));
    let objects: Vec<Value> = ours.chain(rights.iter().cloned()).collect();
    // Bindings go before the roles that they bind.
    objects.iter().rev().map(Trace::of).collect()
}

/// The owner of what goes last.
pub(crate) fn root() -> Trace {
    Trace::named("rbac.authorization.k8s.io/v1", "ClusterRole", None, REMOVAL_USER)
}

/// The right to take the platform out of a member: by name, and nothing else of it. `rights` are those of other parts of
/// the hub there.
pub fn removal_objects(rights: &[Value]) -> [Value; 4] {
    let rbac = "rbac.authorization.k8s.io/v1";
    let metadata = json!({"name": REMOVAL_USER, "namespace": NAMESPACE});
    // Who changes the owner of something has to be allowed to delete it, where that is looked at.
    let mut owned = of_agent(rights);
    owned.push(root());
    let mut deleted = webhooks();
    deleted.push(admins());
    let rules = |is_namespaced: bool| {
        let mut rules = rules(&owned, is_namespaced, &["patch", "delete"]);
        rules.extend(self::rules(&deleted, is_namespaced, &["delete"]));
        Value::Array(rules)
    };
    [
        role(REMOVAL_USER, rules(false)),
        binding(REMOVAL_USER, user(REMOVAL_USER)),
        json!({"apiVersion": rbac, "kind": "Role", "metadata": metadata, "rules": rules(true)}),
        json!({
            "apiVersion": rbac, "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": REMOVAL_USER}, "subjects": [user(REMOVAL_USER)],
        }),
    ]
}

fn rules(traces: &[Trace], is_namespaced: bool, verbs: &[&str]) -> Vec<Value> {
    let mut names: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for Trace { resource, namespace, which } in traces {
        if let Which::Named(name) = which
            && namespace.is_some() == is_namespaced
        {
            names.entry((&resource.group, &resource.plural)).or_default().insert(name);
        }
    }
    let rule = |((group, plural), names): (&(&str, &str), &BTreeSet<&str>)| json!({"apiGroups": [group], "resources": [plural], "resourceNames": names, "verbs": verbs});
    names.iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other() -> Vec<Value> {
        vec![role("acp:hub:other", json!([])), binding("acp:hub:other", user("acp:hub:other"))]
    }

    #[test]
    fn nothing_is_allowed_but_by_name() {
        for object in removal_objects(&other()) {
            for rule in object["rules"].as_array().into_iter().flatten() {
                let verbs = rule["verbs"].as_array().unwrap();
                assert!(verbs.iter().all(|verb| ["patch", "delete"].contains(&verb.as_str().unwrap())), "{rule}");
                assert!(rule["resourceNames"].as_array().is_some_and(|names| !names.is_empty()), "{rule}");
            }
        }
    }

    #[test]
    fn the_last_to_go_do_not_own_themselves() {
        let traces = of_agent(&other());
        assert!(!traces.contains(&root()) && traces.iter().all(|trace| trace.resource.kind != "Namespace"));
        for wanted in ["deployment/acp-agent in cpaas-system", "clusterrole/acp:hub:other", "clusterrole/acp:agent"] {
            assert!(traces.iter().any(|trace| trace.said() == wanted), "{wanted}");
        }
        // Bindings before the roles that they bind.
        let said: Vec<String> = of_import(&other()).iter().map(Trace::said).collect();
        assert_eq!(said[..2], ["clusterrolebinding/acp:hub:other", "clusterrole/acp:hub:other"]);
        assert_eq!(said.len(), 6);
    }
}
