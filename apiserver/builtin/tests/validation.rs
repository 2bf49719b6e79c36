//! What is refused on creation and why, against the answers of a Kubernetes 1.34 server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use api_meta::{Object, Value};
use apiserver_builtin::resources;

#[test]
fn refusals_are_upstreams() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("data/invalid.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let ours = errors(case);
        let theirs: Vec<_> = case["errors"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
        if ours != theirs {
            let (ours, theirs) = (ours.join("\n    "), theirs.join("\n    "));
            wrong.push(format!("{}\n  ours:\n    {ours}\n  theirs:\n    {theirs}", case["name"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The causes of a refusal, sorted: their order is not the same every time upstream either.
fn errors(case: &Value) -> Vec<String> {
    let resource = resources()
        .into_iter()
        .find(|r| r.info.plural == case["resource"] && r.info.group_version().to_string() == case["apiVersion"])
        .unwrap();
    let mut object = Object::try_from(case["sent"].clone()).unwrap();
    object.set_meta_str("uid", "6c1f8a9e-0000-4000-8000-000000000001");
    if resource.info.namespaced() {
        object.set_meta_str("namespace", "test");
    }
    let strategy = &resource.strategy;
    strategy.default(&mut object);
    strategy.prepare_for_create(&mut object);
    let mut errors = api_meta::validation::object_meta(&object, resource.info.namespaced(), strategy.name_rule());
    errors.extend(strategy.validate(&object));
    let mut texts: Vec<_> = errors.causes().into_iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
    texts.sort();
    texts
}
