//! Columns and cells against what a Kubernetes 1.34 server shows.

use api_meta::{Object, Value, parse_time};
use apiserver_builtin::resources;
use apiserver_model::Resource;

fn resource(group_version: &str, plural: &str) -> Resource {
    let found = resources()
        .into_iter()
        .find(|r| r.info.plural == plural && r.info.group_version().to_string() == group_version);
    found.unwrap_or_else(|| panic!("no {group_version} {plural}"))
}

#[test]
fn columns_are_upstreams() {
    let mut listed: Vec<&str> = include_str!("data/columns.txt").lines().collect();
    let expected = listed.clone();
    listed.dedup_by_key(|line| line.split('\t').next());
    let mut ours = Vec::new();
    for first in listed {
        let name = first.split('\t').next().unwrap();
        let (group_version, plural) = name.split_once(' ').unwrap();
        for c in resource(group_version, plural).strategy.columns() {
            let start: String = c.description.chars().take(40).collect();
            ours.push(format!("{name}\t{}\t{}\t{}\t{}\t{start}", c.name, c.type_, c.format, c.priority));
        }
    }
    assert_eq!(ours, expected);
}

#[test]
fn cells_are_upstreams() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("data/rows.json")).unwrap();
    let now = parse_time("2026-01-01T00:00:00Z").unwrap();
    for case in cases {
        let strategy = resource(case["apiVersion"].as_str().unwrap(), case["resource"].as_str().unwrap()).strategy;
        let mut object = Object::try_from(case["sent"].clone()).unwrap();
        object.set_meta_str("uid", "<uid>");
        strategy.default(&mut object);
        strategy.prepare_for_create(&mut object);
        if !case["status"].is_null() {
            object.insert("status".into(), case["status"].clone());
        }
        let cells: Vec<Value> = strategy
            .row(&object, now)
            .into_iter()
            // The object was never stored, so it has no age.
            .map(|cell| if cell == "<unknown>" { "<age>".into() } else { cell })
            .collect();
        assert_eq!(&Value::from(cells), &case["cells"], "{} {}", case["resource"], object.name());
    }
}

#[test]
fn every_row_fits_its_columns() {
    let now = parse_time("2026-01-01T00:00:00Z").unwrap();
    for resource in resources() {
        let mut object = Object::default();
        resource.strategy.default(&mut object);
        for object in [&Object::default(), &object] {
            let cells = resource.strategy.row(object, now).len();
            assert_eq!(cells, resource.strategy.columns().len(), "{}", resource.info.plural);
        }
    }
}
