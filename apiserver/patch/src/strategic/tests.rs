use std::sync::Arc;

use api_meta::json;
use apiserver_model::schema::{GoStruct, ListType};
use proptest::prelude::*;

use super::*;

fn list(items: Schema, merge_key: Option<&str>) -> Schema {
    let patch = PatchStrategy { merge: true, merge_key: merge_key.map(str::to_owned), ..Default::default() };
    Schema { items: Some(Arc::new(items)), patch, ..Schema::of(Type::Array) }
}

fn plain_list(items: Schema) -> Schema {
    Schema { items: Some(Arc::new(items)), list_type: ListType::Atomic, ..Schema::of(Type::Array) }
}

fn object<const N: usize>(type_name: &str, properties: [(&str, Schema); N]) -> Schema {
    let properties = properties.into_iter().map(|(k, v)| (k.to_owned(), Arc::new(v))).collect();
    let go = GoStruct { name: type_name.into(), ..GoStruct::default() };
    Schema { properties, go: Some(Arc::new(go)), ..Schema::of(Type::Object) }
}

fn map(values: Schema) -> Schema {
    Schema { additional_properties: Some(Arc::new(values)), ..Schema::of(Type::Object) }
}

fn string() -> Schema {
    Schema::of(Type::String)
}

fn pod_spec() -> Schema {
    let env = object("EnvVar", [("name", string()), ("value", string())]);
    let container = object(
        "Container",
        [("name", string()), ("image", string()), ("env", list(env, Some("name"))), ("args", plain_list(string()))],
    );
    let volume = object("Volume", [("name", string()), ("emptyDir", Schema::any()), ("configMap", Schema::any())]);
    object(
        "PodSpec",
        [
            ("containers", list(container, Some("name"))),
            ("volumes", list(volume, Some("name"))),
            ("tolerations", plain_list(Schema::any())),
            ("nodeSelector", map(string())),
            ("finalizers", list(string(), None)),
            ("byName", map(object("Inner", [("a", string())]))),
            ("replicas", Schema::of(Type::Integer)),
        ],
    )
}

fn merged(original: &Value, patch: &Value) -> Result<Value, Error> {
    let original = Object::try_from(original.clone()).unwrap();
    strategic_merge(original, patch.as_object().unwrap().clone(), &pod_spec()).map(Value::from)
}

#[track_caller]
fn check(original: Value, patch: Value, expect: Value) {
    assert_eq!(merged(&original, &patch), Ok(expect));
}

#[track_caller]
fn fails(original: Value, patch: Value, code: u16, message: &str) {
    let status = Status::from(merged(&original, &patch).unwrap_err());
    assert_eq!((status.code, status.message.as_str()), (code, message));
}

/// The names of the containers after a patch.
#[track_caller]
fn check_names(names: &[&str], patch: Value, expect: &[&str]) {
    let containers: Vec<_> = names.iter().map(|n| json!({"name": n})).collect();
    let merged = merged(&json!({"containers": containers}), &patch).unwrap();
    let got: Vec<_> = merged["containers"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(got, expect);
}

#[track_caller]
fn check_finalizers(original: &[&str], patch: Value, expect: &[&str]) {
    check(json!({"finalizers": original}), patch, json!({"finalizers": expect}));
}

#[test]
fn merges_by_key() {
    check(
        json!({"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b"}]}),
        json!({"containers": [{"name": "a", "image": "2"}]}),
        json!({"containers": [{"name": "a", "image": "2", "args": ["x"]}, {"name": "b"}]}),
    );
}

#[test]
fn new_elements_come_first() {
    check_names(&["a", "b"], json!({"containers": [{"name": "c"}]}), &["c", "a", "b"]);
}

#[test]
fn known_elements_keep_their_place() {
    check_names(&["a", "b", "c"], json!({"containers": [{"name": "b"}, {"name": "d"}]}), &["a", "b", "d", "c"]);
}

#[test]
fn the_order_of_the_patch_wins() {
    check_names(&["a", "b", "c"], json!({"containers": [{"name": "c"}, {"name": "a"}]}), &["b", "c", "a"]);
}

#[test]
fn nested_lists_merge() {
    check(
        json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]}),
        json!({"containers": [{"name": "a", "env": [{"name": "Y", "value": "20"}, {"name": "Z", "value": "3"}]}]}),
        json!({"containers": [{"name": "a", "env": [
            {"name": "X", "value": "1"}, {"name": "Y", "value": "20"}, {"name": "Z", "value": "3"}]}]}),
    );
}

#[test]
fn plain_lists_are_replaced() {
    check(
        json!({"tolerations": [{"key": "a"}]}),
        json!({"tolerations": [{"key": "b"}]}),
        json!({"tolerations": [{"key": "b"}]}),
    );
}

#[test]
fn deletes_elements() {
    check_names(&["a", "c"], json!({"containers": [{"name": "c", "$patch": "delete"}]}), &["a"]);
}

