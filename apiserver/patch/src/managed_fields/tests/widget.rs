//! A custom resource with every kind of list and map.

use super::*;

fn of(type_: Type) -> Arc<Schema> {
    Arc::new(Schema::of(type_))
}

fn object<const N: usize>(properties: [(&str, Schema); N]) -> Schema {
    let properties = properties.into_iter().map(|(k, v)| (k.to_owned(), Arc::new(v))).collect();
    Schema { properties, ..Schema::of(Type::Object) }
}

fn list(list_type: ListType, items: Schema) -> Schema {
    Schema { list_type, items: Some(Arc::new(items)), ..Schema::of(Type::Array) }
}

fn map() -> Schema {
    Schema { additional_properties: Some(of(Type::String)), ..Schema::of(Type::Object) }
}

fn schema(spec: Schema) -> Arc<Schema> {
    let string = || Schema::of(Type::String);
    let metadata = object([("name", string()), ("uid", string()), ("labels", map())]);
    let status = object([("phase", string())]);
    Arc::new(object([
        ("apiVersion", string()),
        ("kind", string()),
        ("metadata", metadata),
        ("spec", spec),
        ("status", status),
    ]))
}

fn spec() -> Schema {
    let string = || Schema::of(Type::String);
    let seven = Schema { default: Some(7.into()), ..Schema::of(Type::Integer) };
    let element = object([("a", string()), ("b", seven), ("v", string())]);
    let free = Schema { preserve_unknown_fields: true, ..Schema::of(Type::Object) };
    object([
        ("size", Schema::of(Type::Integer)),
        ("atomic", list(ListType::Atomic, string())),
        ("set", list(ListType::Set, string())),
        ("map", list(ListType::Map(vec!["a".into(), "b".into()]), element)),
        ("granular", map()),
        ("atom", Schema { atomic: true, ..map() }),
        ("free", free),
    ])
}

fn world() -> World {
    World::new(GroupVersionKind::new("example.com", "v1", "Widget"), schema(spec()))
}

fn first() -> Value {
    json!({"spec": {"size": 1, "atomic": ["a"], "set": ["x", "y"], "map": [{"a": "k", "b": 7, "v": "1"}],
        "granular": {"g": "1"}, "atom": {"m": "1"}, "free": {"n": {"o": 1}}}})
}

fn second() -> Value {
    json!({"spec": {"set": ["z"], "map": [{"a": "k", "b": 8, "v": "2"}], "granular": {"h": "2"},
        "free": {"n": {"p": [1]}}}})
}

#[test]
fn every_kind_of_ownership() {
    world().apply("one", first()).owned(json!([["one Apply", {"f:spec": {"f:atom": {}, "f:atomic": {},
        "f:free": {"f:n": {".": {}, "f:o": {}}}, "f:granular": {"f:g": {}},
        "f:map": {"k:{\"a\":\"k\",\"b\":7}": {".": {}, "f:a": {}, "f:b": {}, "f:v": {}}},
        "f:set": {"v:\"x\"": {}, "v:\"y\"": {}}, "f:size": {}}}]]));
}

#[test]
fn a_key_that_is_left_out_is_the_default() {
    let body = json!({"spec": {"map": [{"a": "k", "v": "1"}]}});
    world().apply("one", body).owned(json!([["one Apply",
        {"f:spec": {"f:map": {"k:{\"a\":\"k\",\"b\":7}": {".": {}, "f:a": {}, "f:v": {}}}}}]]));
}

#[test]
fn a_second_manager_adds() {
    let mut world = world();
    world.apply("one", first()).apply("two", second());
    world.has(
        &["spec"],
        json!({"atom": {"m": "1"}, "atomic": ["a"], "free": {"n": {"o": 1, "p": [1]}},
            "granular": {"g": "1", "h": "2"}, "map": [{"a": "k", "b": 7, "v": "1"}, {"a": "k", "b": 8, "v": "2"}],
            "set": ["x", "y", "z"], "size": 1}),
    );
}

#[test]
fn conflicts_of_every_kind() {
    world().apply("one", first()).apply("two", second()).refuses(
        "three",
        json!({"spec": {"size": 2, "atomic": ["b"], "set": ["x"], "map": [{"a": "k", "v": "9"}],
            "granular": {"g": "9"}, "atom": {"z": "1"}, "free": {"n": {"o": 2}}}}),
        409,
        "Apply failed with 6 conflicts: conflicts with \"one\":\n- .spec.atom\n- .spec.atomic\n- .spec.size\n\
         - .spec.free.n.o\n- .spec.granular.g\n- .spec.map[a=\"k\",b=7].v",
    );
}

