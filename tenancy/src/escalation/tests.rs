use serde_json::{Value, from_value, json};

use super::*;
use crate::testing::{Fleet, person, read, user, user_binding};

const SHOP_A: (&str, &str, &str) = ("shop", "eu", "shop-a");

fn in_namespace((project, cluster, namespace): (&str, &str, &str)) -> Value {
    json!([{"project": project, "cluster": cluster, "namespace": namespace}])
}

fn zoe(role: &str, scope: &str, constraint: Value) -> Binding {
    read(user_binding("zoe", json!([user("zoe")]), role, scope, constraint))
}

fn asked(fleet: &Fleet, who: &str, verb: Verb, wanted: &Binding) -> Result<(), Denied> {
    binding(&*fleet.view, person(who).user(), verb, wanted)
}

/// Creating needs what deleting does.
#[track_caller]
fn check(fleet: &Fleet, who: &str, wanted: &Binding, allowed: bool) {
    for verb in [Verb::Create, Verb::Delete] {
        let result = asked(fleet, who, verb, wanted);
        let forbidden = matches!(&result, Err(denied) if !denied.is_invalid());
        assert_eq!(result.is_ok(), allowed, "{who} {verb:?} {wanted:?}: {result:?}");
        assert_eq!(forbidden, !allowed, "{who} {verb:?} {wanted:?}: {result:?}");
    }
}

#[test]
fn who_may_give_which_role_where() {
    let fleet = Fleet::new();
    let shop = || json!([{"project": "shop"}]);
    let shop_eu = || json!([{"project": "shop", "cluster": "eu"}]);
    let names = ["root", "aud", "ops", "pam", "eve", "bob", "nat", "dev", "nobody"];
    for (wanted, may) in [
        (zoe("platform-admin-system", "platform", json!([])), &["root"][..]),
        (zoe("platform-auditor-system", "platform", json!([])), &["root"]),
        (zoe("cluster-admin-system", "cluster", json!([{"cluster": "eu"}])), &["root", "ops"]),
        (zoe("cluster-admin-system", "cluster", json!([{"cluster": "us"}])), &["root"]),
        (zoe("project-admin-system", "project", shop()), &["root", "pam"]),
        (zoe("project-admin-system", "project", shop_eu()), &["root", "pam", "eve"]),
        (zoe("project-admin-system", "project", json!([{"project": "bank"}])), &["root", "bob"]),
        (zoe("namespace-admin-system", "namespace", in_namespace(SHOP_A)), &["root", "pam", "eve", "nat"]),
        (zoe("namespace-developer-system", "namespace", in_namespace(SHOP_A)), &["root", "pam", "eve", "nat"]),
        (
            zoe("namespace-developer-system", "namespace", in_namespace(("shop", "eu", "shop-b"))),
            &["root", "pam", "eve"],
        ),
        (zoe("namespace-developer-system", "namespace", in_namespace(("shop", "us", "shop-us"))), &["root", "pam"]),
    ] {
        for who in names {
            check(&fleet, who, &wanted, may.contains(&who));
        }
    }
}

#[test]
fn case_45_nobody_gives_what_they_do_not_hold() {
    let mut fleet = Fleet::new();
    let template = |name: &str, level: &str, rules: Value| {
        json!({
            "metadata": {"name": name, "labels": {"auth.cpaas.io/roletemplate.level": level}},
            "spec": {"customRules": rules},
        })
    };
    let rule = |groups: &str, resources: &str, verbs: &str| json!([{"apiGroups": [groups], "resources": [resources], "verbs": [verbs]}]);
    for (name, rules) in [
        ("pods", rule("", "pods", "list")),
        ("secrets", rule("", "secrets", "get")),
        ("everything", rule("*", "*", "*")),
        ("other-group", rule("example.org", "pods", "list")),
        ("verbs", rule("", "pods", "*")),
        ("impersonate", rule("", "users", "impersonate")),
    ] {
        fleet.template(template(name, "namespace", rules));
    }
    // Through a label: it takes in what administrators of the platform have.
    fleet.template(json!({
        "metadata": {"name": "inherits", "labels": {"auth.cpaas.io/roletemplate.level": "namespace"}},
        "spec": {"aggregationRules": [{"scope": "business-ns", "clusterRoleSelectors": [
            {"matchLabels": {"rbac.cpaas.io/aggregate-to-platform-admin": "true"}}]}]},
    }));
    // Through a ClusterRole that somebody else brings.
    fleet.add(
        "eu",
        json!({
            "kind": "ClusterRole", "metadata": {"name": "operator", "labels": {"example.org/lends": "true"}},
            "rules": [{"apiGroups": ["example.org"], "resources": ["*"], "verbs": ["*"]}],
        }),
    );
    fleet.template(json!({
        "metadata": {"name": "external", "labels": {"auth.cpaas.io/roletemplate.level": "namespace"}},
        "spec": {"aggregationRules": [{"scope": "business-ns", "clusterRoleSelectors": [
            {"matchLabels": {"example.org/lends": "true"}}]}]},
    }));
    fleet.build();
    for name in ["secrets", "everything", "other-group", "verbs", "impersonate", "inherits", "external"] {
        // A project's administrator does not work in its namespaces, and has no right to bind these.
        let wanted = zoe(name, "namespace", in_namespace(SHOP_A));
        for who in ["pam", "eve", "dev", "bob"] {
            check(&fleet, who, &wanted, false);
        }
        check(&fleet, "root", &wanted, true);
    }
    for name in ["everything", "other-group", "verbs", "impersonate", "inherits", "external"].into_iter() {
        // `verbs` is more than the verbs there are now.
        check(&fleet, "nat", &zoe(name, "namespace", in_namespace(SHOP_A)), false);
    }
    // What they hold they may give, by a template that nobody gave them to bind.
    for (name, who) in [("pods", "nat"), ("pods", "pam"), ("secrets", "nat")] {
        check(&fleet, who, &zoe(name, "namespace", in_namespace(SHOP_A)), true);
    }
    let denied = asked(&fleet, "pam", Verb::Create, &zoe("secrets", "namespace", in_namespace(SHOP_A))).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "role \"secrets\" gives more in namespace \"shop-a\" of project \"shop\" in cluster \"eu\" than you hold there (you \
         lack {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}): whoever holds all of it can give it, or somebody \
         with the right to bind \"secrets\" there"
    );
}

