use api_meta::{Value, json};

use super::*;
use crate::{Namespaces, Resource};

fn policy(objects: &[Value]) -> Policy {
    let (interner, mut policy) = (Interner::default(), Policy::default());
    for object in objects {
        let object = Object::try_from(object.clone()).unwrap();
        policy.insert(Kind::of(&object).unwrap(), &object, &interner);
    }
    policy
}

fn shop() -> Policy {
    policy(&[
        json!({"kind": "ClusterRole", "metadata": {"name": "view"},
               "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]}),
        json!({"kind": "Role", "metadata": {"name": "view", "namespace": "shop"},
               "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]}),
        json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "shop"},
               "roleRef": {"kind": "ClusterRole", "name": "view"},
               "subjects": [{"kind": "User", "name": "ann"}, {"kind": "ServiceAccount", "name": "robot", "namespace": "ci"}]}),
        json!({"kind": "RoleBinding", "metadata": {"name": "gone", "namespace": "shop"},
               "roleRef": {"kind": "Role", "name": "gone"}, "subjects": [{"kind": "User", "name": "ann"}]}),
    ])
}

fn user(name: &str) -> User<'_> {
    User { name, groups: &[] }
}

fn list<'a>(resource: &'a str, namespace: &'a str) -> Attributes<'a> {
    Attributes::resource("list", Resource { resource, namespace, ..Resource::default() })
}

#[test]
fn a_binding_holds_in_its_namespace() {
    let shop = shop();
    let grant = shop.allows(user("ann"), &list("pods", "shop")).unwrap();
    assert_eq!((&*grant.binding.namespace, &*grant.binding.name), ("shop", "b"));
    assert_eq!((grant.subject.kind, &*grant.subject.name), (SubjectKind::User, "ann"));
    assert_eq!(grant.rule.to_string(), r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}"#);
    for (name, resource, namespace) in
        [("ann", "pods", "other"), ("ann", "pods", ""), ("bob", "pods", "shop"), ("ann", "secrets", "shop")]
    {
        assert_eq!(shop.allows(user(name), &list(resource, namespace)), None, "{name} {resource} {namespace}");
    }
}

#[test]
fn accounts_are_users_of_their_namespace() {
    let shop = shop();
    let may = |name: &str| shop.allows(user(name), &list("pods", "shop")).is_some();
    assert!(may("system:serviceaccount:ci:robot"));
    assert!(!may("system:serviceaccount:shop:robot"));
    assert!(!may("robot"));
}

#[test]
fn missing_roles_are_told() {
    let shop = shop();
    let missing: Vec<String> =
        shop.missing_roles(user("ann"), "shop").iter().map(|role| format!("{} {}", role.kind, role.name)).collect();
    assert_eq!(missing, ["Role gone"]);
    assert!(shop.missing_roles(user("ann"), "").is_empty());
    assert!(shop.missing_roles(user("bob"), "shop").is_empty());
}

#[test]
fn what_a_user_lacks() {
    let shop = shop();
    let wanted = PolicyRule {
        verbs: vec!["list".into(), "watch".into()],
        api_groups: vec!["".into()],
        resources: vec!["pods".into()],
        ..PolicyRule::default()
    };
    let lacking = |namespace: &str| shop.lacking(user("ann"), namespace, [&wanted]).unwrap();
    assert_eq!(lacking("shop"), [PolicyRule { verbs: vec!["watch".into()], ..wanted.clone() }]);
    assert_eq!(lacking(""), std::slice::from_ref(&wanted));
}