#[test]
fn removal() {
    let mut world = world();
    world.apply("one", first()).apply("two", second()).apply("one", json!({"spec": {"size": 1, "set": ["y"]}}));
    world.has(
        &["spec"],
        json!({"free": {"n": {"p": [1]}}, "granular": {"h": "2"}, "map": [{"a": "k", "b": 8, "v": "2"}],
            "set": ["y", "z"], "size": 1}),
    );
    world.owned(json!([
        ["two Apply", {"f:spec": {"f:free": {"f:n": {".": {}, "f:p": {}}}, "f:granular": {"f:h": {}},
            "f:map": {"k:{\"a\":\"k\",\"b\":8}": {".": {}, "f:a": {}, "f:b": {}, "f:v": {}}},
            "f:set": {"v:\"z\"": {}}}}],
        ["one Apply", {"f:spec": {"f:set": {"v:\"y\"": {}}, "f:size": {}}}],
    ]));
}

#[test]
fn reset_fields_are_not_owned() {
    world().apply("one", json!({"spec": {"size": 1}, "status": {"phase": "Lost"}})).owned(json!([
        ["one Apply", {"f:spec": {"f:size": {}}}]
    ]));
}

#[test]
fn a_subresource_owns_apart() {
    let mut world = world();
    world.apply("one", json!({"spec": {"size": 1}}));
    let config = world.object(json!({"status": {"phase": "Ready"}, "spec": {"size": 1}}));
    let now = world.now();
    let applied = World::manager(&world.kind, &world.schema, "status").apply(&world.live, config, "ctl", false, now);
    world.stored(applied.unwrap());
    world.owned(json!([
        ["one Apply", {"f:spec": {"f:size": {}}}],
        ["ctl Apply status", {"f:status": {"f:phase": {}}}],
    ]));
    let config = world.object(json!({"status": {"phase": "Other"}}));
    let error = World::manager(&world.kind, &world.schema, "status").apply(&world.live, config, "ctl2", false, now);
    assert_eq!(
        error.unwrap_err().to_string(),
        r#"Apply failed with 1 conflict: conflict with "ctl" with subresource "status": .status.phase"#
    );
}

#[track_caller]
fn refuses(spec: Value, text: &str) {
    let text = format!("failed to create typed patch object (/a; example.com/v1, Kind=Widget): {text}");
    world().apply("one", first()).refuses("four", json!({"spec": spec}), 500, &text);
}

#[test]
fn duplicate_set_items() {
    refuses(json!({"set": ["q", "q"]}), ".spec.set: duplicate entries for key [=\"q\"]");
}

#[test]
fn duplicate_map_keys() {
    let text = ".spec.map: duplicate entries for key [a=\"k\",b=7]";
    refuses(json!({"map": [{"a": "k"}, {"a": "k", "b": 7}]}), text);
}

#[test]
fn unknown_field() {
    refuses(json!({"colour": "red"}), ".spec.colour: field not declared in schema");
}

#[test]
fn wrong_type() {
    refuses(json!({"size": "big"}), ".spec.size: expected numeric (int or float), got string");
}

#[test]
fn a_list_for_a_map() {
    refuses(json!({"granular": [1]}), ".spec.granular: expected map, got &{[1]}");
}

#[test]
fn a_map_in_a_set() {
    refuses(
        json!({"set": [{}]}),
        ".spec.set: element 0: associative list without keys has an element that's a map type",
    );
}

#[test]
fn null_in_a_keyed_list() {
    refuses(json!({"map": [null]}), ".spec.map: element 0: associative list with keys may not have a null element");
}

#[test]
fn live_duplicates_are_owned_together() {
    let mut world = world();
    world.update("u", json!({"spec": {"set": ["a", "a", "b"]}}));
    world.owned(json!([["u Update", {"f:spec": {".": {}, "f:set": {".": {}, "v:\"a\"": {}, "v:\"b\"": {}}}}]]));
    world.apply("one", json!({"spec": {"set": ["c"]}})).has(&["spec", "set"], json!(["a", "a", "b", "c"]));
}

#[test]
fn applying_a_live_duplicate_makes_it_one() {
    let mut world = world();
    world.update("u", json!({"spec": {"set": ["a", "a", "b"]}}));
    world.force("one", json!({"spec": {"set": ["a"]}})).has(&["spec", "set"], json!(["a", "b"]));
}

