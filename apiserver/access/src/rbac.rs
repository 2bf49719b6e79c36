//! RBAC over the roles and bindings of an API server (upstream: `plugin/pkg/auth/authorizer/rbac`).
//!
//! The policy is made of its objects once. After that it takes in what changed: a binding that comes costs its own work,
//! however many there are.

use std::sync::{Arc, PoisonError, RwLock};

use api_meta::Object;
use api_rbac::{Grant, Interner, Kind, Policy, PolicyRule, RoleRef, SubjectKind};
use serde::Serialize;

use crate::user::MASTERS;
use crate::{Attributes, Authorizer, Decision, User};

/// Where roles and bindings come from.
pub trait PolicySource: Send + Sync + 'static {
    /// Changes whenever any of the objects does.
    fn version(&self) -> PolicyVersion;
    /// All roles and bindings, of both scopes.
    fn objects(&self) -> Vec<(Kind, Object)>;
    /// What changed after a version, of each object in its order; `None` when that is not known any more.
    fn changes(&self, after: PolicyVersion) -> Option<Vec<PolicyChange>>;
}

/// How far each of the four kinds has come, in the order of [`Kind`].
pub type PolicyVersion = [u64; 4];

/// What became of a role or a binding.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyChange {
    /// It is so now.
    Put(Kind, Object),
    /// It is gone, or cannot be read any more.
    Gone {
        kind: Kind,
        /// Empty for what has none.
        namespace: String,
        name: String,
    },
}

pub struct Rbac {
    source: Arc<dyn PolicySource>,
    /// Rules that stay as they are keep their index when others change.
    interner: Interner,
    compiled: RwLock<Option<(PolicyVersion, Arc<Policy>)>>,
}

/// What a user may do, as the status of a `SelfSubjectRulesReview`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RulesReview {
    pub resource_rules: Vec<PolicyRule>,
    pub non_resource_rules: Vec<PolicyRule>,
    /// Whether there may be more than is said.
    pub incomplete: bool,
}

impl Rbac {
    pub fn new(source: Arc<dyn PolicySource>) -> Self {
        Self { source, interner: Interner::default(), compiled: RwLock::default() }
    }

    pub(crate) fn policy(&self) -> Arc<Policy> {
        let version = self.source.version();
        if let Some((compiled, policy)) = &*self.compiled.read().unwrap_or_else(PoisonError::into_inner)
            && *compiled == version
        {
            return policy.clone();
        }
        let mut compiled = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        // The version is read first: objects may be newer than it, never older.
        let version = self.source.version();
        if let Some((meanwhile, policy)) = &mut *compiled {
            if *meanwhile == version {
                return policy.clone();
            }
            // What the policy has already of these is taken in once more, up to the last of each object.
            if let Some(changes) = self.source.changes(*meanwhile) {
                // Those who ask just now keep what was.
                let newer = Arc::make_mut(policy);
                for change in changes {
                    match change {
                        PolicyChange::Put(kind, object) => newer.insert(kind, &object, &self.interner),
                        PolicyChange::Gone { kind, namespace, name } => newer.remove(kind, &namespace, &name),
                    };
                }
                *meanwhile = version;
                return policy.clone();
            }
        }
        let mut policy = Policy::default();
        for (kind, object) in self.source.objects() {
            policy.insert(kind, &object, &self.interner);
        }
        let policy = Arc::new(policy);
        *compiled = Some((version, policy.clone()));
        policy
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        if attributes.user.is_in(MASTERS) {
            return Decision::Allow { reason: String::new() };
        }
        let (policy, user, asked) = (self.policy(), (&attributes.user).into(), api_rbac::Attributes::from(attributes));
        match policy.allows(user, &asked) {
            Some(grant) => Decision::Allow { reason: allowed(&grant) },
            None => Decision::NoOpinion { reason: not_found(&policy.missing_roles(user, asked.namespace())) },
        }
    }

    fn rules(&self, user: &User, namespace: &str) -> RulesReview {
        let rules = if user.is_in(MASTERS) {
            let all = || vec!["*".into()];
            vec![
                PolicyRule { verbs: all(), api_groups: all(), resources: all(), ..PolicyRule::default() },
                PolicyRule { verbs: all(), non_resource_urls: all(), ..PolicyRule::default() },
            ]
        } else {
            self.policy().rules_for(user.into(), namespace).into_iter().cloned().collect()
        };
        let (urls, resources) = rules.into_iter().partition(|r| !r.non_resource_urls.is_empty());
        RulesReview { resource_rules: resources, non_resource_rules: urls, incomplete: false }
    }
}

