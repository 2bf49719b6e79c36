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
        // A label is no small thing: it lends the rules to the roles that aggregate it.
        if old.is_some_and(|old| gives_the_same(old, new)) {
            return Ok(());
        }
        let policy = self.policy();
        let wanted: Vec<PolicyRule> = match &*resource.resource {
            "roles" | "clusterroles" => {
                if may("escalate", &resource.resource, new.name()) {
                    return Ok(());
                }
                // An aggregated role may come to hold anything, and whoever ends that may be taking rights away.
                let aggregates = |role: &Object| role.get("aggregationRule").is_some_and(|rule| !rule.is_null());
                let aggregates = aggregates(new) || old.is_some_and(aggregates);
                if aggregates { everything() } else { rules_of(new) }
            }
            _ => {
                let (kind, name) = (new.str_at(&["roleRef", "kind"]), new.str_at(&["roleRef", "name"]));
                let (kind, plural, namespace) = match kind {
                    Some("Role") => (RoleKind::Role, "roles", new.namespace()),
                    _ => (RoleKind::ClusterRole, "clusterroles", ""),
                };
                let name = name.unwrap_or_default();
                if may("bind", plural, name) {
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

fn everything() -> Vec<PolicyRule> {
    let all = || vec!["*".into()];
    let resources = PolicyRule { verbs: all(), api_groups: all(), resources: all(), ..PolicyRule::default() };
    vec![resources, PolicyRule { verbs: all(), non_resource_urls: all(), ..PolicyRule::default() }]
}

/// Whether nothing changes but what controllers need to change of everything (upstream: `IsOnlyMutatingGCFields`).
fn gives_the_same(old: &Object, new: &Object) -> bool {
    let [old, new] = [old, new].map(|object| {
        let mut object = object.clone();
        for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation"] {
            object.remove_at(&["metadata", field]);
        }
        object
    });
    old == new
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api_meta::{Value, json};

    use super::*;
    use crate::testing::Fixed;

    fn object(value: Value) -> Object {
        Object::try_from(value).unwrap()
    }

    /// `ann` may read pods everywhere, `max` may bind `admin` in `shop`, and `eva` may write any role.
    fn rbac() -> Rbac {
        let role = |kind: &str, name: &str, rules: Value| {
            let namespace = if kind == "Role" { "shop" } else { "" };
            object(json!({"kind": kind, "metadata": {"name": name, "namespace": namespace}, "rules": rules}))
        };
        let given = |role: &str, user: &str| {
            let (kind, namespace) = if role == "binder" { ("Role", "shop") } else { ("ClusterRole", "") };
            let binding = if role == "binder" { "RoleBinding" } else { "ClusterRoleBinding" };
            object(json!({"kind": binding, "metadata": {"name": user, "namespace": namespace},
                "roleRef": {"kind": kind, "name": role}, "subjects": [{"kind": "User", "name": user}]}))
        };
        let rbac = "rbac.authorization.k8s.io";
        Rbac::new(Arc::new(Fixed::new([
            role("ClusterRole", "pods", json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}])),
            role("ClusterRole", "admin", json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])),
            role(
                "ClusterRole",
                "writer",
                json!([{"apiGroups": [rbac], "resources": ["clusterroles"], "verbs": ["escalate"]}]),
            ),
            role(
                "Role",
                "binder",
                json!([{"apiGroups": [rbac], "resources": ["clusterroles"], "verbs": ["bind"],
                "resourceNames": ["admin"]}]),
            ),
            given("pods", "ann"),
            given("writer", "eva"),
            given("binder", "max"),
        ])))
    }

    #[track_caller]
    fn check(user: &str, plural: &str, old: Option<Value>, new: Value, expect: Result<(), (u16, &str)>) {
        let resource = GroupResource { group: "rbac.authorization.k8s.io".into(), resource: plural.into() };
        let (rbac, user) = (rbac(), User::new(user, ["staff"]));
        let (old, new) = (old.map(object), object(new));
        let answer = rbac.check_escalation(&rbac, &user, &resource, old.as_ref(), &new);
        match (answer, expect) {
            (Ok(()), Ok(())) => {}
            (Err(status), Err((code, message))) => {
                assert_eq!(status.code, code, "{}", status.message);
                assert!(status.message.ends_with(message), "{}", status.message);
            }
            (answer, _) => panic!("{answer:?}"),
        }
    }

    fn role(rules: Value) -> Value {
        json!({"kind": "ClusterRole", "metadata": {"name": "new"}, "rules": rules})
    }

    fn pods(verbs: &[&str]) -> Value {
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": verbs})
    }

    fn binding(namespace: &str, role: &str) -> Value {
        json!({"kind": "RoleBinding", "metadata": {"name": "new", "namespace": namespace},
            "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [{"kind": "User", "name": "bob"}]})
    }

    #[test]
    fn case_45_a_role_gives_no_more_than_its_writer_has() {
        check("ann", "clusterroles", None, role(json!([pods(&["list"])])), Ok(()));
        let message = "user \"ann\" (groups=[\"staff\" \"system:authenticated\"]) is attempting to grant RBAC \
             permissions not currently held:\n\
             {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"patch\"]}\n\
             {NonResourceURLs:[\"/metrics\"], Verbs:[\"get\"]}";
        let more =
            role(json!([pods(&["list", "delete", "patch"]), {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]));
        check("ann", "clusterroles", None, more.clone(), Err((403, message)));
        check("eva", "clusterroles", None, more.clone(), Ok(()));
        // What was there before is nobody's grant.
        check("ann", "clusterroles", Some(more.clone()), more.clone(), Ok(()));
        let mut kept = more.clone();
        kept["metadata"]["finalizers"] = json!(["example.org/keep"]);
        check("ann", "clusterroles", Some(more.clone()), kept, Ok(()));
        // But a label that lends it is.
        let mut lent = more.clone();
        lent["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
        check("ann", "clusterroles", Some(more), lent, Err((403, message)));
    }

    #[test]
    fn case_45_an_aggregated_role_may_come_to_hold_anything() {
        let mut role = role(json!([]));
        role["aggregationRule"] = json!({"clusterRoleSelectors": []});
        let message = "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}\n{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}";
        check("ann", "clusterroles", None, role.clone(), Err((403, message)));
        let mut ended = role.clone();
        ended["aggregationRule"] = Value::Null;
        check("ann", "clusterroles", Some(role), ended, Err((403, message)));
    }

    #[test]
    fn case_45_a_binding_gives_no_more_than_its_writer_has() {
        check("ann", "rolebindings", None, binding("shop", "pods"), Ok(()));
        let message = "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}";
        check("ann", "rolebindings", None, binding("shop", "admin"), Err((403, message)));
        check("max", "rolebindings", None, binding("shop", "admin"), Ok(()));
        check("max", "rolebindings", None, binding("other", "admin"), Err((403, message)));
        check("ann", "rolebindings", None, binding("shop", "gone"), Err((404, "\"gone\" not found")));
    }

    #[test]
    fn rules_that_multiply_out_are_refused() {
        let many: Vec<String> = (0..400).map(|number| format!("r{number}")).collect();
        let rule = json!({"apiGroups": [""], "resources": many, "verbs": many});
        let message = "the rules spell out 160000 permissions, and more than 100000 cannot be compared with those of \
             user \"ann\"; use fewer rules or wildcards";
        check("ann", "clusterroles", None, role(json!([rule])), Err((403, message)));
    }
}
