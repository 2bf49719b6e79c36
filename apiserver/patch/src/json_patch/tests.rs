use api_meta::json;
use proptest::prelude::*;

use super::*;
use crate::decode;

fn patched(document: &Value, patch: &Value) -> Result<Value, Error> {
    let mut document = document.clone();
    json_patch(&mut document, decode::steps(patch.to_string().as_bytes()).unwrap())?;
    Ok(document)
}

#[track_caller]
fn check(document: Value, patch: Value, expect: Value) {
    assert_eq!(patched(&document, &patch), Ok(expect));
}

#[track_caller]
fn fails(document: Value, patch: Value) {
    let status = Status::from(patched(&document, &patch).unwrap_err());
    assert_eq!(status.code, 422);
    assert_eq!(status.message, "the server rejected our request due to an error in our request");
    assert_eq!(status.to_value()["details"], json!({}));
}

#[test]
fn add_replace_remove() {
    check(
        json!({"data": {"k": "1", "l": "2"}}),
        json!([{"op": "add", "path": "/data/m", "value": "3"}, {"op": "replace", "path": "/data/k", "value": "9"},
               {"op": "remove", "path": "/data/l"}]),
        json!({"data": {"k": "9", "m": "3"}}),
    );
}

#[test]
fn replace_of_a_missing_key_adds_it() {
    check(json!({"d": {}}), json!([{"op": "replace", "path": "/d/k", "value": "1"}]), json!({"d": {"k": "1"}}));
}

#[test]
fn replace_of_a_missing_index() {
    fails(json!({"d": [1]}), json!([{"op": "replace", "path": "/d/1", "value": 2}]));
}

#[test]
fn replace_of_the_whole() {
    check(json!({"d": 1}), json!([{"op": "replace", "path": "", "value": {"e": 2}}]), json!({"e": 2}));
}

#[test]
fn replace_of_the_whole_by_a_scalar() {
    fails(json!({"d": 1}), json!([{"op": "replace", "path": "", "value": 1}]));
}

#[test]
fn add_below_a_missing_parent() {
    fails(json!({"m": {}}), json!([{"op": "add", "path": "/m/annotations/a", "value": "1"}]));
}

#[test]
fn add_below_a_scalar() {
    fails(json!({"m": 1}), json!([{"op": "add", "path": "/m/a", "value": "1"}]));
}

#[test]
fn add_to_lists() {
    check(
        json!({"l": ["a"]}),
        json!([{"op": "add", "path": "/l/-", "value": "b"}, {"op": "add", "path": "/l/0", "value": "0"},
               {"op": "add", "path": "/l/-1", "value": "c"}, {"op": "add", "path": "/l/-2", "value": "x"}]),
        json!({"l": ["0", "a", "b", "x", "c"]}),
    );
}

#[test]
fn add_behind_the_end() {
    fails(json!({"l": ["a"]}), json!([{"op": "add", "path": "/l/9", "value": "b"}]));
}

#[test]
fn add_at_no_index() {
    fails(json!({"l": ["a"]}), json!([{"op": "add", "path": "/l/x", "value": "b"}]));
}

#[test]
fn negative_indices_count_from_the_end() {
    check(json!({"l": [1, 2, 3]}), json!([{"op": "remove", "path": "/l/-1"}]), json!({"l": [1, 2]}));
}

#[test]
fn negative_indices_end_at_the_start() {
    fails(json!({"l": [1, 2, 3]}), json!([{"op": "remove", "path": "/l/-4"}]));
}

#[test]
fn remove_of_a_missing_key() {
    fails(json!({"d": {}}), json!([{"op": "remove", "path": "/d/k"}]));
}

#[test]
fn test_holds() {
    check(json!({"d": {"a": 1}}), json!([{"op": "test", "path": "/d", "value": {"a": 1}}]), json!({"d": {"a": 1}}));
}

#[test]
fn test_fails() {
    fails(json!({"d": "9"}), json!([{"op": "test", "path": "/d", "value": "0"}]));
}