/// A role of one rule, given to somebody in a cluster.
fn given(name: &str, rules: Value) -> [Value; 2] {
    [
        json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}),
        json!({
            "kind": "ClusterRoleBinding", "metadata": {"name": name}, "subjects": [user(name)],
            "roleRef": {"kind": "ClusterRole", "name": name},
        }),
    ]
}

#[test]
fn case_45_a_role_of_the_whole_platform_takes_the_right_to_bind_it() {
    let mut fleet = Fleet::new();
    let held = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]});
    let level = json!({"auth.cpaas.io/roletemplate.level": "platform"});
    fleet.template(json!({"metadata": {"name": "sees-pods", "labels": level}, "spec": {"customRules": [held]}}));
    let write = json!({"apiGroups": ["auth.alauda.io"], "resources": ["userbindings"], "verbs": ["create", "delete"]});
    let bind = json!({"apiGroups": ["auth.alauda.io"], "resources": ["roletemplates"], "resourceNames": ["sees-pods"], "verbs": ["bind"]});
    for cluster in ["global", "eu", "us"] {
        given("wes", json!([held, write])).into_iter().for_each(|object| fleet.add(cluster, object));
    }
    given("ben", json!([write, bind])).into_iter().for_each(|object| fleet.add("global", object));
    fleet.build();
    let bind = |role: &str| Err(Denied::Bind(role.to_owned()));
    let sees = zoe("sees-pods", "platform", json!([]));
    assert_eq!(asked(&fleet, "wes", Verb::Create, &sees), bind("sees-pods"));
    assert_eq!(asked(&fleet, "wes", Verb::Delete, &sees), Ok(()));
    assert_eq!(asked(&fleet, "ben", Verb::Create, &sees), Ok(()));
    let administers = zoe("platform-admin-system", "platform", json!([]));
    assert_eq!(asked(&fleet, "ben", Verb::Create, &administers), bind("platform-admin-system"));
}

