//! Roles that are given and taken.

use serde_json::{Value, json};

use super::{at_work, check, sent, writes};
use crate::Machine;
use crate::simulated::Platform;
use crate::simulated::tenancy::BINDINGS;

const ANN: &str = "ann@example.com";
const RBAC: &str = "/kubernetes/east/apis/rbac.authorization.k8s.io/v1";

fn bindings(platform: &Platform) -> Vec<Value> {
    let state = platform.state.lock().unwrap();
    let below = state.objects.iter().filter(|(key, _)| key.starts_with(BINDINGS));
    below.map(|(_, binding)| binding["spec"].clone()).collect()
}

fn policy<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["adm", "policy"], words].concat()
}

#[test]
fn a_role_in_a_project_is_given_once_and_taken() {
    let (platform, machine) = at_work();
    let add = policy(&[
        "add-project-role-to-user",
        "project-admin-system",
        "Ann@Example.com",
        "bob@example.com",
        "--project",
        "shop",
    ]);
    let said = "roletemplate.auth.alauda.io/project-admin-system added: \"ann@example.com\"\n\
                roletemplate.auth.alauda.io/project-admin-system added: \"bob@example.com\"\n";
    check(&machine.run(&add), 0, said, "");
    check(&machine.run(&add), 0, said, "");
    let made = bindings(&platform);
    assert_eq!(made.len(), 2);
    assert!(made.contains(&json!({"subjects": [{"kind": "User", "name": ANN}], "roleRef": "project-admin-system",
        "scope": "project", "constraint": [{"project": "shop"}]})));
    let remove = policy(&["remove-project-role-from-user", "project-admin-system", ANN, "--project", "shop"]);
    let said = "roletemplate.auth.alauda.io/project-admin-system removed: \"ann@example.com\"\n";
    check(&machine.run(&remove), 0, said, "");
    assert_eq!(bindings(&platform).len(), 1);
    check(&machine.run(&remove), 1, "", "error: unable to find target [ann@example.com]\n");
    let zh = machine.run_with(&remove, "", &[("AC_LANG", "zh")]);
    assert_eq!(zh.err, "error: 找不到目标 [ann@example.com]\n");
}

#[test]
fn a_name_that_nobody_has_is_told_and_given_all_the_same() {
    let (_platform, machine) = at_work();
    let add = policy(&["add-platform-role-to-user", "platform-auditor-system", "nobody@example.com"]);
    let said = "roletemplate.auth.alauda.io/platform-auditor-system added: \"nobody@example.com\"\n";
    check(&machine.run(&add), 0, said, "warning: user \"nobody@example.com\" has not been here yet\n");
    let dry = machine.run(&[&add[..], &["--dry-run"]].concat());
    assert_eq!(dry.err, "", "nothing is asked");
    let word = machine.run(&policy(&["add-platform-role-to-user", "platform-auditor-system", "nobody"]));
    assert!(word.code == 1 && word.err.starts_with("Error from server (Forbidden)"), "{}", word.err);
}

#[test]
fn each_scope_says_where() {
    let (platform, machine) = at_work();
    let give = |words: &[&str]| {
        let outcome = machine.run(&policy(words));
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.err);
        let spec = sent(&platform, &format!("POST {BINDINGS}")).pop().unwrap()["spec"].clone();
        (spec["scope"].clone(), spec["constraint"].clone(), spec["subjects"][0].clone())
    };
    let group = json!({"kind": "Group", "name": "devs"});
    assert_eq!(
        give(&[
            "add-namespace-role-to-group",
            "namespace-developer-system",
            "devs",
            "-n",
            "shop-web",
            "--project",
            "shop",
            "--cluster",
            "west"
        ]),
        (json!("namespace"), json!([{"project": "shop", "cluster": "west", "namespace": "shop-web"}]), group.clone())
    );
    assert_eq!(
        give(&["add-project-role-to-group", "project-admin-system", "devs", "--project", "shop", "--cluster", "west"]),
        (json!("project"), json!([{"project": "shop", "cluster": "west"}]), group.clone())
    );
    assert_eq!(
        give(&["add-platform-role-to-group", "platform-auditor-system", "devs"]),
        (json!("platform"), Value::Null, group.clone())
    );
    assert_eq!(
        give(&["add-platform-role-to-group", "cluster-admin-system", "devs", "--cluster", "west"]),
        (json!("cluster"), json!([{"cluster": "west"}]), group)
    );
    let before = writes(&platform).len();
    for nonsense in [
        &["add-namespace-role-to-user", "r", ANN, "--project", "shop", "--cluster", "west"][..],
        &["add-namespace-role-to-user", "r", ANN, "--project", "shop", "-n", "shop-web"],
        &["add-project-role-to-user", "r", ANN],
        &["add-project-role-to-user", "r", "--project", "shop"],
        &["add-project-role-to-user", "r", ANN, "--project", "a/b"],
    ] {
        assert_eq!(machine.run(&policy(nonsense)).code, 3, "{nonsense:?}");
    }
    assert_eq!(writes(&platform).len(), before);
}

