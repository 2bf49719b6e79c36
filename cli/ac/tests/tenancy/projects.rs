//! Projects, their clusters, quotas and namespaces.

use serde_json::{Value, json};

#[cfg(unix)]
use super::super::sign_in::typed;
use super::{at_work, check, sent, writes};
use crate::Machine;
use crate::simulated::Platform;
use crate::simulated::tenancy::{BINDINGS, PROJECTS, project};

const NOTE: &str = "(i) Note: Targeting global cluster for this command only, as 'projects' is a global resource.\n";

fn with_project() -> (Platform, Machine) {
    let (platform, machine) = at_work();
    let mut state = platform.state.lock().unwrap();
    state.objects.insert(format!("{PROJECTS}/shop"), project("shop", &["east", "west"]));
    for (cluster, name) in [("east", "shop"), ("east", "shop-web"), ("west", "shop-db\u{1b}[2J")] {
        let namespace = json!({"metadata": {"name": name, "labels": {"cpaas.io/project": "shop"}}});
        state.objects.insert(format!("/kubernetes/{cluster}/api/v1/namespaces/{name}"), namespace);
    }
    state.objects.insert(format!("{BINDINGS}/b"), json!({"metadata": {"name": "b"}, "spec": {"roleRef": "r", "constraint": [{"project": "shop"}, {"project": "bank"}]}}));
    drop(state);
    (platform, machine)
}

fn stored(platform: &Platform) -> Value {
    platform.state.lock().unwrap().objects[&format!("{PROJECTS}/shop")]["spec"]["clusters"].clone()
}

#[test]
fn projects_are_listed_as_published() {
    let (platform, machine) = with_project();
    check(&machine.run(&["get", "projects"]), 0, "NAME   STATUS   AGE\nshop   Active   5d\n", NOTE);
    let wide = machine.ok(&["get", "project", "shop", "-o", "wide"]);
    assert!(wide.starts_with("NAME   DISPLAY") && wide.contains("The ^[[31mshop"), "{wide}");
    for word in ["userbindings", "RoleTemplate"] {
        let plural = format!("{}s", word.to_lowercase().trim_end_matches('s'));
        let note = machine.run(&["get", word]).err;
        assert!(note.contains(&format!("as '{plural}' is a global resource.")), "{note}");
    }
    // Each cluster has its own, so this one is about the cluster in force.
    assert!(!machine.run(&["get", "projectquotas"]).err.contains("(i) Note"));
    assert_eq!(sent(&platform, "GET /auth/v1/projects").len(), 0);
}

#[test]
fn whoever_may_not_list_all_projects_sees_their_own_in_the_same_way() {
    let (platform, machine) = with_project();
    let mut state = platform.state.lock().unwrap();
    state.tenancy.tenant = true;
    state.objects.insert(format!("{PROJECTS}/bank"), project("bank", &["east"]));
    drop(state);
    let table = machine.run(&["get", "projects", "--chunk-size", "1"]);
    assert_eq!(table.code, 0, "{}", table.err);
    let lines: Vec<Vec<&str>> = table.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "STATUS", "AGE"]);
    assert_eq!((lines[1][..2].to_vec(), lines[2][..2].to_vec()), (vec!["bank", "Active"], vec!["shop", "Active"]));
    assert_eq!(table.err, NOTE);
    let json: Value = serde_json::from_str(&machine.ok(&["get", "projects", "-o", "json"])).unwrap();
    assert_eq!(
        (json["items"][1]["kind"].as_str(), json["items"][1]["apiVersion"].as_str()),
        (Some("Project"), Some("auth.alauda.io/v1"))
    );
    assert!(machine.ok(&["get", "project", "shop", "-o", "yaml"]).contains("name: east"));
    assert_eq!(
        machine.ok(&["get", "projects", "-o", "name"]),
        "project.auth.alauda.io/bank\nproject.auth.alauda.io/shop\n"
    );
    let sorted = machine.ok(&["get", "projects", "--sort-by", ".spec.clusters[1].name", "--no-headers"]);
    assert!(sorted.starts_with("bank"), "{sorted}");
    let wide = machine.ok(&["get", "projects", "-o", "wide"]);
    assert!(wide.contains("east,west") && !wide.contains('\u{1b}'), "{wide}");
    let none = machine.run(&["get", "project", "nope"]);
    assert!(none.code == 1 && none.err.contains("(NotFound)"), "{}", none.err);
}