#[test]
fn test_of_a_missing_key() {
    fails(json!({"spec": {}}), json!([{"op": "test", "path": "/spec/replicas", "value": 0}]));
}

#[test]
fn test_of_a_missing_key_for_null() {
    check(json!({"d": {}}), json!([{"op": "test", "path": "/d/k", "value": null}]), json!({"d": {}}));
}

#[test]
fn test_of_the_whole() {
    check(json!({"d": 1}), json!([{"op": "test", "path": "", "value": {"d": 1}}]), json!({"d": 1}));
}

#[test]
fn test_tells_integers_from_floats() {
    fails(json!({"d": 1}), json!([{"op": "test", "path": "/d", "value": 1.0}]));
}

#[test]
fn copy_and_move() {
    check(
        json!({"k": "10", "m": "3"}),
        json!([{"op": "copy", "from": "/k", "path": "/c"}, {"op": "move", "from": "/m", "path": "/n"}]),
        json!({"c": "10", "k": "10", "n": "3"}),
    );
}

#[test]
fn copy_of_a_missing_key_is_null() {
    check(json!({}), json!([{"op": "copy", "from": "/k", "path": "/c"}]), json!({"c": null}));
}

#[test]
fn copies_do_not_grow_without_end() {
    let document = json!({"a": {"text": "x".repeat(100_000)}});
    let step = json!({"op": "copy", "from": "/a", "path": "/a/b"});
    let patch = Value::Array(vec![step; 64]);
    assert_eq!(patched(&document, &patch), Err(Error::TooMuchCopied));
}

#[test]
fn steps_do_not_nest_without_end() {
    let step = json!({"op": "copy", "from": "/a", "path": "/a/b"});
    let patch = Value::Array(vec![step; MAX_DEPTH]);
    assert_eq!(patched(&json!({"a": {}}), &patch), Err(Error::TooDeep { path: "/a/b".into() }));
}

#[test]
fn move_of_a_missing_key() {
    fails(json!({}), json!([{"op": "move", "from": "/k", "path": "/c"}]));
}

#[test]
fn move_without_from() {
    fails(json!({"k": 1}), json!([{"op": "move", "path": "/c"}]));
}

#[test]
fn escapes() {
    check(json!({"a~b": 1}), json!([{"op": "move", "from": "/a~0b", "path": "/x~1y"}]), json!({"x/y": 1}));
}

#[test]
fn without_a_slash() {
    check(json!({"a": 1}), json!([{"op": "add", "path": "odd/b", "value": 2}]), json!({"a": 1, "b": 2}));
}

#[test]
fn without_any_slash() {
    fails(json!({"a": 1}), json!([{"op": "add", "path": "b", "value": 2}]));
}

#[test]
fn without_a_path() {
    fails(json!({"a": 1}), json!([{"op": "add", "value": 2}]));
}

#[test]
fn unknown_operation() {
    fails(json!({"a": 1}), json!([{"op": "jump", "path": "/a"}]));
}

#[test]
fn no_operation() {
    fails(json!({"a": 1}), json!([{"path": "/a"}]));
}

#[test]
fn no_steps() {
    check(json!({"a": 1}), json!([]), json!({"a": 1}));
}

proptest! {
    #[test]
    fn never_panics(op in "add|remove|replace|move|copy|test", path in "(/(a|l|-?[0-9]|-|~1)){0,3}", from in "(/(a|l|-?[0-9])){0,3}") {
        let document = json!({"a": {"l": [1, {"a": 2}]}, "l": [[], {"a": {}}]});
        let _ = patched(&document, &json!([{"op": op, "path": path, "from": from, "value": {"v": 1}}]));
    }

    #[test]
    fn remove_undoes_add(key in "[a-d~/]{1,3}", value in 0..9i64) {
        let document = json!({"0": 1});
        let path = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        let patch = json!([{"op": "add", "path": path, "value": value}, {"op": "test", "path": path, "value": value},
                           {"op": "remove", "path": path}]);
        prop_assert_eq!(patched(&document, &patch), Ok(document));
    }
}
