use serde_json::{from_value, json};

use super::*;
use crate::testing::{Fleet, person};

fn questions(all: serde_json::Value) -> Vec<Question> {
    from_value(all).unwrap()
}

#[track_caller]
fn check(rights: &Rights, who: &str, cluster: &str, expect: [bool; 4]) {
    let asked = questions(json!([
        {"verb": "list", "resource": "pods", "namespace": "shop-a"},
        {"verb": "create", "group": "apps", "resource": "deployments", "namespace": "shop-a"},
        {"verb": "get", "resource": "pods/log", "namespace": "bank-a"},
        {"verb": "list", "resource": "nodes"},
    ]));
    let answers = rights.check(&person(who), cluster, &asked);
    assert_eq!(answers.iter().map(|answer| answer.allowed).collect::<Vec<_>>(), expect, "{who} {cluster}");
}

#[test]
fn a_page_of_questions_is_answered_at_once() {
    let fleet = Fleet::new();
    let rights = Rights::new(fleet.view.clone());
    check(&rights, "root", "eu", [true; 4]);
    check(&rights, "aud", "eu", [true, false, true, true]);
    check(&rights, "pam", "eu", [true, false, false, false]);
    check(&rights, "dev", "eu", [true, true, false, false]);
    check(&rights, "dev", "us", [false; 4]);
    check(&rights, "bob", "eu", [false, false, true, false]);
    check(&rights, "nobody", "eu", [false; 4]);
}

#[test]
fn an_answer_says_why() {
    let fleet = Fleet::new();
    let rights = Rights::new(fleet.view.clone());
    let asked = questions(json!([{"verb": "list", "resource": "pods", "namespace": "shop-a"}]));
    let answer = &rights.check(&person("dev"), "eu", &asked)[0];
    assert_eq!(
        answer.reason,
        r#"RBAC: allowed by RoleBinding "cpaas:dev:business-ns/shop-a" of ClusterRole "cpaas:namespace-developer-system:business-ns" to User "dev@example.org""#
    );
}

#[test]
fn case_50_a_cluster_that_is_not_there_is_as_one_without_rights() {
    let fleet = Fleet::new();
    let rights = Rights::new(fleet.view.clone());
    let asked = questions(json!([{"verb": "list", "resource": "pods", "namespace": "shop-a"}]));
    assert_eq!(rights.check(&person("dev"), "nowhere", &asked), rights.check(&person("dev"), "us", &asked));
}

#[test]
fn rights_end_with_the_binding() {
    let mut fleet = Fleet::new();
    let rights = Rights::new(fleet.view.clone());
    let who = person("zoe");
    check(&rights, "zoe", "eu", [false; 4]);
    let shop_a = json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]);
    fleet.bind("zoe", json!([crate::testing::user("zoe")]), "namespace-developer-system", "namespace", shop_a);
    fleet.build();
    check(&rights, "zoe", "eu", [true, true, false, false]);
    assert!(Arc::ptr_eq(&rights.of(&who, "eu").unwrap(), &rights.of(&who, "eu").unwrap()), "it is kept");
    fleet.lose("eu");
    check(&rights, "zoe", "eu", [false; 4]);
}

#[test]
fn what_may_be_listed_and_where() {
    let fleet = Fleet::new();
    let rights = Rights::new(fleet.view.clone());
    let these = |who: &str, cluster: &str| match rights.listable(&person(who), cluster, "", "pods") {
        Namespaces::All => "all".to_owned(),
        Namespaces::These(these) => these.iter().map(|name| &**name).collect::<Vec<_>>().join(" "),
    };
    assert_eq!(these("aud", "us"), "all");
    assert_eq!(these("pam", "eu"), "shop-a shop-b");
    assert_eq!(these("eve", "us"), "");
    assert_eq!(these("dev", "eu"), "shop-a");
    assert_eq!(these("dev", "nowhere"), "");
}

#[test]
fn what_is_kept_has_a_bound() {
    let fleet = Fleet::new();
    let rights = Rights::new(fleet.view.clone());
    for n in 0..=KEPT {
        rights.of(&person(&n.to_string()), "us");
    }
    assert!(rights.kept.lock().unwrap().len() <= KEPT);
}
