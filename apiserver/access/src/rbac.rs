//! RBAC over the roles and bindings of an API server (upstream: `plugin/pkg/auth/authorizer/rbac`).
//!
//! The policy is compiled from its objects once and kept as long as their
//! version stays.

use std::sync::{Arc, PoisonError, RwLock};

use api_meta::Object;
use api_rbac::{Grant, Interner, Kind, Policy, PolicyRule, RoleRef, SubjectKind};
use serde::Serialize;

use crate::user::MASTERS;
use crate::{Attributes, Authorizer, Decision, User};

/// Where roles and bindings come from.
pub trait PolicySource: Send + Sync + 'static {
    /// Changes whenever any of the objects does.
    fn version(&self) -> u64;
    /// All roles and bindings, of both scopes.
    fn objects(&self) -> Vec<Object>;
}

pub struct Rbac {
    source: Arc<dyn PolicySource>,
    /// Rules that stay as they are keep their index when others change.
    interner: Interner,
    compiled: RwLock<Option<(u64, Arc<Policy>)>>,
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
        if let Some((meanwhile, policy)) = &*compiled
            && *meanwhile == version
        {
            return policy.clone();
        }
        let mut policy = Policy::default();
        for object in self.source.objects() {
            if let Some(kind) = Kind::of(&object) {
                policy.insert(kind, &object, &self.interner);
            }
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