#[test]
fn deletes_only_what_is_there() {
    check_names(&["a"], json!({"containers": [{"name": "z", "$patch": "delete"}]}), &["a"]);
}

#[test]
fn deletes_all_of_one_key() {
    check_names(&["a", "b", "a"], json!({"containers": [{"name": "a", "$patch": "delete"}]}), &["b"]);
}

#[test]
fn replaces_lists() {
    check_names(&["a", "b"], json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}), &["z"]);
}

#[test]
fn deletes_keys() {
    check(
        json!({"nodeSelector": {"disk": "ssd"}}),
        json!({"nodeSelector": {"disk": null, "cpu": "fast"}}),
        json!({"nodeSelector": {"cpu": "fast"}}),
    );
}

#[test]
fn replaces_maps() {
    check(
        json!({"nodeSelector": {"disk": "ssd"}}),
        json!({"nodeSelector": {"$patch": "replace", "only": "this"}}),
        json!({"nodeSelector": {"only": "this"}}),
    );
}

#[test]
fn empties_maps() {
    check(
        json!({"nodeSelector": {"a": "b"}}),
        json!({"nodeSelector": {"$patch": "delete"}}),
        json!({"nodeSelector": {}}),
    );
}

#[test]
fn directives_for_what_is_not_there_are_dropped() {
    check(json!({}), json!({"nodeSelector": {"$patch": "replace", "n": "1"}}), json!({}));
}

#[test]
fn unknown_directives_for_what_is_not_there_are_dropped() {
    check(json!({}), json!({"nodeSelector": {"$patch": "explode"}}), json!({}));
}

#[test]
fn unknown_directive_in_a_map() {
    fails(
        json!({"nodeSelector": {}}),
        json!({"nodeSelector": {"$patch": "explode"}}),
        500,
        "unknown patch type: explode in map: map[$patch:explode]",
    );
}

#[test]
fn unknown_directive_in_an_element() {
    fails(
        json!({"containers": [{"name": "z"}]}),
        json!({"containers": [{"name": "z", "$patch": "explode"}]}),
        500,
        "unknown patch type: explode in map: map[$patch:explode name:z]",
    );
}

#[test]
fn merge_directive_in_an_element() {
    fails(
        json!({"containers": [{"name": "z"}]}),
        json!({"containers": [{"name": "z", "$patch": "merge"}]}),
        500,
        "merging lists cannot yet be specified in the patch",
    );
}

#[test]
fn without_merge_key() {
    fails(
        json!({"containers": [{"name": "z"}]}),
        json!({"containers": [{"image": "app:9"}]}),
        500,
        "map: map[image:app:9] does not contain declared merge key: name",
    );
}

#[test]
fn retain_keys_drops_the_others() {
    check(
        json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "m"}}]}),
        json!({"volumes": [{"name": "v", "configMap": {"name": "m"}}]}),
    );
}

#[test]
fn retain_keys_must_name_what_is_set() {
    fails(
        json!({"volumes": [{"name": "v"}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name"], "configMap": {}}]}),
        400,
        "invalid patch format of retainKeys",
    );
}

#[test]
fn retain_keys_is_a_list() {
    fails(json!({}), json!({"$retainKeys": "all"}), 400, "invalid patch format of retainKeys");
}

#[test]
fn element_order() {
    let patch = json!({"$setElementOrder/containers": [{"name": "y"}, {"name": "z"}], "containers": [{"name": "y"}]});
    check_names(&["z"], patch, &["y", "z"]);
}

#[test]
fn element_order_alone() {
    check_names(
        &["a", "b", "c"],
        json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}]}),
        &["a", "c", "b"],
    );
}

#[test]
fn element_order_of_what_is_not_there() {
    let patch =
        json!({"$setElementOrder/containers": [{"name": "nope"}, {"name": "z"}], "containers": [{"name": "z"}]});
    check_names(&["y", "z"], patch, &["y", "z"]);
}

#[test]
fn element_order_with_deletion() {
    let patch = json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
        "containers": [{"name": "c", "$patch": "delete"}]});
    check_names(&["a", "b", "c"], patch, &["b", "a"]);
}

#[test]
fn element_order_of_a_new_list() {
    check(
        json!({}),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b"}, {"name": "a"}]}),
        json!({"containers": [{"name": "b"}, {"name": "a"}]}),
    );
}

#[test]
fn element_order_misses_one() {
    fails(
        json!({"containers": [{"name": "z"}]}),
        json!({"$setElementOrder/containers": [{"name": "y"}], "containers": [{"image": "zz", "name": "z"}]}),
        500,
        "The order in patch list:\n[map[image:zz name:z]]\n doesn't match $setElementOrder list:\n[map[name:y]]\n",
    );
}