#[test]
fn case_45_a_template_is_written_by_whoever_holds_it_everywhere() {
    let mut fleet = Fleet::new();
    let held = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]});
    let templates = json!({"apiGroups": ["auth.alauda.io"], "resources": ["roletemplates"], "verbs": ["create", "update", "delete"]});
    for cluster in ["global", "eu", "us"] {
        given("wes", json!([held, templates])).into_iter().for_each(|object| fleet.add(cluster, object));
    }
    fleet.build();
    let made = |level: &str, spec: Value| -> RoleTemplate {
        from_value(
            json!({"metadata": {"name": "t", "labels": {"auth.cpaas.io/roletemplate.level": level}}, "spec": spec}),
        )
        .unwrap()
    };
    let custom = |resources: &str, verbs: &str| json!({"customRules": [{"apiGroups": [""], "resources": [resources], "verbs": [verbs]}]});
    let may = |who: &str, write: Write<'_, RoleTemplate>| template(&*fleet.view, person(who).user(), write);
    let fine = made("namespace", custom("pods", "get"));
    assert_eq!(may("wes", Write::Create(&fine)), Ok(()));
    for (level, spec) in [
        ("namespace", custom("pods", "delete")),
        ("cluster", custom("nodes", "get")),
        ("platform", custom("*", "*")),
        ("cluster", json!({"customRules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]})),
        (
            "cluster",
            json!({"aggregationRules": [{"scope": "cluster", "clusterRoleSelectors": [
            {"matchLabels": {"rbac.cpaas.io/aggregate-to-cluster-admin": "true"}}]}]}),
        ),
    ] {
        let wide = made(level, spec);
        for write in [
            Write::Create(&wide),
            Write::Update { old: &fine, new: &wide },
            Write::Update { old: &wide, new: &fine },
            Write::Delete(&wide),
        ] {
            assert!(matches!(may("wes", write), Err(Denied::Lacks { .. })), "{write:?}");
            assert_eq!(may("root", write), Ok(()));
            for who in ["aud", "ops", "pam", "nat", "dev", "nobody"] {
                assert!(matches!(may(who, write), Err(Denied::Place { .. })), "{who} {write:?}");
            }
        }
    }
    let official: RoleTemplate = crate::roles::shipped_templates().remove(0);
    assert!(matches!(may("root", Write::Delete(&official)), Err(Denied::Official(_))));
    assert!(matches!(may("root", Write::Create(&made("galaxy", json!({})))), Err(Denied::Template(_))));
}

#[test]
fn case_46_a_binding_stays_where_its_author_may_write() {
    let fleet = Fleet::new();
    let admin = |constraint: Value| zoe("project-admin-system", "project", constraint);
    let developer = |place| zoe("namespace-developer-system", "namespace", in_namespace(place));
    // A role of a cluster.
    for role in ["cluster-admin-system", "platform-admin-system", "platform-auditor-system", "no-such-role"] {
        check(&fleet, "pam", &zoe(role, "project", json!([{"project": "shop"}])), false);
        check(&fleet, "nat", &zoe(role, "namespace", in_namespace(SHOP_A)), false);
    }
    check(&fleet, "pam", &zoe("cluster-admin-system", "cluster", json!([{"cluster": "eu"}])), false);
    // Another project, alone and beside one's own.
    check(&fleet, "pam", &admin(json!([{"project": "bank"}])), false);
    check(&fleet, "pam", &admin(json!([{"project": "shop"}, {"project": "bank"}])), false);
    check(&fleet, "pam", &admin(json!([{"project": "no-such-project"}])), false);
    // Another cluster.
    check(&fleet, "eve", &admin(json!([{"project": "shop"}])), false);
    check(&fleet, "eve", &admin(json!([{"project": "shop", "cluster": "us"}])), false);
    check(&fleet, "pam", &admin(json!([{"project": "shop", "cluster": "asia"}])), false);
    check(&fleet, "bob", &admin(json!([{"project": "bank", "cluster": "us"}])), false);
    // Another namespace, as one's own, and one that is nobody's yet.
    for (who, place) in [
        ("nat", ("shop", "eu", "shop-b")),
        ("nat", ("bank", "eu", "shop-a")),
        ("nat", ("bank", "eu", "bank-a")),
        ("nat", ("shop", "us", "shop-a")),
        ("nat", ("shop", "eu", "tomorrow")),
        ("pam", ("bank", "eu", "bank-a")),
        ("pam", ("bank", "eu", "shop-a")),
    ] {
        check(&fleet, who, &developer(place), false);
    }
}

#[test]
fn case_46_what_a_member_says_gives_nothing_beyond_it() {
    let mut fleet = Fleet::new();
    // Whoever runs a member may have it say anything, of anybody.
    let root_of_member = |cluster: &str| {
        json!({
            "kind": "ClusterRoleBinding", "metadata": {"name": format!("{cluster}-all")}, "subjects": [user("mal")],
            "roleRef": {"kind": "ClusterRole", "name": "cpaas:cluster-admin-system:cluster"},
        })
    };
    fleet.add("eu", root_of_member("eu"));
    fleet.build();
    check(&fleet, "mal", &zoe("cluster-admin-system", "cluster", json!([{"cluster": "eu"}])), true);
    for wanted in [
        zoe("platform-admin-system", "platform", json!([])),
        zoe("cluster-admin-system", "cluster", json!([{"cluster": "us"}])),
        zoe("project-admin-system", "project", json!([{"project": "shop"}])),
        zoe("project-admin-system", "project", json!([{"project": "shop", "cluster": "eu"}])),
        // It would show the project on the hub.
        zoe("namespace-developer-system", "namespace", in_namespace(SHOP_A)),
    ] {
        check(&fleet, "mal", &wanted, false);
    }
}

#[test]
fn case_46_what_is_not_there_and_what_is_anothers_look_alike() {
    let fleet = Fleet::new();
    let said = |project: &str| {
        let wanted = zoe("project-admin-system", "project", json!([{"project": project}]));
        asked(&fleet, "pam", Verb::Create, &wanted).unwrap_err().to_string().replace(project, "P")
    };
    assert_eq!(said("bank"), said("nowhere"));
    let said = |cluster: &str, namespace: &str| {
        let wanted = zoe("namespace-developer-system", "namespace", in_namespace(("bank", cluster, namespace)));
        let denied = asked(&fleet, "pam", Verb::Create, &wanted).unwrap_err().to_string();
        denied.replace(cluster, "C").replace(namespace, "N")
    };
    assert_eq!(said("eu", "bank-a"), said("asia", "bank-z"));
}

#[test]
fn case_51_every_name_is_swapped_for_anothers() {
    let fleet = Fleet::new();
    // Each person at each other's things, by each way to name them.
    for (who, others) in [
        ("pam", ("bank", "eu", "bank-a")),
        ("bob", SHOP_A),
        ("nat", ("bank", "eu", "bank-a")),
        ("dev", ("bank", "eu", "bank-a")),
    ] {
        let (project, cluster, _) = others;
        for role in ["namespace-admin-system", "namespace-developer-system"] {
            check(&fleet, who, &zoe(role, "namespace", in_namespace(others)), false);
        }
        check(&fleet, who, &zoe("project-admin-system", "project", json!([{"project": project}])), false);
        check(
            &fleet,
            who,
            &zoe("project-admin-system", "project", json!([{"project": project, "cluster": cluster}])),
            false,
        );
    }
    let projects = fleet.view.hub();
    let read = |name: &str| -> api_types::tenancy::Project { from_value((*projects.projects[name]).clone()).unwrap() };
    let (shop, bank) = (read("shop"), read("bank"));
    let may = |who: &str, write: Write<'_, _>| project(&*fleet.view, person(who).user(), write).is_ok();
    let described = |of: &api_types::tenancy::Project| {
        let mut changed = of.clone();
        changed.metadata.annotations = Some([("cpaas.io/description".to_owned(), "x".to_owned())].into());
        changed
    };
    let wider = |of: &api_types::tenancy::Project| {
        let mut changed = of.clone();
        changed.spec.clusters.pop();
        changed
    };
    assert!(may("pam", Write::Update { old: &shop, new: &described(&shop) }));
    assert!(!may("pam", Write::Update { old: &bank, new: &described(&bank) }));
    assert!(!may("pam", Write::Update { old: &shop, new: &wider(&shop) }));
    assert!(!may("pam", Write::Delete(&shop)));
    assert!(!may("pam", Write::Create(&shop)));
    for write in [Write::Create(&shop), Write::Update { old: &shop, new: &wider(&shop) }, Write::Delete(&shop)] {
        assert!(may("root", write));
        for who in ["aud", "ops", "bob", "nat", "dev", "nobody"] {
            assert!(!may(who, write), "{who} {write:?}");
        }
    }
    for (who, allowed) in [("root", true), ("ops", true), ("aud", false), ("pam", false), ("nat", false)] {
        assert_eq!(project_quota(&*fleet.view, person(who).user(), "eu", "shop").is_ok(), allowed, "{who}");
        assert!(project_quota(&*fleet.view, person(who).user(), "asia", "shop").is_err());
    }
}

#[test]
fn a_cluster_of_which_nothing_is_known() {
    let fleet = Fleet::new();
    fleet.lose("us");
    let shop = zoe("project-admin-system", "project", json!([{"project": "shop"}]));
    assert_eq!(asked(&fleet, "pam", Verb::Create, &shop), Err(Denied::Unknown("us".into())));
    assert!(matches!(asked(&fleet, "bob", Verb::Create, &shop), Err(Denied::Place { .. })));
    check(&fleet, "root", &shop, true);
    check(&fleet, "pam", &zoe("project-admin-system", "project", json!([{"project": "shop", "cluster": "eu"}])), true);
    fleet.lose("global");
    assert_eq!(asked(&fleet, "root", Verb::Create, &shop), Err(Denied::Unknown("global".into())));
}

#[test]
fn whoever_may_is_told_what_is_wrong() {
    let fleet = Fleet::new();
    for (wanted, says) in [
        (zoe("no-such-role", "project", json!([{"project": "shop"}])), "no RoleTemplate \"no-such-role\""),
        (zoe("cluster-admin-system", "project", json!([{"project": "shop"}])), "is of level cluster"),
        (zoe("project-admin-system", "project", json!([{"project": "gone"}])), "no Project \"gone\""),
        (
            zoe("project-admin-system", "project", json!([{"project": "bank", "cluster": "us"}])),
            "\"us\" is not one of project \"bank\"",
        ),
    ] {
        let denied = asked(&fleet, "root", Verb::Create, &wanted).unwrap_err();
        assert!(denied.is_invalid() && denied.to_string().contains(says), "{denied}");
        assert_eq!(asked(&fleet, "root", Verb::Delete, &wanted), Ok(()), "what gives nothing may go");
    }
}
