use api_meta::{Value, json};
use apiserver_model::schema::{FieldValidation, Format, decode};
use jiff::Timestamp;

use super::*;

fn definition(versions: Value) -> Object {
    let names = json!({
        "plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList", "shortNames": ["th"],
        "categories": ["all"],
    });
    let spec = json!({"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions});
    let object = json!({"metadata": {"name": "things.example.com"}, "spec": spec});
    establish_at(&Object::try_from(object).unwrap(), &[], "2026-01-01T00:00:00Z")
}

fn version(name: &str, storage: bool, spec: Value) -> Value {
    let schema = json!({"type": "object", "properties": {"spec": spec, "status": {"type": "object", "properties": {
        "replicas": {"type": "integer"}, "selector": {"type": "string"}}}}});
    json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}})
}

fn scaled() -> Resource {
    let properties = json!({"replicas": {"type": "integer"}, "color": {"type": "string"}, "deep": {
        "type": "object", "properties": {"er": {"type": "boolean"}}}});
    let mut version = version("v1", true, json!({"type": "object", "properties": properties}));
    version["subresources"] = json!({"status": {}, "scale": {
        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector",
    }});
    version["selectableFields"] = json!([{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.deep.er"}]);
    resources(&definition(json!([version]))).unwrap().remove(0)
}

fn object(value: Value) -> Object {
    Object::try_from(value).unwrap()
}

#[test]
fn one_resource_for_each_served_version() {
    let any = json!({"type": "object"});
    let mut hidden = version("v1alpha1", false, any.clone());
    hidden["served"] = false.into();
    let resources =
        resources(&definition(json!([version("v1", false, any.clone()), version("v2", true, any), hidden]))).unwrap();
    let named: Vec<_> = resources.iter().map(|r| r.info.group_version_kind().to_string()).collect();
    assert_eq!(named, ["example.com/v1, Kind=Thing", "example.com/v2, Kind=Thing"]);
    let info = &resources[0].info;
    assert_eq!(info.storage_prefix, "example.com/things");
    assert_eq!(info.storage_version.to_string(), "example.com/v2");
    assert_eq!((info.singular.as_str(), info.list_kind.as_str()), ("thing", "ThingList"));
    assert_eq!((info.short_names.join(","), info.categories.join(",")), ("th".into(), "all".into()));
    assert!(info.namespaced() && info.subresources.is_empty());
}

#[test]
fn without_a_storage_version_nothing_is_served() {
    let error = resources(&definition(json!([version("v1", false, json!({"type": "object"}))]))).unwrap_err();
    assert_eq!(error.to_string(), "definition \"things.example.com\" has no storage version");
}

#[test]
fn decoding_goes_by_the_schema() {
    let resource = scaled();
    let body = br#"{"metadata": {"name": "a", "labels": {"a": "b"}}, "spec": {"replicas": "x", "what": 1}}"#;
    let decoded =
        decode(body, Format::Json, &resource.info.group_version_kind(), &resource.schema, FieldValidation::Warn)
            .unwrap();
    assert_eq!(decoded.warnings, ["unknown field \"spec.what\""]);
    let errors = resource.strategy.validate(&decoded.object);
    assert_eq!(
        errors.to_string(),
        "[spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\", \
         .spec.replicas: Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected int64]"
    );
}

#[test]
fn another_kind_is_invalid() {
    let errors = scaled().strategy.validate(&object(json!({"kind": "Thingy"})));
    assert_eq!(errors.to_string(), "kind: Invalid value: \"Thingy\": must be Thing");
}

#[test]
fn scale() {
    let resource = scaled();
    let names: Vec<_> = resource.info.subresources.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["status", "scale"]);
    let mut thing = object(json!({
        "kind": "Thing", "metadata": {"name": "a", "uid": "u"}, "spec": {"replicas": 2}, "status": {"replicas": 1, "selector": "a=b"},
    }));
    let strategy = &resource.strategy;
    assert_eq!(
        strategy.scale(&thing).unwrap().to_value(),
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a", "uid": "u"},
            "spec": {"replicas": 2}, "status": {"replicas": 1, "selector": "a=b"}})
    );
    strategy.set_scale(&mut thing, -1);
    assert_eq!(thing["spec"]["replicas"], -1);
    let errors = strategy.check_update(&thing, &thing.clone());
    assert_eq!(errors.to_string(), ".spec.replicas: Invalid value: -1: should be a non-negative integer");
}

#[test]
fn invalid_status() {
    let old = object(json!({"kind": "Thing"}));
    let new = object(json!({"kind": "Thing", "status": {"replicas": "x"}}));
    assert_eq!(
        scaled().strategy.validate_status_update(&new, &old).to_string(),
        "[status.replicas: Invalid value: \"string\": replicas in body must be of type integer: \"string\", \
         .status.replicas: Invalid value: 0: .status.replicas accessor error: x is of the type string, expected int64]"
    );
}

