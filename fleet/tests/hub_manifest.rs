//! What an administrator applies for the hub: what is in it, and that it asks for no more than it says.

use fleet::{HUB, HubManifest};
use serde_json::{Value, json};

fn rendered() -> Vec<Value> {
    let image = "registry.example.com/acp:1";
    HubManifest { image, address: "hub.example.com:443", replicas: 2, rights: &[] }.objects()
}

#[test]
fn a_hub_runs_as_nobody_and_writes_nothing() {
    let objects = rendered();
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    assert!(pod["volumes"].is_null() && container["volumeMounts"].is_null(), "all state is in the API: {pod}");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "door", "{probe}");
    }
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], deployment["spec"]["template"]["metadata"]["labels"]);
    assert_eq!(deployment["spec"]["replicas"], 2);
}

#[test]
fn what_is_needed_comes_before_who_needs_it_and_nothing_is_secret() {
    let objects = rendered();
    let kinds: Vec<_> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("Namespace", "Deployment"));
    assert!(!kinds.contains(&"Secret"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "CustomResourceDefinition").count(), api_types::crds().len());
    assert!(objects.iter().all(|object| object["apiVersion"].is_string() && object["metadata"]["name"].is_string()));
    assert_eq!(objects, rendered(), "the same every time");
}

#[test]
fn the_account_of_the_hub_speaks_for_others_and_has_no_other_right() {
    let objects = rendered();
    let bound: Vec<_> = objects
        .iter()
        .filter(|object| object["subjects"].as_array().is_some_and(|all| all.iter().any(|who| who["name"] == HUB)))
        .collect();
    assert_eq!(bound.len(), 1, "{bound:?}");
    let role = &bound[0]["roleRef"]["name"];
    let role = objects.iter().find(|object| object["kind"] == "ClusterRole" && object["metadata"]["name"] == *role);
    let rules = role.unwrap()["rules"].as_array().unwrap();
    assert!(!rules.is_empty() && rules.iter().all(|rule| rule["verbs"] == json!(["impersonate"])), "{rules:?}");
}
