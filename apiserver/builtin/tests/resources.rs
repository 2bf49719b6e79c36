//! The catalog against what a Kubernetes 1.34 server lists.

use std::collections::BTreeMap;

use api_meta::Object;
use apiserver_builtin::resources;
use apiserver_model::{Resource, Scope, Verb};

const EXPECTED: &str = include_str!("data/resources.txt");

fn verbs(verbs: &[Verb]) -> String {
    verbs.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(",")
}

fn lines(resource: &Resource) -> Vec<String> {
    let info = &resource.info;
    let group_version = info.group_version();
    let scope = match info.scope {
        Scope::Cluster => "Cluster",
        Scope::Namespaced => "Namespaced",
    };
    let mut lines = vec![format!(
        "{group_version} {} {} {} {scope} short={} categories={} verbs={}",
        info.plural,
        info.singular,
        info.kind,
        info.short_names.join(","),
        info.categories.join(","),
        verbs(&info.verbs)
    )];
    lines.extend(info.subresources.iter().map(|s| {
        format!(
            "{group_version} {}/{} {} {} verbs={}",
            info.plural,
            s.name,
            s.kind.group_version(),
            s.kind.kind,
            verbs(&s.verbs)
        )
    }));
    lines
}

#[test]
fn names_verbs_and_order_are_upstreams() {
    let listed: Vec<_> = resources().iter().flat_map(lines).collect();
    let expected: Vec<_> = EXPECTED.lines().collect();
    for (ours, theirs) in listed.iter().zip(&expected) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(listed.len(), expected.len());
}

#[test]
fn versions_share_their_storage() {
    let mut stored_as = BTreeMap::new();
    for resource in resources() {
        let info = &resource.info;
        if info.storage_prefix.is_empty() {
            assert!(!info.offers(Verb::Update), "{} is not stored", info.plural);
            continue;
        }
        let form = (info.storage_version.clone(), info.kind.clone());
        assert_eq!(stored_as.entry(info.storage_prefix.clone()).or_insert(form.clone()), &form);
    }
    assert_eq!(stored_as["events"].0.to_string(), "v1");
    assert_eq!(stored_as["horizontalpodautoscalers"].0.to_string(), "autoscaling/v2");
}

#[test]
fn every_kind_has_a_schema() {
    for resource in resources() {
        assert!(resource.schema.properties.contains_key("metadata"), "{}", resource.info.kind);
    }
}

#[test]
fn fields_can_be_read_that_can_be_selected() {
    for resource in resources() {
        for field in resource.strategy.selectable_fields() {
            assert!(resource.strategy.field(&Object::default(), field).is_some(), "{} {field}", resource.info.plural);
        }
        assert_eq!(resource.strategy.field(&Object::default(), "spec.none"), None);
    }
}
