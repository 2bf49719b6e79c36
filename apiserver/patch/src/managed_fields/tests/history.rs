//! What happens to entries over time: resets, old objects, many updaters, times, client-side apply.

use super::*;

fn data(k: &str) -> Value {
    json!({"data": {"k": k}})
}

fn with_entries(entries: Value) -> Value {
    json!({"metadata": {"managedFields": entries}, "data": {"k": "x"}})
}

#[test]
fn one_empty_entry_resets() {
    World::config_map().apply("one", data("1")).update("reset", with_entries(json!([{}]))).owned(json!([]));
}

#[test]
fn an_empty_list_resets() {
    World::config_map().apply("one", data("1")).update("reset", with_entries(json!([]))).owned(json!([]));
}

#[test]
fn null_does_not_reset() {
    World::config_map().update("one", data("x")).update("one", with_entries(Value::Null)).owned(json!([
        ["one Update", {"f:data": {".": {}, "f:k": {}}}]
    ]));
}

#[test]
fn after_a_reset_updates_are_not_tracked() {
    let mut world = World::config_map();
    world
        .apply("one", data("1"))
        .update("reset", with_entries(json!([{}])))
        .update("later", data("2"))
        .owned(json!([]));
}

#[test]
fn the_first_apply_names_an_owner_for_what_was_there() {
    let mut world = World::config_map();
    world.apply("one", data("1")).update("reset", with_entries(json!([{}])));
    let text = r#"Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.k"#;
    world.refuses("one", data("2"), 409, text);
    world.force("one", data("2")).owned(json!([
        ["one Apply", {"f:data": {"f:k": {}}}],
        ["before-first-apply Update", {"f:data": {}}],
    ]));
}

#[test]
fn broken_entries_are_replaced_by_the_live_ones() {
    let broken = json!([{"manager": "x", "operation": "Jump", "fieldsType": "FieldsV9"}]);
    World::config_map().update("one", data("x")).update("two", with_entries(broken)).owned(json!([
        ["one Update", {"f:data": {".": {}, "f:k": {}}}]
    ]));
}

#[test]
fn entries_can_be_set() {
    let entry = json!({"manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:k": {}}}});
    World::config_map().update("one", data("x")).update("one", with_entries(json!([entry]))).owned(json!([
        ["m Apply", {"f:data": {"f:k": {}}}]
    ]));
}

#[test]
fn a_subresource_cannot_set_entries() {
    let mut world = World::builtin("apps", "v1", "Deployment");
    world.update("one", json!({"spec": {"replicas": 1}}));
    let before = world.owners();
    let mut new = world.live.clone();
    new.metadata_mut().insert("managedFields".into(), json!([]));
    world.update_at("status", "two", new);
    assert_eq!(world.owners(), before);
}

#[test]
fn at_most_ten_updaters() {
    let mut world = World::config_map();
    for i in 0..12 {
        let fields: Map<_, _> = (0..=i).map(|n| (format!("k{n:02}"), "v".into())).collect();
        world.update(&format!("m{i:02}"), json!({"data": fields}));
    }
    let owners = world.owners();
    let names: Vec<_> = owners.as_array().unwrap().iter().map(|o| o[0].as_str().unwrap()).collect();
    assert_eq!(names.len(), 10);
    assert_eq!(names[0], "ancient-changes Update");
    assert_eq!(owners[0][1], json!({"f:data": {".": {}, "f:k00": {}, "f:k01": {}, "f:k02": {}}}));
    assert_eq!(names[9], "m11 Update");
}

#[test]
fn appliers_are_not_capped() {
    let mut world = World::config_map();
    for i in 0..12 {
        let key = format!("k{i:02}");
        world.apply(&format!("m{i:02}"), json!({"data": {key: "v"}}));
    }
    assert_eq!(world.owners().as_array().unwrap().len(), 12);
}

#[test]
fn entries_are_in_order() {
    let mut world = World::config_map();
    world.update("u", data("1")).apply("b", json!({"data": {"b": "1"}})).apply("a", json!({"data": {"a": "1"}}));
    let owners = world.owners();
    let names: Vec<_> = owners.as_array().unwrap().iter().map(|o| o[0].as_str().unwrap()).collect();
    assert_eq!(names, ["b Apply", "a Apply", "u Update"]);
}

#[test]
fn times_are_of_the_last_change() {
    let mut world = World::config_map();
    world.apply("one", data("1")).apply("two", json!({"data": {"l": "1"}})).apply("one", data("1"));
    let times: Vec<_> = ["0", "1"]
        .iter()
        .map(|i| {
            Value::from(world.live.clone()).pointer(&format!("/metadata/managedFields/{i}/time")).cloned().unwrap()
        })
        .collect();
    assert_eq!(times, [json!("2001-09-09T01:46:41Z"), json!("2001-09-09T01:46:42Z")]);
}

