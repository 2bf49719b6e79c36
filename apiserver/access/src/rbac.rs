//! RBAC: rights from roles and bindings (upstream: `plugin/pkg/auth/authorizer/rbac`).
//!
//! The policy is compiled from its objects once and kept as long as their
//! version stays; a question is then a walk over the bindings of one namespace
//! and of the cluster.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use api_meta::{Object, Value};
use serde::Deserialize;

use crate::user::MASTERS;
use crate::{Attributes, Authorizer, Decision, PolicyRule, RulesReview, User};

/// Where roles and bindings come from.
pub trait PolicySource: Send + Sync + 'static {
    /// Changes whenever any of the objects does.
    fn version(&self) -> u64;
    /// All roles and bindings, of both scopes.
    fn objects(&self) -> Vec<Object>;
}

#[derive(Clone, Debug, Deserialize)]
struct Subject {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

impl Subject {
    fn is(&self, user: &User, binding_namespace: &str) -> bool {
        match &*self.kind {
            "User" => self.name == user.name,
            "Group" => user.is_in(&self.name),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { binding_namespace } else { &self.namespace };
                user.name
                    .strip_prefix("system:serviceaccount:")
                    .and_then(|rest| rest.split_once(':'))
                    .is_some_and(|(ns, name)| ns == namespace && name == self.name)
            }
            _ => false,
        }
    }
}

struct Binding {
    name: String,
    namespace: String,
    subjects: Vec<Subject>,
    role: RoleKey,
}

/// Kind, namespace (empty for cluster roles), name.
pub(crate) type RoleKey = (String, String, String);

#[derive(Default)]
struct Policy {
    version: u64,
    roles: HashMap<RoleKey, Vec<PolicyRule>>,
    cluster_bindings: Vec<Binding>,
    bindings: HashMap<String, Vec<Binding>>,
}

pub struct Rbac {
    source: Arc<dyn PolicySource>,
    compiled: RwLock<Option<Arc<Policy>>>,
}

impl Rbac {
    pub fn new(source: Arc<dyn PolicySource>) -> Self {
        Self { source, compiled: RwLock::default() }
    }

    fn policy(&self) -> Arc<Policy> {
        // The version is read first: objects may be newer than it, never older.
        let version = self.source.version();
        if let Some(policy) = &*self.compiled.read().unwrap_or_else(PoisonError::into_inner)
            && policy.version == version
        {
            return policy.clone();
        }
        let policy = Arc::new(compile(version, self.source.objects()));
        *self.compiled.write().unwrap_or_else(PoisonError::into_inner) = Some(policy.clone());
        policy
    }

    /// The rules of a role; `None` when there is no such role.
    pub(crate) fn role_rules(&self, key: &RoleKey) -> Option<Vec<PolicyRule>> {
        self.policy().roles.get(key).cloned()
    }

    /// All rules that hold for a user in a namespace (none: cluster-wide only).
    pub(crate) fn rules_for(&self, user: &User, namespace: &str) -> Vec<PolicyRule> {
        let mut rules = Vec::new();
        self.policy().visit(user, namespace, |_, rule| {
            rules.push(rule.clone());
            false
        });
        rules
    }
}

impl Policy {
    /// Calls `found` with each rule that holds for the user until it returns true.
    fn visit(&self, user: &User, namespace: &str, mut found: impl FnMut(&Binding, &PolicyRule) -> bool) -> bool {
        let local = self.bindings.get(namespace).filter(|_| !namespace.is_empty());
        for binding in self.cluster_bindings.iter().chain(local.into_iter().flatten()) {
            if !binding.subjects.iter().any(|s| s.is(user, &binding.namespace)) {
                continue;
            }
            for rule in self.roles.get(&binding.role).into_iter().flatten() {
                if found(binding, rule) {
                    return true;
                }
            }
        }
        false
    }
}

impl Policy {
    /// Roles that bindings give to the user and that do not exist, as errors.
    fn missing_roles(&self, user: &User, namespace: &str) -> String {
        let local = self.bindings.get(namespace).filter(|_| !namespace.is_empty());
        let bindings = self.cluster_bindings.iter().chain(local.into_iter().flatten());
        let missing = bindings
            .filter(|b| !self.roles.contains_key(&b.role) && b.subjects.iter().any(|s| s.is(user, &b.namespace)))
            .map(|b| format!("{}.rbac.authorization.k8s.io {:?} not found", b.role.0.to_lowercase(), b.role.2));
        match &missing.collect::<Vec<_>>()[..] {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        }
    }
}

fn compile(version: u64, objects: Vec<Object>) -> Policy {
    let mut policy = Policy { version, ..Policy::default() };
    for object in objects {
        let (kind, namespace, name) =
            (object.kind().to_owned(), object.namespace().to_owned(), object.name().to_owned());
        match &*kind {
            "Role" | "ClusterRole" => {
                policy.roles.insert((kind, namespace, name), rules_of(&object));
            }
            "RoleBinding" | "ClusterRoleBinding" => {
                let binding = binding(&object);
                if kind == "ClusterRoleBinding" {
                    policy.cluster_bindings.push(binding);
                } else {
                    policy.bindings.entry(namespace).or_default().push(binding);
                }
            }
            _ => {}
        }
    }
    policy
}

