//! What the kinds fill in, against what a Kubernetes 1.34 server filled in.
//!
//! Left out of the expectations are the parts of others: admission (tolerations,
//! priorities, tokens, finalizers) and allocation (addresses, node ports).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeSet;

use api_meta::{Object, Value};
use apiserver_builtin::resources;

#[test]
fn creations_are_filled_in_as_upstream_does() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("data/defaults.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let differences = differences(case);
        if !differences.is_empty() {
            wrong.push(format!("{}\n  {}", case["name"].as_str().unwrap(), differences.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn differences(case: &Value) -> Vec<String> {
    let resource = resources()
        .into_iter()
        .find(|r| r.info.plural == case["resource"] && r.info.group_version().to_string() == case["apiVersion"])
        .unwrap();
    let mut object = Object::try_from(case["sent"].clone()).unwrap();
    object.set_meta_str("uid", "<uid>");
    resource.strategy.default(&mut object);
    resource.strategy.prepare_for_create(&mut object);
    // Defaults run again whenever an object is read or written: they must be at rest now.
    let before = object.clone();
    resource.strategy.default(&mut object);
    let mut found = Vec::new();
    compare("again", &object.to_value(), &before.to_value(), &mut found);
    for (path, expect) in case["expect"].as_object().unwrap() {
        let keys: Vec<_> = path.split('.').collect();
        compare(path, object.at(&keys).unwrap_or(&Value::Null), expect, &mut found);
    }
    if !case["expect"].as_object().unwrap().keys().any(|k| k.contains('.')) && case["expect"].get("metadata").is_some()
    {
        let extra = object.keys().filter(|k| !["apiVersion", "kind"].contains(&k.as_str()));
        found.extend(extra.filter(|k| case["expect"].get(*k).is_none()).map(|k| format!("{k} is not expected")));
    }
    found
}

fn compare(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => compare(&format!("{path}.{key}"), a, b, found),
                    (a, b) => found.push(format!("{path}.{key}: ours {a:?}, theirs {b:?}")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| compare(&format!("{path}[{i}]"), a, b, found));
        }
        (_, Value::String(token)) if token == "<time>" => {
            if ours.as_str().and_then(api_meta::parse_time).is_none() {
                found.push(format!("{path}: {ours} is no time"));
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{path}: ours {a}, theirs {b}")),
    }
}