#[test]
fn times_go_back_when_nothing_else_changed() {
    let mut world = World::config_map();
    world.apply("one", data("1"));
    let mut new = world.live.clone();
    *new.at_mut(&["metadata", "managedFields"]) = json!([{"time": "later"}]);
    let mut other = world.live.clone();
    if let Value::Array(entries) = other.at_mut(&["metadata", "managedFields"]) {
        entries[0]["time"] = json!("later");
    }
    keep_times_of_unchanged(&mut other, &world.live);
    assert_eq!(other, world.live);
    let before = new.clone();
    keep_times_of_unchanged(&mut new, &world.live);
    assert_eq!(new, before);
}

#[test]
fn times_stay_when_something_changed() {
    let mut world = World::config_map();
    world.apply("one", data("1"));
    let mut new = world.live.clone();
    *new.at_mut(&["data", "k"]) = json!("2");
    if let Value::Array(entries) = new.at_mut(&["metadata", "managedFields"]) {
        entries[0]["time"] = json!("later");
    }
    let before = new.clone();
    keep_times_of_unchanged(&mut new, &world.live);
    assert_eq!(new, before);
}

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object that `kubectl apply` made on the client.
fn client_side(applied_k: &str) -> World {
    let mut world = World::config_map();
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": applied_k}});
    let annotations = json!({ANNOTATION: applied.to_string()});
    world.update("kubectl-client-side-apply", json!({"metadata": {"annotations": annotations}, "data": {"k": "1"}}));
    world
}

#[test]
fn kubectl_takes_over_what_it_applied_on_the_client() {
    let mut world = client_side("1");
    world.apply("kubectl", data("2")).has(&["data", "k"], json!("2"));
    let annotation =
        "{\"apiVersion\":\"v1\",\"data\":{\"k\":\"2\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}\n";
    world.has(&["metadata", "annotations", ANNOTATION], json!(annotation));
}

#[test]
fn kubectl_does_not_take_over_what_changed_since() {
    let text = r#"Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .data.k"#;
    client_side("0").refuses("kubectl", data("2"), 409, text);
}

#[test]
fn other_managers_do_not_take_over() {
    let text = r#"Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .data.k"#;
    client_side("1").refuses("helm", data("2"), 409, text);
}

/// A second version in which `data` is called `content`.
struct Renamed;

impl Versions for Renamed {
    fn schema(&self, api_version: &str) -> Option<Arc<Schema>> {
        (api_version == "v2").then(|| Arc::new(Schema::any()))
    }

    fn convert(&self, mut object: Object, api_version: &str) -> Option<Object> {
        let (from, to) = if api_version == "v2" { ("data", "content") } else { ("content", "data") };
        if let Some(value) = object.remove(from) {
            object.insert(to.into(), value);
        }
        object.insert("apiVersion".into(), api_version.into());
        Some(object)
    }
}

fn owned_in(version: &str) -> World {
    let mut world = World::config_map();
    let entry = json!({"manager": "m", "operation": "Apply", "apiVersion": version, "fieldsType": "FieldsV1",
        "fieldsV1": {"f:content": {"f:k": {}}}});
    world.live = world.object(json!({"metadata": {"uid": "u", "managedFields": [entry]}, "data": {"k": "1"}}));
    world
}

#[test]
fn owners_in_other_versions_conflict() {
    let mut world = owned_in("v2");
    let now = world.now();
    let manager = FieldManager::new(&world.kind, Arc::clone(&world.schema)).versions(&Renamed);
    let error = manager.apply(&world.live, world.object(data("2")), "one", false, now).unwrap_err();
    assert_eq!(error.to_string(), r#"Apply failed with 1 conflict: conflict with "m": .content.k"#);
}

#[test]
fn an_applier_moves_to_another_version() {
    let mut world = owned_in("v2");
    let now = world.now();
    let manager = FieldManager::new(&world.kind, Arc::clone(&world.schema)).versions(&Renamed);
    let config = world.object(json!({"data": {"l": "2"}}));
    let applied = manager.apply(&world.live, config, "m", false, now).unwrap();
    assert_eq!(applied.at(&["data"]), Some(&json!({"l": "2"})));
    world.stored(applied);
    world.owned(json!([["m Apply", {"f:data": {"f:l": {}}}]]));
}

#[test]
fn owners_in_versions_that_are_gone_are_forgotten() {
    let mut world = owned_in("v9");
    let now = world.now();
    let manager = FieldManager::new(&world.kind, Arc::clone(&world.schema)).versions(&Renamed);
    let applied = manager.apply(&world.live, world.object(data("2")), "one", false, now).unwrap();
    world.stored(applied);
    world.owned(json!([["one Apply", {"f:data": {"f:k": {}}}]]));
}
