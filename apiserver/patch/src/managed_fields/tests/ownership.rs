//! Plain maps: sharing, conflicts, force, letting go, updates.

use super::*;

fn data(data: Value) -> Value {
    json!({"data": data})
}

fn labelled() -> Value {
    json!({"metadata": {"labels": {"x": "1"}}, "data": {"k": "1", "l": "2"}})
}

#[test]
fn an_apply_owns_what_it_says() {
    World::config_map().apply("one", labelled()).owned(json!([
        ["one Apply", {"f:data": {"f:k": {}, "f:l": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}]
    ]));
}

#[test]
fn the_same_again_changes_nothing() {
    let mut world = World::config_map();
    let before = world.apply("one", labelled()).live.clone();
    world.apply("one", labelled());
    assert_eq!(world.live, before);
}

#[test]
fn a_conflict() {
    World::config_map().apply("one", labelled()).refuses(
        "two",
        data(json!({"k": "9"})),
        409,
        r#"Apply failed with 1 conflict: conflict with "one": .data.k"#,
    );
}

#[test]
fn several_conflicts() {
    World::config_map().apply("one", labelled()).refuses(
        "two",
        json!({"metadata": {"labels": {"x": "9"}}, "data": {"k": "9", "l": "9"}}),
        409,
        "Apply failed with 3 conflicts: conflicts with \"one\":\n- .data.k\n- .data.l\n- .metadata.labels.x",
    );
}

#[test]
fn causes_of_a_conflict() {
    let mut world = World::config_map();
    world.apply("one", labelled());
    let status = Status::from(world.try_apply("two", data(json!({"k": "9"})), false).unwrap_err());
    assert_eq!(
        status.to_value(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 409,
            "message": "Apply failed with 1 conflict: conflict with \"one\": .data.k", "reason": "Conflict",
            "details": {"causes": [
                {"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.k"}]}})
    );
}

#[test]
fn force_takes_over() {
    World::config_map().apply("one", labelled()).force("two", data(json!({"k": "9"}))).owned(json!([
        ["one Apply", {"f:data": {"f:l": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}],
        ["two Apply", {"f:data": {"f:k": {}}}],
    ]));
}

#[test]
fn an_equal_value_is_shared() {
    World::config_map().apply("one", labelled()).apply("two", data(json!({"k": "1"}))).owned(json!([
        ["two Apply", {"f:data": {"f:k": {}}}],
        ["one Apply", {"f:data": {"f:k": {}, "f:l": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}],
    ]));
}

#[test]
fn one_owner_lets_go_and_the_field_stays() {
    let mut world = World::config_map();
    world.apply("one", labelled()).apply("two", data(json!({"k": "1"}))).apply("one", data(json!({"l": "2"})));
    world.has(&["data"], json!({"k": "1", "l": "2"})).has(&["metadata", "labels"], Value::Null);
}

#[test]
fn the_last_owner_lets_go_and_the_field_goes() {
    let mut world = World::config_map();
    world.apply("one", data(json!({"k": "1", "l": "2"}))).apply("two", data(json!({"k": "1"})));
    world.apply("one", data(json!({"l": "2"}))).apply("two", data(json!({})));
    world.has(&["data"], json!({"l": "2"}));
    world.owned(json!([["one Apply", {"f:data": {"f:l": {}}}], ["two Apply", {"f:data": {}}]]));
}

#[test]
fn an_update_takes_fields() {
    let mut world = World::config_map();
    world.apply("one", data(json!({"l": "2"}))).apply("two", data(json!({})));
    world.update("editor", data(json!({"l": "updated"}))).owned(json!([
        ["two Apply", {"f:data": {}}],
        ["editor Update", {"f:data": {"f:l": {}}}],
    ]));
    let text = r#"Apply failed with 1 conflict: conflict with "editor" using v1: .data.l"#;
    world.refuses("one", data(json!({"l": "3"})), 409, text);
}

#[test]
fn an_update_without_change_changes_no_owner() {
    let mut world = World::config_map();
    let before = world.update("golden", data(json!({"k": "1"}))).live.clone();
    world.update("bob", data(json!({"k": "1"})));
    assert_eq!(world.live, before);
}

#[test]
fn a_creation_owns_maps_as_well() {
    World::config_map().update("golden", labelled()).owned(json!([["golden Update",
        {"f:data": {".": {}, "f:k": {}, "f:l": {}}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}}]]));
}

#[test]
fn who_owned_the_map_keeps_it() {
    let mut world = World::config_map();
    world.update("golden", data(json!({"k": "3"})));
    world.update("bob", json!({"metadata": {"labels": {"l": "1"}, "annotations": {"n": "1"}}, "data": {"k": "4"}}));
    world.owned(json!([
        ["golden Update", {"f:data": {}}],
        ["bob Update", {"f:data": {"f:k": {}},
            "f:metadata": {"f:annotations": {".": {}, "f:n": {}}, "f:labels": {".": {}, "f:l": {}}}}],
    ]));
}

#[test]
fn nobody_owns_names_and_versions() {
    let mut world = World::config_map();
    let meta =
        json!({"uid": "u", "resourceVersion": "1", "namespace": "ns", "generation": 1, "creationTimestamp": "x"});
    world.update("golden", json!({"metadata": meta})).owned(json!([]));
}

#[test]
fn without_fields_there_is_no_entry() {
    let mut world = World::config_map();
    world.update("editor", data(json!({"k": "1"}))).apply("three", json!({}));
    world.owned(json!([["editor Update", {"f:data": {".": {}, "f:k": {}}}]]));
}

#[test]
fn an_empty_manager_is_unknown() {
    World::config_map().update("", data(json!({"k": "1"}))).owned(json!([
        ["unknown Update", {"f:data": {".": {}, "f:k": {}}}]
    ]));
}

#[test]
fn managed_fields_in_a_configuration() {
    let body = json!({"metadata": {"managedFields": [{"manager": "x"}]}});
    World::config_map().refuses("one", body, 400, "metadata.managedFields must be nil");
}

#[test]
fn another_kind() {
    let mut world = World::config_map();
    let object = Object::try_from(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})).unwrap();
    let now = world.now();
    let error = World::manager(&world.kind, &world.schema, "").apply(&world.live, object, "one", false, now);
    let status = Status::from(error.unwrap_err());
    assert_eq!((status.code, status.message.as_str()), (400, "invalid object type: /v1, Kind=Secret"));
}

#[test]
fn no_kind() {
    let mut world = World::config_map();
    let now = world.now();
    let error = World::manager(&world.kind, &world.schema, "").apply(&world.live, Object::default(), "one", false, now);
    assert_eq!(error.unwrap_err().to_string(), "invalid object type: /, Kind=");
}

#[test]
fn an_unknown_field() {
    let text = "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .spec: field not declared in schema";
    World::config_map().refuses("one", json!({"spec": {"a": 1}}), 500, text);
}

#[test]
fn a_wrong_type() {
    let text = "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data.k: expected string, got \
                &value.valueUnstructured{Value:1}";
    World::config_map().refuses("one", data(json!({"k": 1})), 500, text);
}

#[test]
fn several_wrong_types() {
    let text = "failed to create typed patch object (/a; /v1, Kind=ConfigMap): errors:\n  .data.k: expected string, got \
                &value.valueUnstructured{Value:true}\n  .immutable: expected boolean, got &{yes}";
    World::config_map().refuses("one", json!({"data": {"k": true}, "immutable": "yes"}), 500, text);
}