/// A rule that does not decode grants nothing.
pub(crate) fn rules_of(role: &Object) -> Vec<PolicyRule> {
    let rules = role.get("rules").and_then(Value::as_array);
    rules.into_iter().flatten().filter_map(|r| PolicyRule::deserialize(r).ok()).collect()
}

pub(crate) fn role_ref(binding: &Object) -> RoleKey {
    let kind = binding.str_at(&["roleRef", "kind"]).unwrap_or_default();
    let namespace = if kind == "Role" { binding.namespace() } else { "" };
    (kind.to_owned(), namespace.to_owned(), binding.str_at(&["roleRef", "name"]).unwrap_or_default().to_owned())
}

fn binding(object: &Object) -> Binding {
    let subjects = object.get("subjects").and_then(Value::as_array);
    Binding {
        name: object.name().to_owned(),
        namespace: object.namespace().to_owned(),
        subjects: subjects.into_iter().flatten().filter_map(|s| Subject::deserialize(s).ok()).collect(),
        role: role_ref(object),
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        if attributes.user.is_in(MASTERS) {
            return Decision::Allow { reason: String::new() };
        }
        let namespace = attributes.resource.as_ref().map_or("", |r| r.namespace.as_str());
        let mut reason = String::new();
        let policy = self.policy();
        let allowed = policy.visit(&attributes.user, namespace, |binding, rule| {
            if !rule.allows(attributes) {
                return false;
            }
            reason = reason_of(binding, &attributes.user);
            true
        });
        if allowed {
            return Decision::Allow { reason };
        }
        Decision::NoOpinion { reason: policy.missing_roles(&attributes.user, namespace) }
    }

    fn rules(&self, user: &User, namespace: &str) -> RulesReview {
        let rules = if user.is_in(MASTERS) {
            let all = |r: &mut PolicyRule| r.verbs = vec!["*".into()];
            let mut resources =
                PolicyRule { api_groups: vec!["*".into()], resources: vec!["*".into()], ..PolicyRule::default() };
            let mut urls = PolicyRule { non_resource_urls: vec!["*".into()], ..PolicyRule::default() };
            all(&mut resources);
            all(&mut urls);
            vec![resources, urls]
        } else {
            self.rules_for(user, namespace)
        };
        let (urls, resources) = rules.into_iter().partition(|r| !r.non_resource_urls.is_empty());
        RulesReview { resource_rules: resources, non_resource_rules: urls, incomplete: false }
    }
}

fn reason_of(binding: &Binding, user: &User) -> String {
    let kind = if binding.namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let place = if binding.namespace.is_empty() {
        binding.name.clone()
    } else {
        format!("{}/{}", binding.name, binding.namespace)
    };
    let (role_kind, _, role) = &binding.role;
    let subject = binding.subjects.iter().find(|s| s.is(user, &binding.namespace));
    let who = subject.map_or_else(String::new, |s| match &*s.kind {
        "ServiceAccount" => format!("ServiceAccount {:?}", format!("{}/{}", s.name, s.namespace)),
        kind => format!("{kind} {:?}", s.name),
    });
    format!("RBAC: allowed by {kind} {place:?} of {role_kind} {role:?} to {who}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_meta::json;

    use crate::ResourceAttributes;

    struct Fixed(Vec<Object>);

    impl PolicySource for Fixed {
        fn version(&self) -> u64 {
            1
        }

        fn objects(&self) -> Vec<Object> {
            self.0.clone()
        }
    }

    fn rbac() -> Rbac {
        let objects = [
            json!({"kind": "ClusterRole", "metadata": {"name": "view"},
                   "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]}),
            json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "a"},
                   "roleRef": {"kind": "ClusterRole", "name": "view"},
                   "subjects": [{"kind": "User", "name": "ann"}, {"kind": "ServiceAccount", "name": "robot"}]}),
        ];
        Rbac::new(Arc::new(Fixed(objects.into_iter().map(|o| Object::try_from(o).unwrap()).collect())))
    }

    fn ask(user: &str, verb: &str, namespace: &str) -> Decision {
        let resource = ResourceAttributes {
            resource: "pods".into(),
            namespace: namespace.into(),
            ..ResourceAttributes::default()
        };
        rbac().authorize(&Attributes {
            user: User::new(user, [""; 0]),
            verb: verb.into(),
            resource: Some(resource),
            path: String::new(),
        })
    }

    #[test]
    fn a_binding_holds_in_its_namespace() {
        assert_eq!(
            ask("ann", "list", "a").reason(),
            "RBAC: allowed by RoleBinding \"b/a\" of ClusterRole \"view\" to User \"ann\""
        );
        assert!(!ask("ann", "list", "b").is_allowed());
        assert!(!ask("ann", "list", "").is_allowed());
        assert!(!ask("ann", "delete", "a").is_allowed());
        assert!(!ask("bob", "list", "a").is_allowed());
        assert!(ask("system:serviceaccount:a:robot", "get", "a").is_allowed());
    }
}