#[test]
fn a_project_is_created_with_its_quotas() {
    let (platform, machine) = at_work();
    let args = ["adm", "new-project", "shop", "--cluster", "east,west", "--quota", "east:limits.cpu=10,pods=50"];
    let more = ["--quota", "requests.storage=1Ti", "--display-name", "The shop", "--description", "Sells"];
    let all = [&args[..], &more[..]].concat();
    check(&machine.run(&[&all[..], &["--dry-run"]].concat()), 0, "project.auth.alauda.io/shop created (dry run)\n", "");
    assert_eq!(writes(&platform), Vec::<String>::new());
    let trial = machine.run(&[&all[..], &["--dry-run=server"]].concat());
    check(&trial, 0, "project.auth.alauda.io/shop created (server dry run)\n", "");
    check(&machine.run(&all), 0, "project.auth.alauda.io/shop created\n", "");
    let made = sent(&platform, &format!("POST {PROJECTS}")).remove(0);
    assert_eq!(
        made,
        json!({"apiVersion": "auth.alauda.io/v1", "kind": "Project",
            "metadata": {"name": "shop", "annotations": {"cpaas.io/display-name": "The shop", "cpaas.io/description": "Sells"}},
            "spec": {"clusters": [
                {"name": "east", "quota": {"limits.cpu": "10", "pods": "50", "requests.storage": "1Ti"}},
                {"name": "west", "quota": {"requests.storage": "1Ti"}}]}})
    );
    let again = machine.run(&args);
    assert!(again.code == 1 && again.err.starts_with("Error from server (AlreadyExists)"), "{}", again.err);
    let yaml = machine.ok(&["adm", "new-project", "bank", "--cluster", "east", "--dry-run=client", "-o", "yaml"]);
    assert!(yaml.contains("kind: Project\n"), "{yaml}");
}

#[test]
fn what_makes_no_sense_about_a_project_is_not_sent() {
    let (platform, machine) = at_work();
    for args in [
        &["adm", "new-project", "shop"][..],
        &["adm", "new-project", "Shop", "--cluster", "east"],
        &["adm", "new-project", "..", "--cluster", "east"],
        &["adm", "new-project", "shop", "--cluster", "east/../x"],
        &["adm", "new-project", "shop", "--cluster", "east", "--quota", "west:pods=5"],
        &["adm", "new-project", "shop", "--cluster", "east", "--quota", "pods=many"],
        &["adm", "new-project-namespace", "shop-web", "--project", "shop"],
        &["adm", "new-project-namespace", "shop-web", "--project", "shop", "--cluster", "east,west"],
        &["adm", "new-project-namespace", "shop-web", "--cluster", "east"],
        &["adm", "new-project-namespace", "x", "--project", "shop", "--cluster", "east", "--limit-max", "cpu=many"],
        &["adm", "new-project-namespace", "x", "--project", "shop", "--cluster", "east", "--pod-security", "lax"],
        &["adm", "set-project-quota", "shop", "--cluster", "east", "pods"],
        &["adm", "delete-project", ""],
    ] {
        let outcome = machine.run(args);
        assert_eq!(outcome.code, 3, "{args:?}: {}{}", outcome.out, outcome.err);
    }
    assert_eq!(writes(&platform), Vec::<String>::new());
    for args in [["new-project", "bank"], ["add-project-cluster", "shop"]] {
        let outcome = machine.run(&["adm", args[0], args[1], "--cluster", "east,nowhere"]);
        let error = "error: cluster \"nowhere\" does not exist on the platform or is not visible to you\n";
        check(&outcome, 1, "", error);
    }
    assert_eq!(writes(&platform), Vec::<String>::new());
    let chinese = machine.run_with(&["adm", "new-project", "shop"], "", &[("AC_LANG", "zh")]);
    assert_eq!(chinese.err, "error: 缺少 --cluster\n");
    let namespace = ["adm", "new-project-namespace", "x", "--project", "shop", "--cluster", "east"];
    let lax = machine.run(&[&namespace[..], &["--pod-security", "lax"]].concat());
    assert!(lax.err.contains("'lax' for '--pod-security <LEVEL>'") && lax.err.contains("restricted"), "{}", lax.err);
    let above = [&namespace[..], &["--limit-default", "cpu=2", "--limit-max", "cpu=1"]].concat();
    check(&machine.run(&above), 3, "", "error: --limit-default: cpu=2 is more than --limit-max allows, which is 1\n");
    let chinese = machine.run_with(&above, "", &[("AC_LANG", "zh")]);
    assert_eq!(chinese.err, "error: --limit-default：cpu=2 超过了 --limit-max 的 1\n");
    assert_eq!(writes(&platform), Vec::<String>::new());
}