#[test]
fn a_namespace_is_never_the_cluster() {
    let nowhere = policy(&[
        json!({"kind": "ClusterRole", "metadata": {"name": "all"},
               "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}),
        json!({"kind": "RoleBinding", "metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "all"},
               "subjects": [{"kind": "User", "name": "ann"}]}),
    ]);
    assert_eq!(nowhere.allows(user("ann"), &list("pods", "")), None);
    assert_eq!(nowhere.bindings().count(), 0);
}

#[test]
fn a_cluster_binding_takes_no_namespaced_role() {
    let mixed = policy(&[
        json!({"kind": "ClusterRole", "metadata": {"name": "all"},
               "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}),
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "all"},
               "subjects": [{"kind": "User", "name": "ann"}]}),
    ]);
    assert_eq!(mixed.allows(user("ann"), &list("pods", "")), None);
}

#[test]
fn a_binding_that_is_none_any_more_gives_nothing() {
    let (interner, mut shop) = (Interner::default(), shop());
    let broken = json!({"metadata": {"name": "b", "namespace": "shop"}, "roleRef": {"kind": "Rule", "name": "view"},
        "subjects": [{"kind": "User", "name": "ann"}]});
    assert!(shop.insert(Kind::RoleBinding, &Object::try_from(broken).unwrap(), &interner));
    assert_eq!(shop.allows(user("ann"), &list("pods", "shop")), None);
    assert!(shop.rights(user("ann")).namespaces_where("list", "", "pods").is_empty());
}

#[test]
fn a_subject_that_is_none_is_nobody() {
    let odd = policy(&[
        json!({"kind": "ClusterRole", "metadata": {"name": "view"},
               "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}, {"verbs": "*"}]}),
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": "b"},
               "roleRef": {"kind": "ClusterRole", "name": "view"},
               "subjects": [{"kind": "Robot", "name": "ann"}, {"kind": "Group"}, 7, {"kind": "Group", "name": "ann"}]}),
    ]);
    assert_eq!(odd.allows(user("ann"), &list("pods", "")), None);
    let groups = ["ann".to_owned()];
    assert!(odd.allows(User { name: "", groups: &groups }, &list("pods", "")).is_some());
}

#[test]
fn the_same_again_changes_nothing() {
    let (interner, mut shop) = (Interner::default(), Policy::default());
    let role = json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]});
    let binding = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "User", "name": "ann"}]});
    for (kind, object) in [(Kind::ClusterRole, role), (Kind::ClusterRoleBinding, binding)] {
        let mut object = Object::try_from(object).unwrap();
        assert!(shop.insert(kind, &object, &interner));
        object.metadata_mut().insert("resourceVersion".into(), "2".into());
        assert!(!shop.insert(kind, &object, &interner));
    }
    assert!(shop.allows(user("ann"), &Attributes::path("get", "/healthz")).is_some());
    assert!(shop.remove(Kind::ClusterRole, "ignored", "r"));
    assert!(!shop.remove(Kind::ClusterRole, "", "r"));
    assert_eq!(shop.allows(user("ann"), &Attributes::path("get", "/healthz")), None);
    assert!(shop.remove(Kind::ClusterRoleBinding, "", "b"));
    assert_eq!(shop, Policy::default());
}

#[test]
fn what_is_typed_is_as_what_is_read() {
    let (interner, read, mut typed) = (Interner::default(), shop(), Policy::default());
    for (role, rules) in read.roles() {
        let rules: Vec<PolicyRule> = rules.as_slice().iter().map(|rule| PolicyRule::clone(rule)).collect();
        assert!(typed.insert_role(role, &rules, &interner));
    }
    for binding in read.bindings() {
        assert!(typed.insert_binding(binding, &interner));
        assert!(!typed.insert_binding(binding, &interner));
    }
    assert_eq!(typed, read);
    assert_eq!(typed.binding("shop", "b"), read.binding("shop", "b"));
}

#[test]
fn namespaces_in_which_all_objects_may_be_listed() {
    let names = |namespaces: Namespaces| match namespaces {
        Namespaces::All => "*".to_owned(),
        Namespaces::These(these) => these.iter().map(|name| &**name).collect::<Vec<_>>().join(" "),
    };
    let role = |name: &str, rule: Value| json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]});
    let binding = |role: &str, namespace: &str| {
        let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        json!({"kind": kind, "metadata": {"name": role, "namespace": namespace},
            "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [{"kind": "User", "name": "ann"}]})
    };
    let policy = policy(&[
        role("pods", json!({"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["list", "get"]})),
        role("one", json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"], "resourceNames": ["p"]})),
        role("nodes", json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["*"]})),
        binding("pods", "a"),
        binding("pods", "b"),
        binding("one", "c"),
        binding("nodes", ""),
    ]);
    let rights = policy.rights(user("ann"));
    assert_eq!(names(rights.namespaces_where("list", "", "pods")), "a b");
    assert_eq!(names(rights.namespaces_where("get", "", "pods/log")), "a b");
    assert_eq!(names(rights.namespaces_where("list", "", "nodes")), "*");
    assert_eq!(names(rights.namespaces_where("list", "apps", "pods")), "");
}
