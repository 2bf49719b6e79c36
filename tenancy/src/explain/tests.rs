use api_rbac::Resource;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Fleet, person, read, user, user_binding};

fn asked<'a>(verb: &'a str, group: &'a str, resource: &'a str, namespace: &'a str) -> Attributes<'a> {
    Attributes::resource(verb, Resource { group, resource, namespace, ..Resource::default() })
}

fn why(fleet: &Fleet, cluster: &str, who: &str, attributes: &Attributes<'_>, sees: bool) -> Explanation {
    explain(&*fleet.view, cluster, person(who).user(), attributes, sees).unwrap()
}

#[test]
fn a_right_is_traced_to_the_binding_on_the_hub() {
    let fleet = Fleet::new();
    let answer = why(&fleet, "eu", "dev", &asked("create", "apps", "deployments", "shop-a"), true);
    assert!(answer.allowed);
    assert_eq!(
        json!(answer.grants[0]),
        json!({
            "userBinding": "dev", "roleTemplate": "namespace-developer-system",
            "subject": {"kind": "User", "name": "dev@example.org"},
            "native": {"kind": "RoleBinding", "namespace": "shop-a", "name": "cpaas:dev:business-ns"},
            "role": {"kind": "ClusterRole", "name": "cpaas:namespace-developer-system:business-ns"},
            "rule": answer.grants[0].rule,
        })
    );
}

#[test]
fn a_name_alone_is_no_origin() {
    let mut fleet = Fleet::new();
    // Somebody has made bindings that are called as the platform's are.
    for (namespace, name) in
        [("shop-b", "cpaas:dev:business-ns"), ("shop-a", "cpaas:nobody:business-ns"), ("shop-a", "own")]
    {
        fleet.add(
            "eu",
            json!({
                "kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace}, "subjects": [user("zoe")],
                "roleRef": {"kind": "ClusterRole", "name": "cpaas:namespace-developer-system:business-ns"},
            }),
        );
    }
    fleet.build();
    for namespace in ["shop-a", "shop-b"] {
        let answer = why(&fleet, "eu", "zoe", &asked("list", "", "secrets", namespace), true);
        assert!(answer.allowed && answer.grants.iter().all(|grant| grant.user_binding.is_none()), "{answer:?}");
    }
}

#[test]
fn what_is_missing_and_who_can_give_it() {
    let fleet = Fleet::new();
    let attributes = asked("list", "", "secrets", "shop-a");
    let missing = why(&fleet, "eu", "pam", &attributes, true).missing.unwrap();
    assert_eq!(missing.rule.to_string(), r#"{APIGroups:[""], Resources:["secrets"], Verbs:["list"]}"#);
    let names: Vec<&str> = missing.templates.iter().map(|template| &*template.role_template).collect();
    assert_eq!(
        names,
        ["namespace-admin-system", "namespace-developer-system", "cluster-admin-system", "platform-admin-system"]
    );
    let who = |missing: &Missing| {
        missing.grantors.iter().map(|grantor| grantor.subject.name.replace("@example.org", "")).collect::<Vec<_>>()
    };
    assert_eq!(who(&missing), ["eve", "nat", "ops", "pam", "root"]);
    assert_eq!(missing.grantors[3].because.user_binding.as_deref(), Some("pam"));
    // Nobody is asked for what nobody below an administrator has.
    let nodes = why(&fleet, "eu", "pam", &asked("delete", "", "nodes", ""), true).missing.unwrap();
    assert_eq!(who(&nodes), ["ops", "root"]);
}

#[test]
fn case_50_who_is_in_a_namespace_is_told_to_those_who_may_see_it() {
    let fleet = Fleet::new();
    let there = why(&fleet, "eu", "bob", &asked("list", "", "secrets", "shop-a"), false).missing.unwrap();
    assert_eq!(
        there.grantors.iter().map(|grantor| &*grantor.subject.name).collect::<Vec<_>>(),
        ["ops@example.org", "root@example.org"]
    );
    for (who, namespace, sees) in [
        ("root", "shop-a", true),
        ("aud", "shop-a", true),
        ("pam", "shop-a", true),
        ("dev", "shop-a", true),
        ("dev", "shop-b", false),
        ("bob", "shop-a", false),
        ("pam", "", false),
        ("aud", "", true),
        ("nobody", "shop-a", false),
    ] {
        assert_eq!(sees_members(&*fleet.view, "eu", person(who).user(), namespace), sees, "{who} {namespace}");
    }
}

#[test]
fn everybody_who_can() {
    let fleet = Fleet::new();
    let answer = who_can(&*fleet.view, "eu", &asked("list", "", "secrets", "shop-a")).unwrap();
    let names: Vec<&str> = answer.users.iter().map(|holder| holder.name.trim_end_matches("@example.org")).collect();
    assert_eq!(names, ["dev", "nat", "ops", "root"]);
    assert_eq!(answer.users[0].grants[0].user_binding.as_deref(), Some("dev"));
    assert!(who_can(&*fleet.view, "nowhere", &asked("list", "", "secrets", "shop-a")).is_none());
}

fn told(changes: &[Change]) -> Vec<(String, String, String)> {
    changes
        .iter()
        .map(|change| {
            (change.subject.name.replace("@example.org", ""), change.cluster.clone(), change.namespace.clone())
        })
        .collect()
}

#[test]
fn a_preview_tells_what_each_gains() {
    let fleet = Fleet::new();
    let constraint = json!([{"project": "shop", "cluster": "eu", "namespace": "shop-b"}]);
    let wanted = |who: Value| {
        read(user_binding("new", json!([who]), "namespace-developer-system", "namespace", constraint.clone()))
    };
    let gains = |who: Value| preview(&*fleet.view, &[wanted(who)], &[]).unwrap().gains;
    let places = told(&gains(user("zoe")));
    let expect = [("eu", ""), ("eu", "shop"), ("eu", "shop-b"), ("global", "")];
    assert_eq!(places, expect.map(|(cluster, namespace)| ("zoe".to_owned(), cluster.to_owned(), namespace.to_owned())));
    // Who is next door already has the rest.
    assert_eq!(told(&gains(user("dev"))), [("dev".to_owned(), "eu".to_owned(), "shop-b".to_owned())]);
    assert_eq!(told(&gains(user("root"))), []);
    assert_eq!(gains(json!({"kind": "Group", "name": "staff"})).len(), 4);
}

#[test]
fn a_preview_tells_what_each_loses() {
    let mut fleet = Fleet::new();
    let lose = |fleet: &Fleet, name: &str| {
        let hub = fleet.view.hub();
        let binding = hub.bindings[&(BindingKind::User, name.to_owned())].says.clone().unwrap();
        preview(&*fleet.view, &[], &[&binding]).unwrap()
    };
    let lost = told(&lose(&fleet, "dev").losses);
    assert!(lost.contains(&("dev".into(), "eu".into(), "shop-a".into())), "{lost:?}");
    // In another way they keep it.
    fleet.bind(
        "again",
        json!([user("dev")]),
        "namespace-admin-system",
        "namespace",
        json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]),
    );
    fleet.build();
    assert_eq!(lose(&fleet, "dev").losses, []);
    fleet.lose("us");
    let preview = lose(&fleet, "pam");
    assert_eq!(preview.unknown_clusters, ["us"]);
    assert!(!told(&preview.losses).is_empty());
}
