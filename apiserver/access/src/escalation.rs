//! Nobody grants what they do not hold (upstream: `rbac/escalation_check.go`).

use api_meta::{GroupResource, Object, Status};
use api_rbac::{MAX_PARTS, PolicyRule, RoleKind, RoleRef, TooMany, rules_of};

use crate::user::MASTERS;
use crate::{Attributes, Authorizer, Rbac, ResourceAttributes, User};

impl Rbac {
    /// Refuses a role or binding that gives more than its writer has.
    ///
    /// The verbs `escalate` (on roles) and `bind` (on the role that is bound) lift the rule.
    ///
    /// # Errors
    ///
    /// 403 with the missing rules; 404 when the role that is bound does not exist.
    pub fn check_escalation(
        &self,
        authorizer: &dyn Authorizer,
        user: &User,
        resource: &GroupResource,
        old: Option<&Object>,
        new: &Object,
    ) -> Result<(), Status> {
        if user.is_in(MASTERS) {
            return Ok(());
        }
        let may = |verb: &str, resource: &str, name: &str| {
            let attributes = Attributes {
                user: user.clone(),
                verb: verb.into(),
                path: String::new(),
                resource: Some(ResourceAttributes {
                    group: "rbac.authorization.k8s.io".into(),
                    version: "v1".into(),
                    resource: resource.into(),
                    namespace: new.namespace().into(),
                    name: name.into(),
                    ..ResourceAttributes::default()
                }),
            };
            authorizer.authorize(&attributes).is_allowed()
        };
        let policy = self.policy();
        let wanted: Vec<PolicyRule> = match &*resource.resource {
            "roles" | "clusterroles" => {
                let unchanged = old.is_some_and(|old| {
                    old.get("rules") == new.get("rules") && old.get("aggregationRule") == new.get("aggregationRule")
                });
                if unchanged || may("escalate", &resource.resource, new.name()) {
                    return Ok(());
                }
                if new.get("aggregationRule").is_some_and(|a| !a.is_null()) {
                    // An aggregated role may come to hold anything.
                    vec![everything()]
                } else {
                    rules_of(new)
                }
            }
            _ => {
                let unchanged = old.is_some_and(|old| {
                    old.get("subjects") == new.get("subjects") && old.get("roleRef") == new.get("roleRef")
                });
                let (kind, name) = (new.str_at(&["roleRef", "kind"]), new.str_at(&["roleRef", "name"]));
                let (kind, plural, namespace) = match kind {
                    Some("Role") => (RoleKind::Role, "roles", new.namespace()),
                    _ => (RoleKind::ClusterRole, "clusterroles", ""),
                };
                let name = name.unwrap_or_default();
                if unchanged || may("bind", plural, name) {
                    return Ok(());
                }
                let role = RoleRef { kind, namespace: namespace.into(), name: name.into() };
                let rules = policy.role(&role).ok_or_else(|| Status::not_found(resource, name))?;
                rules.as_slice().iter().map(|rule| PolicyRule::clone(rule)).collect()
            }
        };
        let message = match policy.lacking(user.into(), new.namespace(), &wanted) {
            Ok(missing) if missing.is_empty() => return Ok(()),
            Ok(missing) => words(user, &missing),
            Err(TooMany(said)) => format!(
                "the rules spell out {said} permissions, and more than {MAX_PARTS} cannot be compared with those of \
                 user {:?}; use fewer rules or wildcards",
                user.name
            ),
        };
        Err(Status::forbidden(resource, new.name(), message))
    }
}

fn everything() -> PolicyRule {
    PolicyRule {
        verbs: vec!["*".into()],
        api_groups: vec!["*".into()],
        resources: vec!["*".into()],
        ..PolicyRule::default()
    }
}

fn words(user: &User, missing: &[PolicyRule]) -> String {
    let groups: Vec<_> = user.groups.iter().map(|g| format!("{g:?}")).collect();
    let rules: Vec<_> = missing.iter().map(ToString::to_string).collect();
    format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        rules.join("\n")
    )
}
