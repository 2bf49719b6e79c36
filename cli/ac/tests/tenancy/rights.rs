//! Why somebody may do something, who may, and what there is.

use serde_json::{Value, json};

use super::{asked, at_work, check};
use crate::Machine;
use crate::simulated::Platform;

const ANN: &str = "ann@example.com";

fn says(platform: &Platform, path: &'static str, answer: Value) {
    platform.state.lock().unwrap().tenancy.answers.insert(path, answer);
}

fn grant() -> Value {
    json!({"userBinding": "shop-admins", "roleTemplate": "namespace-admin-system",
        "subject": {"kind": "Group", "name": "shop-\u{1b}[31mteam"},
        "native": {"kind": "RoleBinding", "namespace": "shop-web", "name": "cpaas:shop-admins:business-ns"},
        "role": {"kind": "ClusterRole", "name": "cpaas:namespace-admin-system:business-ns"},
        "rule": {"verbs": ["create", "get"], "apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"]}})
}

fn pairs(platform: &Platform, path: &str) -> Vec<String> {
    asked(platform, path).into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

#[test]
fn a_right_is_explained_from_the_person_to_the_rule() {
    let (platform, machine) = at_work();
    says(&platform, "/auth/v1/explain", json!({"allowed": true, "grants": [grant()]}));
    let explain = ["auth", "explain", "--as", ANN, "create", "deploy", "-n", "shop-web"];
    check(
        &machine.run(&explain),
        0,
        "yes: ann@example.com can create deployments.apps in namespace shop-web of cluster east\n\n\
         Group          shop-^[[31mteam\n\
         UserBinding    shop-admins\n\
         RoleTemplate   namespace-admin-system\n\
         RoleBinding    shop-web/cpaas:shop-admins:business-ns\n\
         ClusterRole    cpaas:namespace-admin-system:business-ns\n\
         Rule           create,get deployments.apps,deployments.apps/scale\n",
        "",
    );
    assert_eq!(
        pairs(&platform, "/auth/v1/explain"),
        [
            "cluster=east",
            "verb=create",
            "apiGroup=apps",
            "resource=deployments",
            "namespace=shop-web",
            "user=ann@example.com"
        ]
    );
    let json: Value = serde_json::from_str(&machine.ok(&["auth", "explain", "get", "pods", "-o", "json"])).unwrap();
    assert_eq!(json["grants"][0]["userBinding"], "shop-admins");
    let args = [
        "auth",
        "explain",
        "get",
        "pods/web",
        "--subresource",
        "log",
        "--as-group",
        "a",
        "--as-group",
        "b",
        "--cluster",
        "west",
    ];
    let chinese = machine.run_with(&args, "", &[("AC_LANG", "zh")]);
    let first = "yes：a, b 可以在集群 west 的命名空间 default 中 get pods/log web\n";
    assert!(chinese.out.starts_with(first), "{}", chinese.out);
    assert_eq!(
        pairs(&platform, "/auth/v1/explain")[1..],
        ["verb=get", "resource=pods", "subresource=log", "namespace=default", "name=web", "group=a", "group=b"]
    );
    machine.ok(&["auth", "explain", "list", "pods", "-A"]);
    assert!(!pairs(&platform, "/auth/v1/explain").iter().any(|pair| pair.starts_with("namespace")));
}

#[test]
fn what_is_missing_is_told_with_who_can_grant_it() {
    let (platform, machine) = at_work();
    let missing = json!({"rule": {"verbs": ["delete"], "apiGroups": [""], "resources": ["pods"]},
        "templates": [{"roleTemplate": "namespace-admin-system", "scope": "namespace"}],
        "grantors": [{"subject": {"kind": "User", "name": "bob\u{7}"}, "roleTemplates": ["namespace-admin-system"],
            "because": {"roleTemplate": "project-admin-system", "userBinding": "owners"}}]});
    says(&platform, "/auth/v1/explain", json!({"allowed": false, "grants": [], "missing": missing}));
    check(
        &machine.run(&["auth", "explain", "delete", "pods"]),
        1,
        "no: you cannot delete pods in namespace default of cluster east\n\n\
         What is missing: delete pods\n\n\
         Roles that give it:\n\
         ROLE                     SCOPE\n\
         namespace-admin-system   namespace\n\n\
         These can grant it:\n\
         KIND   NAME       CAN GIVE                 BECAUSE OF\n\
         User   bob\\u{7}   namespace-admin-system   project-admin-system (owners)\n",
        "",
    );
    says(&platform, "/auth/v1/explain", json!({"allowed": false, "missing": {}}));
    let alone = machine.run(&["auth", "explain", "create", "projects"]);
    assert_eq!(
        (alone.code, alone.out.as_str()),
        (
            1,
            "no: you cannot create projects.auth.alauda.io in cluster global\n\n\
        Nobody whom you may know of can grant it; ask an administrator of the platform.\n"
        )
    );
    assert!(alone.err.contains("'projects' is a global resource."), "{}", alone.err);
    assert_eq!(machine.run(&["auth", "explain", "delete", "pods", "-o", "yaml"]).code, 1);
}

/// A cluster that is away cannot say what it has; the platform still knows the rights in it.
#[test]
fn a_right_is_explained_also_where_the_resource_is_not_known() {
    let (platform, machine) = at_work();
    says(&platform, "/auth/v1/explain", json!({"allowed": true, "grants": [grant()]}));
    platform.state.lock().unwrap().lost.push("west".to_owned());
    let outcome = machine.run(&["auth", "explain", "get", "widgets.example.com", "--cluster", "west", "-n", "a"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(outcome.err, "Warning: the server doesn't have a resource type 'widgets.example.com'\n");
    assert_eq!(
        pairs(&platform, "/auth/v1/explain"),
        ["cluster=west", "verb=get", "apiGroup=example.com", "resource=widgets", "namespace=a"]
    );
    for nonsense in [
        &["get", "pods/"][..],
        &["get", "/healthz", "a"],
        &["get", "pods/a", "b"],
        &["get"],
        &["get", "pods", "a", "b"],
    ] {
        assert_eq!(machine.run(&[&["auth", "explain"], nonsense].concat()).code, 3, "{nonsense:?}");
    }
}

#[test]
fn a_path_may_be_asked_about() {
    let (platform, machine) = at_work();
    says(&platform, "/auth/v1/explain", json!({"allowed": true, "grants": []}));
    let said = machine.ok(&["auth", "explain", "get", "/metrics", "--cluster", "west"]);
    assert_eq!(said, "yes: you can get /metrics in cluster west\n");
    assert_eq!(pairs(&platform, "/auth/v1/explain"), ["cluster=west", "verb=get", "path=/metrics"]);
}

#[test]
fn who_can_is_a_table_of_people_groups_and_programs() {
    let (platform, machine) = at_work();
    let native = json!({"native": {"kind": "ClusterRoleBinding", "name": "bots"}, "role": {"kind": "ClusterRole", "name": "view"}});
    let answer = json!({"users": [{"name": ANN, "grants": [grant(), grant()]}], "groups": [],
        "serviceAccounts": [{"namespace": "ci", "name": "bot", "grants": [native]}]});
    says(&platform, "/auth/v1/who-can", answer);
    let table = "KIND             NAME              ROLE                     BINDING\n\
                 User             ann@example.com   namespace-admin-system   shop-admins\n\
                 ServiceAccount   ci/bot            view                     bots\n";
    for command in [&["auth", "who-can"][..], &["adm", "policy", "who-can"]] {
        let args = [command, &["get", "secrets", "-n", "shop-web", "--cluster", "west", "-q"]].concat();
        check(&machine.run(&args), 0, table, "");
    }
    assert_eq!(
        pairs(&platform, "/auth/v1/who-can"),
        ["cluster=west", "verb=get", "resource=secrets", "namespace=shop-web"]
    );
    let who_can = ["auth", "who-can", "get", "pods"];
    let names = machine.ok(&[&who_can[..], &["-o", "name"]].concat());
    assert_eq!(names, format!("user/{ANN}\nserviceaccount/ci/bot\n"));
    let yaml = machine.ok(&[&who_can[..], &["-o", "yaml"]].concat());
    assert!(yaml.contains("serviceAccounts:"), "{yaml}");
}

#[cfg(unix)]
#[test]
fn the_rest_of_auth_is_kubectls() {
    let (_platform, mut machine) = at_work();
    let bin = machine.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    crate::kubectl::script(&bin, "kubectl", "echo \"$@\"");
    machine.path = bin.display().to_string();
    assert_eq!(machine.ok(&["auth", "can-i", "get", "pods", "--as", "bob"]), "auth can-i get pods --as bob\n");
    assert_eq!(machine.ok(&["auth", "--as", "bob", "can-i", "get", "pods"]), "auth --as bob can-i get pods\n");
    assert_eq!(
        machine.ok(&["auth", "can-i", "--list", "--cluster", "east"]),
        "--context prod/east auth can-i --list\n"
    );
    let usage = machine.run(&["auth", "explain", "get", "pods", "--list"]);
    assert_eq!(usage.code, 3, "{}{}", usage.out, usage.err);
}

fn with_index() -> (Platform, Machine) {
    let (platform, machine) = at_work();
    let item = |cluster: &str, resource: (&str, &str, &str), metadata: Value| {
        json!({"cluster": cluster, "apiVersion": resource.0, "resource": resource.1, "kind": resource.2,
            "metadata": metadata, "images": ["registry/web:1"]})
    };
    let made = "2020-01-01T00:00:00Z";
    let items = [
        item(
            "east",
            ("apps/v1", "deployments", "Deployment"),
            json!({"name": "web", "namespace": "shop-web", "creationTimestamp": made, "labels": {"app": "web"}}),
        ),
        item(
            "west",
            ("v1", "namespaces", "Namespace"),
            json!({"name": "web\u{1b}]0;x\u{7}", "creationTimestamp": made}),
        ),
    ];
    let stale = json!([{"name": "we\u{9b}st", "since": "2026-01-01T00:00:00Z"}, {"name": "south"}]);
    let answer = json!({"items": items, "total": 7, "staleClusters": stale});
    says(&platform, "/acp/v1/resources/search", answer);
    (platform, machine)
}

#[test]
fn objects_of_all_clusters_are_found() {
    let (platform, machine) = with_index();
    let outcome = machine.run(&["search", "web", "SHOP", "--image", "web:1"]);
    let lines: Vec<Vec<&str>> = outcome.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["CLUSTER", "NAMESPACE", "KIND", "NAME", "AGE"]);
    assert_eq!(lines[1][..4], ["east", "shop-web", "deployments.apps", "web"]);
    assert!(outcome.out.contains("web^[]0;x\\u{7}"), "{}", outcome.out);
    assert_eq!(
        outcome.err,
        "warning: cluster \"we\\u{9b}st\" has not been heard of since 2026-01-01T00:00:00Z; what is shown of it is as it was then\n\
         warning: cluster \"south\" has not been seen whole yet; what is shown of it may be a part\n\
         2 of 7 are shown; --all shows the others too\n"
    );
    assert_eq!(pairs(&platform, "/acp/v1/resources/search"), ["q=web SHOP", "image=web:1", "limit=100"]);
    let args = [
        "search",
        "--kind",
        "deployments.apps",
        "--cluster",
        "east",
        "--project",
        "shop",
        "-n",
        "shop-web",
        "-l",
        "app=web",
        "--sort-by",
        "-age",
        "--limit",
        "5",
        "-o",
        "name",
    ];
    assert_eq!(machine.ok(&args), "east/shop-web/deployments.apps/web\nwest/namespaces/web^[]0;x\\u{7}\n");
    assert_eq!(
        pairs(&platform, "/acp/v1/resources/search"),
        [
            "kind=deployments",
            "group=apps",
            "cluster=east",
            "namespace=shop-web",
            "project=shop",
            "label=app=web",
            "sortBy=a,creationTimestamp",
            "limit=5"
        ]
    );
    machine.ok(&["search", "--kind", "jobs,deployments.apps", "--cluster", "east,west"]);
    assert_eq!(
        pairs(&platform, "/acp/v1/resources/search"),
        ["kind=jobs", "kind=deployments", "cluster=east", "cluster=west", "limit=100"]
    );
    let json: Value = serde_json::from_str(&machine.ok(&["search", "web", "-o", "json", "-q"])).unwrap();
    assert_eq!(json["total"], 7);
    let tsv = machine.ok(&["search", "web", "-o", "tsv", "--no-headers"]);
    assert!(tsv.starts_with("east\tshop-web\tdeployments.apps\tweb\t2020-01-01T00:00:00Z\n"), "{tsv}");
    for nonsense in
        [&["search"][..], &["search", " "], &["search", "x", "--sort-by", "size"], &["search", "x", "--limit", "0"]]
    {
        assert_eq!(machine.run(nonsense).code, 3, "{nonsense:?}");
    }
}
