//! Discovery of the built-in resources is that of a Kubernetes 1.34 server.
//!
//! `resources.txt` and `aggregated.txt` hold the essence of what such a server
//! answered, a line for each resource.

use std::sync::Arc;

use api_meta::Value;
use apiserver_discovery::{Group, aggregated, groups, legacy};
use apiserver_model::ResourceInfo;

fn served() -> Vec<Group> {
    let infos: Vec<Arc<ResourceInfo>> = apiserver_builtin::resources().iter().map(|r| Arc::clone(&r.info)).collect();
    groups(&infos)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().filter(|t| !t.is_empty()).unwrap_or("-")
}

fn joined(value: &Value) -> String {
    let items: Vec<_> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if items.is_empty() { "-".into() } else { items.join(",") }
}

#[track_caller]
fn compare(ours: &[String], theirs: &str) {
    let theirs: Vec<&str> = theirs.lines().collect();
    for line in &theirs {
        assert!(ours.iter().any(|o| o == line), "missing: {line}");
    }
    assert_eq!(ours, theirs);
}

#[test]
fn resource_lists() {
    let recorded = include_str!("resources.txt");
    let groups = served();
    let mut ours = Vec::new();
    for title in recorded.lines().filter_map(|line| line.strip_prefix("# ")) {
        let (group, version) = title.split_once('/').unwrap_or(("", title));
        let found = groups.iter().find(|g| g.name == group).unwrap_or_else(|| panic!("no group {group}"));
        let (_, infos) = found.versions.iter().find(|(v, _)| v == version).unwrap();
        let list = legacy::resource_list(title, infos);
        assert_eq!(list["groupVersion"], title);
        ours.push(format!("# {title}"));
        for entry in list["resources"].as_array().unwrap() {
            let version = match entry.get("version") {
                Some(version) => format!("{}/{}", text(entry, "group"), version.as_str().unwrap()),
                None => "-".into(),
            };
            ours.push(format!(
                "{} {} {} {version} {} {} {} {} {}",
                text(entry, "name"),
                text(entry, "singularName"),
                if entry["namespaced"] == true { "namespaced" } else { "cluster" },
                text(entry, "kind"),
                joined(&entry["verbs"]),
                joined(&entry["shortNames"]),
                joined(&entry["categories"]),
                text(entry, "storageVersionHash"),
            ));
        }
    }
    compare(&ours, recorded);
}

#[test]
fn aggregated_documents() {
    let kind = |value: &Value| {
        let part = |key: &str| value["responseKind"][key].as_str().unwrap_or_default().to_owned();
        [part("group"), part("version"), part("kind")].join("/")
    };
    let mut ours = Vec::new();
    let groups = served();
    for core in [true, false] {
        let list = aggregated::group_discovery_list(&groups, core);
        for group in list["items"].as_array().unwrap() {
            for version in group["versions"].as_array().unwrap() {
                let name = text(&group["metadata"], "name");
                ours.push(format!("# {name} {} {}", text(version, "version"), text(version, "freshness")));
                for resource in version["resources"].as_array().unwrap() {
                    ours.push(format!(
                        "{} {} {} {} {} {} {}",
                        text(resource, "resource"),
                        text(resource, "singularResource"),
                        text(resource, "scope"),
                        kind(resource),
                        joined(&resource["verbs"]),
                        joined(&resource["shortNames"]),
                        joined(&resource["categories"]),
                    ));
                    for sub in resource["subresources"].as_array().into_iter().flatten() {
                        ours.push(format!("  {} {} {}", text(sub, "subresource"), kind(sub), joined(&sub["verbs"])));
                    }
                }
            }
        }
    }
    compare(&ours, include_str!("aggregated.txt"));
}