#[test]
fn element_order_without_field() {
    fails(json!({}), json!({"$setElementOrder": []}), 400, "invalid patch format of setElementOrder list");
}

#[test]
fn element_order_of_an_empty_list() {
    let text = "no elements in any of the given slices";
    fails(json!({"containers": []}), json!({"$setElementOrder/containers": []}), 500, text);
}

#[test]
fn element_order_of_no_list() {
    let text = "expected a []interface {}, but received a string";
    fails(json!({}), json!({"$setElementOrder/containers": "x"}), 500, text);
}

#[test]
fn scalars_merge_as_a_set() {
    check_finalizers(&["b", "a"], json!({"finalizers": ["c", "a"]}), &["c", "b", "a"]);
}

#[test]
fn deletes_scalars() {
    check_finalizers(&["c", "b", "a"], json!({"$deleteFromPrimitiveList/finalizers": ["a"]}), &["c", "b"]);
}

#[test]
fn deletes_scalars_of_no_list() {
    check(json!({}), json!({"$deleteFromPrimitiveList/finalizers": ["a"]}), json!({}));
}

#[test]
fn deletes_scalars_without_field() {
    fails(json!({}), json!({"$deleteFromPrimitiveList": ["a"]}), 400, "invalid patch format of primitive list");
}

#[test]
fn orders_scalars() {
    let patch = json!({"$setElementOrder/finalizers": ["c", "d", "b"], "finalizers": ["d"]});
    check_finalizers(&["c", "b"], patch, &["c", "d", "b"]);
}

#[test]
fn deletes_lists() {
    check(json!({"finalizers": ["a"], "replicas": 1}), json!({"finalizers": null}), json!({"replicas": 1}));
}

#[test]
fn another_type_replaces() {
    check(json!({"nodeSelector": {"a": "b"}}), json!({"nodeSelector": ["a"]}), json!({"nodeSelector": ["a"]}));
}

#[test]
fn new_values_lose_nulls() {
    check(json!({}), json!({"nodeSelector": {"a": null, "b": "c"}}), json!({"nodeSelector": {"b": "c"}}));
}

#[test]
fn new_lists_lose_deletions() {
    check(json!({}), json!({"containers": [{"name": "a", "$patch": "delete"}]}), json!({"containers": []}));
}

#[test]
fn mixed_elements() {
    fails(
        json!({"finalizers": ["a"]}),
        json!({"finalizers": [1]}),
        500,
        "list element types are not identical: [[a] [1]]",
    );
}

#[test]
fn lists_of_lists() {
    let text = "the server rejected our request due to an error in our request";
    fails(json!({"finalizers": []}), json!({"finalizers": [["a"]]}), 422, text);
}

#[test]
fn unknown_fields_of_scalars_pass() {
    check(json!({"colour": "red"}), json!({"colour": "blue"}), json!({"colour": "blue"}));
}

#[test]
fn unknown_fields_do_not_merge() {
    let text = r#"unable to find api field in struct PodSpec for the json field "colour""#;
    fails(json!({"colour": {}}), json!({"colour": {"a": 1}}), 500, text);
}

#[test]
fn objects_in_maps_do_not_merge() {
    let text = "merging an object in json but data type is not struct, instead is: map";
    fails(json!({"byName": {"x": {"a": "1"}}}), json!({"byName": {"x": {"a": "2"}}}), 500, text);
}

#[test]
fn replaces_the_whole() {
    check(json!({"replicas": 1}), json!({"$patch": "replace", "finalizers": ["a"]}), json!({"finalizers": ["a"]}));
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::hash_set("[a-f]", 0..5).prop_map(|set| set.into_iter().collect())
}

fn containers(names: &[String]) -> Value {
    json!({"containers": names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>()})
}

proptest! {
    #[test]
    fn an_empty_patch_changes_nothing(old in names()) {
        let original = containers(&old);
        prop_assert_eq!(merged(&original, &json!({})), Ok(original));
    }

    #[test]
    fn twice_is_once(old in names(), new in names()) {
        let patch = containers(&new);
        let once = merged(&containers(&old), &patch).unwrap();
        prop_assert_eq!(merged(&once, &patch), Ok(once));
    }

    #[test]
    fn merging_loses_and_invents_nothing(old in names(), new in names()) {
        let merged = merged(&containers(&old), &containers(&new)).unwrap();
        let mut got: Vec<_> =
            merged["containers"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect();
        got.sort();
        let mut want: Vec<_> = old.iter().chain(&new).cloned().collect();
        want.sort();
        want.dedup();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn an_element_order_orders(old in names(), seed in any::<u64>()) {
        prop_assume!(!old.is_empty());
        let mut order = old.clone();
        order.rotate_left(seed as usize % old.len());
        let patch = json!({"$setElementOrder/containers": containers(&order)["containers"]});
        prop_assert_eq!(merged(&containers(&old), &patch), Ok(containers(&order)));
    }
}