#[test]
fn a_namespace_has_its_quota_as_soon_as_its_maker_may() {
    let (platform, machine) = at_work();
    let mut state = platform.state.lock().unwrap();
    (state.tenancy.rights_after, state.tenancy.quotas_after) = (2, 1);
    drop(state);
    let args = ["adm", "new-project-namespace", "shop-web", "--project", "shop", "--cluster", "west"];
    let with_quota = [&args[..], &["--quota", "limits.cpu=2,pods=10"]].concat();
    let dry = machine.run(&[&with_quota[..], &["--dry-run=server"]].concat());
    check(&dry, 0, "namespace/shop-web created (server dry run)\nresourcequota/default created (server dry run)\n", "");
    check(&machine.run(&with_quota), 0, "namespace/shop-web created\nresourcequota/default created\n", "");
    let made = sent(&platform, "POST /kubernetes/west/api/v1/namespaces").remove(0);
    assert_eq!(made["metadata"]["labels"], json!({"cpaas.io/project": "shop"}));
    let quotas = "POST /kubernetes/west/api/v1/namespaces/shop-web/resourcequotas";
    assert_eq!(sent(&platform, quotas)[0]["spec"]["hard"], json!({"limits.cpu": "2", "pods": "10"}));
    assert_eq!(sent(&platform, "POST /kubernetes/west/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").len(), 4);

    let large =
        ["adm", "new-project-namespace", "shop-db", "--project", "shop", "--cluster", "west", "--quota", "pods=999"];
    let refused = machine.run(&large);
    check(
        &refused,
        1,
        "namespace/shop-db created\n",
        "Error from server (Forbidden): admission webhook denied the request: exceeds the project's quota\n\
         error: namespace/shop-db was created, resourcequota/default was not. With what was refused put right, the same \
         command with --dry-run=client -o yaml, piped into ac apply --cluster west -f -, makes the rest\n",
    );
}

