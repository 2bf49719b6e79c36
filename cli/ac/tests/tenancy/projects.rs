//! Projects, their clusters, quotas and namespaces.

use serde_json::{Value, json};

use super::{at_work, check, sent};
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