#[test]
fn who_gains_what_is_told_before_it_happens() {
    let (platform, machine) = at_work();
    let rules = json!([{"verbs": ["get", "\u{1b}[2J"], "apiGroups": ["apps"], "resources": ["deployments"]}]);
    let answer = json!({
        "gains": [{"subject": {"kind": "User", "name": ANN}, "cluster": "east", "namespace": "shop-web", "rules": rules}],
        "losses": [{"subject": {"kind": "Group", "name": "d\u{9b}evs"}, "cluster": "west", "rules": rules}],
        "unknownClusters": ["north"]});
    platform.state.lock().unwrap().tenancy.answers.insert("/auth/v1/bindings/preview", answer);
    let add = policy(&["add-project-role-to-user", "project-admin-system", ANN, "--project", "shop"]);
    let table = "Resources          Non-Resource URLs   Resource Names   Verbs\n\
                 deployments.apps   []                  []               [get ^[[2J]\n\n";
    let said = format!(
        "User \"ann@example.com\" gains in namespace shop-web of cluster east:\n{table}\
         Group \"d\\u{{9b}}evs\" loses in cluster west:\n{table}\
         roletemplate.auth.alauda.io/project-admin-system added: \"ann@example.com\" (server dry run)\n"
    );
    let blind = "warning: nothing is known of these clusters, where it would count too: north\n";
    let outcome = machine.run(&[&add[..], &["--dry-run=server"]].concat());
    check(&outcome, 0, &said, blind);
    assert_eq!(writes(&platform), ["POST /auth/v1/bindings/preview"]);
    let preview = sent(&platform, "POST /auth/v1/bindings/preview").remove(0);
    assert_eq!(
        (preview["create"][0]["spec"]["roleRef"].as_str(), &preview["delete"]),
        (Some("project-admin-system"), &json!([]))
    );
    let client = machine.run(&[&add[..], &["--dry-run=client", "-o", "name"]].concat());
    assert!(client.out.starts_with("userbinding.auth.alauda.io/project-admin-system-"), "{}", client.out);
    assert_eq!(writes(&platform).len(), 1);
    platform
        .state
        .lock()
        .unwrap()
        .tenancy
        .answers
        .insert("/auth/v1/bindings/preview", json!({"gains": [], "losses": []}));
    let yaml = machine.run(&[&add[..], &["--dry-run=server", "-o", "yaml"]].concat());
    assert!(yaml.out.starts_with("apiVersion: auth.alauda.io/v1\n"), "{}", yaml.out);
    assert_eq!(yaml.err, "Nobody gains or loses anything.\n");
}

/// Whoever takes a part of a binding away must not take the rest from others for a moment.
#[test]
fn a_part_of_a_binding_is_taken_after_the_rest_is_given_anew() {
    let (platform, machine) = at_work();
    let add = |subjects: Value, role: &str| {
        let binding = json!({"metadata": {"name": "old"}, "spec": {"roleRef": role, "scope": "project",
            "subjects": subjects, "constraint": [{"project": "shop"}]}});
        platform.state.lock().unwrap().objects.insert(format!("{BINDINGS}/old"), binding);
    };
    let both = json!([{"kind": "User", "name": ANN}, {"kind": "User", "name": "bob@example.com"}]);
    add(both.clone(), "project-admin-system");
    let remove = policy(&["remove-project-role-from-user", "project-admin-system", ANN, "--project", "shop"]);
    assert_eq!(machine.run(&remove).code, 0);
    assert_eq!(writes(&platform), [format!("POST {BINDINGS}"), format!("DELETE {BINDINGS}/old")]);
    assert_eq!(bindings(&platform)[0]["subjects"], json!([{"kind": "User", "name": "bob@example.com"}]));
    add(both, "forbidden");
    let remove = policy(&["remove-project-role-from-user", "forbidden", ANN, "--project", "shop"]);
    let refused = machine.run(&remove);
    check(&refused, 1, "", "Error from server (Forbidden): you cannot give what you do not hold\n");
    assert_eq!(bindings(&platform).len(), 2, "nothing is taken when the rest cannot be given");
}