/// Why something is allowed, in upstream's words.
fn allowed(grant: &Grant<'_>) -> String {
    let (binding, subject) = (grant.binding, grant.subject);
    let (kind, place) = match &*binding.namespace {
        "" => ("ClusterRoleBinding", binding.name.to_string()),
        namespace => ("RoleBinding", format!("{}/{namespace}", binding.name)),
    };
    let who = match subject.kind {
        SubjectKind::ServiceAccount => format!("{}/{}", subject.name, subject.namespace),
        SubjectKind::User | SubjectKind::Group => subject.name.to_string(),
    };
    format!(
        "RBAC: allowed by {kind} {place:?} of {} {:?} to {} {who:?}",
        binding.role.kind, binding.role.name, subject.kind
    )
}

/// Roles that bindings give and that do not exist, as errors.
fn not_found(missing: &[&RoleRef]) -> String {
    let error = |role: &&RoleRef| {
        let kind = role.kind.to_string().to_lowercase();
        format!("{kind}.rbac.authorization.k8s.io {:?} not found", role.name)
    };
    match missing {
        [] => String::new(),
        [one] => format!("RBAC: {}", error(one)),
        many => format!("RBAC: [{}]", many.iter().map(error).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use api_meta::{Value, json};

    use super::*;
    use crate::ResourceAttributes;
    use crate::testing::Fixed;

    fn rbac() -> Rbac {
        let objects = [
            json!({"kind": "ClusterRole", "metadata": {"name": "view"},
                   "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]}),
            json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "a"},
                   "roleRef": {"kind": "ClusterRole", "name": "view"},
                   "subjects": [{"kind": "User", "name": "ann"}, {"kind": "ServiceAccount", "name": "robot"}]}),
        ];
        Rbac::new(Arc::new(Fixed::new(objects)))
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

    /// Objects that come and go, of which the last changes are known.
    #[derive(Default)]
    struct Log {
        changes: Mutex<Vec<PolicyChange>>,
        /// How many of the first are not known any more.
        forgotten: AtomicUsize,
        /// How often all objects were asked for.
        asked: AtomicUsize,
    }

    impl PolicySource for Arc<Log> {
        fn version(&self) -> PolicyVersion {
            [self.changes.lock().unwrap().len() as u64, 0, 0, 0]
        }

        fn objects(&self) -> Vec<(Kind, Object)> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let mut all = BTreeMap::new();
            for change in &*self.changes.lock().unwrap() {
                match change.clone() {
                    PolicyChange::Put(kind, object) => {
                        all.insert((kind, object.namespace().to_owned(), object.name().to_owned()), object);
                    }
                    PolicyChange::Gone { kind, namespace, name } => drop(all.remove(&(kind, namespace, name))),
                }
            }
            all.into_iter().map(|((kind, ..), object)| (kind, object)).collect()
        }

        fn changes(&self, after: PolicyVersion) -> Option<Vec<PolicyChange>> {
            let after = usize::try_from(after[0]).unwrap();
            (after >= self.forgotten.load(Ordering::Relaxed)).then(|| self.changes.lock().unwrap()[after..].to_vec())
        }
    }

    fn put(object: Value) -> PolicyChange {
        let object = Object::try_from(object).unwrap();
        PolicyChange::Put(Kind::of(&object).unwrap(), object)
    }

    #[test]
    fn a_policy_takes_in_what_changed_and_no_more() {
        let role = |verb: &str| {
            put(json!({"kind": "ClusterRole", "metadata": {"name": "view"},
                "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]}))
        };
        let binding = |user: &str| {
            put(json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "a"},
                "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "User", "name": user}]}))
        };
        let gone = PolicyChange::Gone { kind: Kind::RoleBinding, namespace: "a".into(), name: "b".into() };
        let log = Arc::new(Log::default());
        let rbac = Rbac::new(Arc::new(log.clone()));
        let fresh = || Rbac::new(Arc::new(log.clone())).policy();
        assert_eq!(*rbac.policy(), Policy::default());
        for change in [role("get"), binding("ann"), binding("bob"), role("list"), gone, binding("eva")] {
            // Somebody who asks holds the one that was.
            let before = (rbac.policy(), Policy::clone(&rbac.policy()));
            log.changes.lock().unwrap().push(change);
            log.asked.store(0, Ordering::Relaxed);
            let policy = rbac.policy();
            assert_eq!(log.asked.load(Ordering::Relaxed), 0);
            assert_eq!(policy, fresh());
            assert_eq!(*before.0, before.1);
        }
        // Too much happened to be known.
        log.changes.lock().unwrap().extend([role("watch"), binding("dan")]);
        log.forgotten.store(8, Ordering::Relaxed);
        assert_eq!(rbac.policy(), fresh());
    }
}