#[test]
fn a_status_update_changes_only_the_status() {
    let old =
        object(json!({"kind": "Thing", "metadata": {"name": "a", "resourceVersion": "1"}, "spec": {"replicas": 1}}));
    let mut new = object(json!({
        "kind": "Thing", "metadata": {"name": "a", "labels": {"l": "1"}, "resourceVersion": "1", "managedFields": [{}]},
        "spec": {"replicas": 9}, "status": {"replicas": 1},
    }));
    scaled().strategy.prepare_for_status_update(&mut new, &old);
    assert_eq!(
        new.to_value(),
        json!({"kind": "Thing", "metadata": {"name": "a", "resourceVersion": "1", "managedFields": [{}]},
            "spec": {"replicas": 1}, "status": {"replicas": 1}})
    );
}

#[test]
fn generations() {
    let strategy = scaled().strategy;
    let old = object(json!({"metadata": {"generation": 3}, "spec": {"replicas": 1}, "status": {}}));
    let mut status = object(json!({"metadata": {}, "spec": {"replicas": 1}, "status": {"replicas": 1}}));
    strategy.prepare_for_update(&mut status, &old);
    assert_eq!(status.to_value(), old.to_value());
    let mut spec = object(json!({"metadata": {}, "spec": {"replicas": 2}}));
    strategy.prepare_for_update(&mut spec, &old);
    assert_eq!(spec.generation(), 4);
}

#[test]
fn selectable_fields() {
    let strategy = scaled().strategy;
    let thing = object(json!({"spec": {"color": "red", "deep": {"er": true}}}));
    assert_eq!(strategy.selectable(), ["spec.color", "spec.deep.er"]);
    assert_eq!(strategy.field(&thing, "spec.color").as_deref(), Some("red"));
    assert_eq!(strategy.field(&thing, "spec.deep.er").as_deref(), Some("true"));
    assert_eq!(strategy.field(&object(json!({})), "spec.color").as_deref(), Some(""));
    assert_eq!(strategy.field(&thing, "spec.weight"), None);
}

#[test]
fn tables() {
    let mut version = version("v1", true, json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    version["additionalPrinterColumns"] = json!([
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "description": "how big"},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
        {"name": "When", "type": "date", "jsonPath": ".spec.when", "priority": 1},
        {"name": "All", "type": "string", "jsonPath": ".spec.items[*].name"},
        {"name": "Tags", "type": "string", "jsonPath": ".spec.tags"},
        {"name": "Odd", "type": "string", "jsonPath": ".a["},
    ]);
    let strategy = resources(&definition(json!([version]))).unwrap().remove(0).strategy;
    let columns = strategy.columns();
    assert_eq!((columns[0].name.as_str(), columns[1].description.as_str()), ("Name", "how big"));
    assert_eq!(columns[2].description, "Custom resource definition column (in JSONPath format): .spec.on");
    assert_eq!(columns[3].priority, 1);
    let now: Timestamp = "2001-01-01T00:01:00Z".parse().unwrap();
    let full = object(json!({"metadata": {"name": "a"}, "spec": {
        "size": 3.7, "on": true, "when": "2001-01-01T00:00:00Z", "items": [{"name": "p"}, {"name": "q"}], "tags": {"x": "y"},
    }}));
    assert_eq!(Value::Array(strategy.row(&full, now)), json!(["a", 3, true, "60s", "p", "{\"x\":\"y\"}", null]));
    let odd = object(json!({"metadata": {"name": "b"}, "spec": {"size": "big", "when": "soon"}}));
    assert_eq!(Value::Array(strategy.row(&odd, now)), json!(["b", null, null, "<invalid>", null, null, null]));
}

#[test]
fn a_kind_without_columns_shows_its_age() {
    let columns = scaled().strategy.columns();
    let names: Vec<_> = columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["Name", "Age"]);
}

#[test]
fn storage_keeps_what_the_storage_version_knows() {
    let schema =
        |field: &str| json!({"type": "object", "properties": {"a": {"type": "string"}, field: {"type": "string"}}});
    let mut old = version("v1beta1", false, schema("old"));
    old["deprecated"] = true.into();
    let resources = resources(&definition(json!([old, version("v2", true, schema("new"))]))).unwrap();
    let beta = &resources[0].strategy;
    let thing = object(json!({"apiVersion": "example.com/v1beta1", "kind": "Thing", "spec": {"a": "1", "old": "o"}}));
    let stored = beta.convert(thing, &resources[0].info.storage_version);
    assert_eq!(stored.to_value(), json!({"apiVersion": "example.com/v2", "kind": "Thing", "spec": {"a": "1"}}));
    let newer = object(json!({"apiVersion": "example.com/v2", "kind": "Thing", "spec": {"a": "1", "new": "n"}}));
    let read = beta.convert(newer, &resources[0].info.group_version());
    assert_eq!(read.to_value(), json!({"apiVersion": "example.com/v1beta1", "kind": "Thing", "spec": {"a": "1"}}));
    assert_eq!(beta.deprecation_warning(), Some("example.com/v1beta1 Thing is deprecated; use example.com/v2 Thing"));
    assert_eq!(resources[1].strategy.deprecation_warning(), None);
}