fn with_role() -> (Platform, Machine) {
    let (platform, machine) = at_work();
    let role = json!({"kind": "ClusterRole", "metadata": {"name": "edit"},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
    platform.state.lock().unwrap().objects.insert(format!("{RBAC}/clusterroles/edit"), role);
    (platform, machine)
}

#[test]
fn a_clusters_role_is_bound_in_the_cluster_in_force() {
    let (platform, machine) = with_role();
    let add = policy(&["add-cluster-role-to-user", "edit", ANN]);
    let said = "clusterrole.rbac.authorization.k8s.io/edit added: \"ann@example.com\"\n";
    check(&machine.run(&add), 0, said, "");
    check(&machine.run(&add), 0, said, "");
    let made = sent(&platform, &format!("POST {RBAC}/clusterrolebindings")).remove(0);
    assert_eq!(
        made["roleRef"],
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"})
    );
    assert_eq!(made["subjects"], json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": ANN}]));

    let local = policy(&["add-role-to-user", "edit", "system:serviceaccount:ci:bot", "-n", "team"]);
    let trial = machine.run(&[&local[..], &["--dry-run=server"]].concat());
    check(
        &trial,
        0,
        "ServiceAccount \"ci/bot\" gets what clusterrole.rbac.authorization.k8s.io/edit holds, in namespace team of cluster east:\n\
         Resources   Non-Resource URLs   Resource Names   Verbs\npods        []                  []               [get]\n\n\
         clusterrole.rbac.authorization.k8s.io/edit added: \"system:serviceaccount:ci:bot\" (server dry run)\n",
        "",
    );
    assert_eq!(machine.run(&local).code, 0);
    let made = sent(&platform, &format!("POST {RBAC}/namespaces/team/rolebindings")).remove(0);
    assert_eq!(made["subjects"], json!([{"kind": "ServiceAccount", "namespace": "ci", "name": "bot"}]));
    let own = policy(&["add-role-to-group", "mine", "devs", "--role-namespace", "team"]);
    let missing = machine.run(&own);
    let said = "role.rbac.authorization.k8s.io/mine added: \"devs\"\n";
    check(&missing, 0, said, "warning: role.rbac.authorization.k8s.io/mine not found\n");
    let elsewhere = policy(&["add-role-to-group", "mine", "devs", "--role-namespace", "team", "-n", "other"]);
    assert_eq!(machine.run(&elsewhere).code, 3);
}

#[test]
fn a_clusters_role_is_unbound_from_one_of_many() {
    let (platform, machine) = with_role();
    let binding = |name: &str, subjects: Value, labels: Value| {
        let binding = json!({"metadata": {"name": name, "uid": "u", "resourceVersion": "7", "labels": labels,
                "annotations": {"auth.cpaas.io/binding": "ops\u{1b}"}},
            "roleRef": {"kind": "ClusterRole", "name": "edit"}, "subjects": subjects});
        platform.state.lock().unwrap().objects.insert(format!("{RBAC}/clusterrolebindings/{name}"), binding);
    };
    let user = |name: &str| json!({"kind": "User", "name": name});
    binding("both", json!([user(ANN), user("bob")]), json!({}));
    binding("alone", json!([user(ANN)]), json!({}));
    binding("managed", json!([user("eve")]), json!({"auth.cpaas.io/managed": "true"}));
    let remove = |name: &'static str| policy(&["remove-cluster-role-from-user", "edit", name]);
    let dry = machine.run(&[&remove(ANN)[..], &["--dry-run=client"]].concat());
    assert_eq!(dry.out, "clusterrole.rbac.authorization.k8s.io/edit removed: \"ann@example.com\" (dry run)\n");
    assert_eq!(writes(&platform), Vec::<String>::new());
    let said = "clusterrole.rbac.authorization.k8s.io/edit removed: \"ann@example.com\"\n";
    check(&machine.run(&remove(ANN)), 0, said, "");
    let stored =
        |name: &str| platform.state.lock().unwrap().objects.get(&format!("{RBAC}/clusterrolebindings/{name}")).cloned();
    assert_eq!(stored("both").unwrap()["subjects"], json!([user("bob")]));
    assert_eq!(stored("alone"), None);
    let precondition = sent(&platform, &format!("DELETE {RBAC}/clusterrolebindings/alone")).remove(0);
    assert_eq!(precondition["preconditions"], json!({"uid": "u", "resourceVersion": "7"}));
    check(&machine.run(&remove(ANN)), 1, "", "error: unable to find target [ann@example.com]\n");
    let managed = machine.run(&remove("eve"));
    assert!(managed.code == 1 && managed.err.contains("user binding \"ops^[\" of the platform"), "{}", managed.err);
    assert!(stored("managed").is_some());
}