#[test]
fn lists_merge_in_the_configurations_order() {
    let mut world = world();
    world
        .apply("one", json!({"spec": {"set": ["a", "b", "c"]}}))
        .apply("two", json!({"spec": {"set": ["c", "x", "a"]}}));
    world.has(&["spec", "set"], json!(["b", "c", "x", "a"]));
}

#[test]
fn what_becomes_atomic_is_owned_as_a_whole() {
    let mut world = world();
    world.apply("one", json!({"spec": {"granular": {"g": "1"}, "set": ["a"]}}));
    let mut changed = spec();
    changed.properties.insert("granular".into(), Arc::new(Schema { atomic: true, ..map() }));
    changed.properties.insert("set".into(), Arc::new(list(ListType::Atomic, Schema::of(Type::String))));
    world.schema = schema(changed);
    world.update("u", json!({"spec": {"granular": {"g": "1"}, "set": ["a"], "size": 1}})).owned(json!([
        ["one Apply", {"f:spec": {"f:granular": {}, "f:set": {}}}],
        ["u Update", {"f:spec": {"f:size": {}}}],
    ]));
}

#[test]
fn without_a_schema_lists_are_atomic_and_maps_are_not() {
    let mut world = World::new(GroupVersionKind::new("example.com", "v1", "Free"), Arc::new(Schema::any()));
    world.apply("one", json!({"x": {"a": 1}, "l": [1]})).apply("two", json!({"x": {"b": 2}}));
    world.owned(json!([
        ["one Apply", {"f:l": {}, "f:x": {".": {}, "f:a": {}}}],
        ["two Apply", {"f:x": {".": {}, "f:b": {}}}],
    ]));
    let text = r#"Apply failed with 1 conflict: conflict with "one": .l"#;
    world.refuses("two", json!({"l": [2]}), 409, text);
}

#[test]
fn an_open_field_changes_its_type() {
    let mut world = world();
    world.update("u", json!({"spec": {"free": {"n": 1}}})).update("v", json!({"spec": {"free": {"n": {"m": 1}}}}));
    world.owned(json!([
        ["u Update", {"f:spec": {".": {}, "f:free": {}}}],
        ["v Update", {"f:spec": {"f:free": {"f:n": {".": {}, "f:m": {}}}}}],
    ]));
}

fn specs() -> impl Strategy<Value = Value> {
    let keys = || prop::collection::btree_set("[a-c]", 0..3);
    (prop::option::of(0..3i64), keys(), keys(), keys()).prop_map(|(size, set, map, granular)| {
        let mut spec = json!({
            "set": set.into_iter().collect::<Vec<_>>(),
            "map": map.into_iter().map(|a| json!({"a": a, "b": 7, "v": "1"})).collect::<Vec<_>>(),
            "granular": granular.into_iter().map(|k| (k, Value::from("1"))).collect::<Map<_, _>>(),
        });
        if let Some(size) = size {
            spec["size"] = size.into();
        }
        json!({"spec": spec})
    })
}

/// Sets and maps in any order, without what is empty.
fn tidy(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(k, v)| (k.clone(), tidy(v)))
            .filter(|(_, v)| *v != json!({}) && *v != json!([]))
            .collect(),
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(tidy).collect();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn the_only_applier_gets_what_it_says(first in specs(), second in specs()) {
        let mut world = world();
        world.apply("one", first).apply("one", second.clone());
        prop_assert_eq!(tidy(world.live.get("spec").unwrap_or(&json!({}))), tidy(&second["spec"]));
    }

    #[test]
    fn forced_apply_holds_what_it_says(first in specs(), second in specs()) {
        let mut world = world();
        world.apply("one", first).force("two", second.clone());
        let size = &second["spec"]["size"];
        if !size.is_null() {
            world.has(&["spec", "size"], size.clone());
        }
        // Nothing of it conflicts with the state it made.
        world.apply("two", second);
    }

    #[test]
    fn twice_is_once(first in specs(), second in specs()) {
        let mut world = world();
        let before = world.update("u", first).force("one", second.clone()).live.clone();
        world.apply("one", second);
        prop_assert_eq!(&world.live, &before);
    }

    #[test]
    fn who_lets_go_of_all_leaves_no_trace(first in specs(), second in specs()) {
        let mut alone = world();
        alone.apply("one", first.clone());
        let mut shared = world();
        shared.apply("one", first).force("two", second).force("two", json!({}));
        prop_assert!(shared.owners().as_array().unwrap().iter().all(|o| o[0] == "one Apply"));
    }
}