#[test]
fn a_namespace_says_what_its_containers_get_and_may_do() {
    let (platform, machine) = at_work();
    platform.state.lock().unwrap().tenancy.rights_after = 1;
    let args = ["adm", "new-project-namespace", "shop-web", "--project", "shop", "--cluster", "west"];
    let limits =
        ["--limit-default", "cpu=500m,memory=512Mi", "--limit-default-request=cpu=100m", "--limit-max", "cpu=4"];
    let rest = ["--limit-max", "memory=8Gi", "--pod-security", "baseline", "--quota", "limits.cpu=8"];
    let all = [&args[..], &limits[..], &rest[..]].concat();
    let three = |suffix: &str| {
        ["namespace/shop-web", "limitrange/default", "resourcequota/default"]
            .map(|name| format!("{name} created{suffix}\n"))
            .concat()
    };
    check(&machine.run(&[&all[..], &["--dry-run=client"]].concat()), 0, &three(" (dry run)"), "");
    assert_eq!(writes(&platform), Vec::<String>::new());
    check(&machine.run(&[&all[..], &["--dry-run=server"]].concat()), 0, &three(" (server dry run)"), "");
    assert_eq!(sent(&platform, "POST /kubernetes/west/api/v1/namespaces/shop-web/limitranges").len(), 0);
    let names = machine.ok(&[&all[..], &["--dry-run", "-o", "name"]].concat());
    assert_eq!(names, "namespace/shop-web\nlimitrange/default\nresourcequota/default\n");
    check(&machine.run(&all), 0, &three(""), "");
    let namespaces = sent(&platform, "POST /kubernetes/west/api/v1/namespaces");
    let labels = json!({
        "cpaas.io/project": "shop", "pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/audit": "baseline", "pod-security.kubernetes.io/warn": "baseline",
    });
    assert_eq!(namespaces.last().unwrap()["metadata"]["labels"], labels);
    let range = sent(&platform, "POST /kubernetes/west/api/v1/namespaces/shop-web/limitranges").remove(0);
    assert_eq!(
        (&range["metadata"]["name"], &range["spec"]),
        (
            &json!("default"),
            &json!({"limits": [{"type": "Container", "default": {"cpu": "500m", "memory": "512Mi"},
                "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "4", "memory": "8Gi"}}]})
        )
    );

    // What comes after a refusal is not tried, and both are told.
    let refused = machine.run(&[
        "adm",
        "new-project-namespace",
        "shop-db",
        "--project",
        "shop",
        "--cluster",
        "west",
        "--limit-max",
        "memory=999Gi",
        "--quota",
        "pods=5",
    ]);
    assert_eq!((refused.code, refused.out.as_str()), (1, "namespace/shop-db created\n"));
    let told = "error: namespace/shop-db was created, limitrange/default, resourcequota/default was not. ";
    assert!(
        refused.err.contains("LimitRange \"default\" is invalid\n") && refused.err.contains(told),
        "{}",
        refused.err
    );
    assert_eq!(sent(&platform, "POST /kubernetes/west/api/v1/namespaces/shop-db/resourcequotas").len(), 0);
    // And what is told to go on with, is what there is to write.
    let yaml = machine.ok(&[
        "adm",
        "new-project-namespace",
        "shop-db",
        "--project",
        "shop",
        "--cluster",
        "west",
        "--limit-max",
        "memory=9Gi",
        "--quota",
        "pods=5",
        "--dry-run=client",
        "-o",
        "yaml",
    ]);
    for kind in
        ["kind: List", "kind: Namespace", "kind: LimitRange", "memory: 9Gi", "kind: ResourceQuota", "pods: \"5\""]
    {
        assert!(yaml.contains(kind), "{kind}: {yaml}");
    }
    assert_eq!(yaml.matches("namespace: shop-db").count(), 2, "{yaml}");
}

#[test]
fn a_project_goes_only_when_that_was_meant() {
    let (platform, machine) = with_project();
    platform.state.lock().unwrap().lost.push("west".to_owned());
    let delete = ["adm", "delete-project", "shop"];
    let along = "In cluster east these namespaces stay and belong to no project: shop-web\n\
                 warning: cluster \"west\" did not say which namespaces of the project it has\n\
                 Roles given in it that end: 1\n";
    let unsure = format!("{along}error: deleting project \"shop\" needs --yes: nobody is there to ask\n");
    check(&machine.run(&delete), 2, "", &unsure);
    let dry = machine.run(&[&delete[..], &["--dry-run"]].concat());
    check(&dry, 0, "project.auth.alauda.io \"shop\" deleted (dry run)\n", along);
    assert_eq!(writes(&platform), Vec::<String>::new());
    platform.state.lock().unwrap().lost.clear();
    let kept = machine.run(&[&delete[..], &["--reclaim=false", "--dry-run"]].concat());
    assert!(kept.err.contains("In cluster west these namespaces stay"), "{}", kept.err);
    platform.state.lock().unwrap().tenancy.stale_since = Some("2026-01-01T00:00:00Z\u{7}");
    let stale = machine.run(&[&delete[..], &["--dry-run"]].concat());
    let away = "warning: cluster \"east\" has not been heard of since 2026-01-01T00:00:00Z\\u{7}; what is shown";
    assert!(stale.err.contains(away), "{}", stale.err);
    let reclaimed = machine.run(&[&delete[..], &["--reclaim", "--yes"]].concat());
    assert_eq!((reclaimed.code, reclaimed.out.as_str()), (0, "project.auth.alauda.io \"shop\" deleted\n"));
    assert!(
        reclaimed.err.contains("Deleted in cluster west, with all that is in them: shop-db^[[2J\n"),
        "{}",
        reclaimed.err
    );
    assert_eq!(writes(&platform), ["DELETE /auth/v1/projects/shop?reclaim=true"]);
    let gone = machine.run(&delete);
    assert!(gone.code == 1 && gone.err.starts_with("Error from server (NotFound)"), "{}", gone.err);
}

#[cfg(unix)]
#[test]
fn a_person_types_the_projects_name() {
    let (platform, machine) = with_project();
    let line = format!("{} adm delete-project shop", env!("CARGO_BIN_EXE_ac"));
    let question = "Type its name to confirm: ";
    assert_eq!(typed(&machine, &line, "", &[(question, "yes")]).code, 2);
    assert_eq!(writes(&platform), Vec::<String>::new());
    let outcome = typed(&machine, &line, "", &[(question, "shop")]);
    assert_eq!(outcome.code, 0, "{}", outcome.out);
    assert_eq!(writes(&platform), ["DELETE /auth/v1/projects/shop"]);
}

#[test]
fn clusters_come_and_go_and_quotas_change() {
    let (platform, machine) = with_project();
    platform.state.lock().unwrap().clusters.push("north".to_owned());
    let patched = "project.auth.alauda.io/shop patched\n";
    let add = ["adm", "add-project-cluster", "shop", "--cluster", "north,east", "--quota", "pods=5"];
    check(
        &machine.run(&[&add[..], &["--dry-run=server"]].concat()),
        0,
        "project.auth.alauda.io/shop patched (server dry run)\n",
        "",
    );
    check(&machine.run(&add), 0, patched, "");
    let all = json!([{"name": "east", "quota": {}}, {"name": "west", "quota": {}}, {"name": "north", "quota": {"pods": "5"}}]);
    assert_eq!(stored(&platform), all, "one that is there keeps its quota");
    check(&machine.run(&add), 0, "project.auth.alauda.io/shop patched (no change)\n", "");

    let set = ["adm", "set-project-quota", "shop", "--cluster", "north", "limits.cpu=4", "pods-"];
    check(&machine.run(&set), 0, patched, "");
    assert_eq!(stored(&platform)[2], json!({"name": "north", "quota": {"limits.cpu": "4"}}));
    let unknown = machine.run(&["adm", "set-project-quota", "shop", "--cluster", "south", "pods=1"]);
    check(&unknown, 1, "", "error: project \"shop\" has no cluster \"south\"\n");

    let remove = ["adm", "remove-project-cluster", "shop", "--cluster", "north,east"];
    let stay = "In cluster east these namespaces stay and belong to no project: shop-web\n";
    let unsure = format!("{stay}error: taking clusters from project \"shop\" needs --yes: nobody is there to ask\n");
    check(&machine.run(&remove), 2, "", &unsure);
    check(&machine.run(&[&remove[..], &["--yes"]].concat()), 0, patched, stay);
    assert_eq!(stored(&platform), json!([{"name": "west", "quota": {}}]));
    let again = machine.run(&[&remove[..], &["--yes"]].concat());
    check(&again, 1, "", "error: project \"shop\" has no cluster \"north\"\n");
}
