//! Built-in kinds: structs of Go that are always there, keys with defaults, scale.

use super::*;

fn template(spec: Value) -> Value {
    json!({"template": {"metadata": {"labels": {"app": "demo"}}, "spec": spec}})
}

fn templates() -> World {
    World::builtin("", "v1", "PodTemplate")
}

fn first() -> Value {
    template(json!({
        "containers": [{"name": "a", "image": "app:1", "ports": [{"containerPort": 80}],
            "env": [{"name": "X", "value": "1"}], "args": ["one"]}],
        "tolerations": [{"key": "k", "operator": "Exists"}], "nodeSelector": {"disk": "ssd"}}))
}

#[test]
fn lists_by_key() {
    templates().apply("one", first()).owned(json!([["one Apply", {"f:template": {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:args": {},
            "f:env": {"k:{\"name\":\"X\"}": {".": {}, "f:name": {}, "f:value": {}}}, "f:image": {}, "f:name": {},
            "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}},
            "f:nodeSelector": {}, "f:tolerations": {}}}}]]));
}

#[test]
fn conflicts_in_elements() {
    templates().apply("one", first()).refuses(
        "three",
        template(json!({"containers": [{"name": "a", "image": "app:9", "env": [{"name": "X", "value": "9"}]}]})),
        409,
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .template.spec.containers[name=\"a\"].image\n\
         - .template.spec.containers[name=\"a\"].env[name=\"X\"].value",
    );
}

#[test]
fn conflicts_on_atomic_lists_and_maps() {
    templates().apply("one", first()).refuses(
        "three",
        template(json!({"containers": [{"name": "a", "args": ["two"]}], "tolerations": [],
            "nodeSelector": {"disk": "hdd"}})),
        409,
        "Apply failed with 3 conflicts: conflicts with \"one\":\n- .template.spec.nodeSelector\n\
         - .template.spec.tolerations\n- .template.spec.containers[name=\"a\"].args",
    );
}

#[test]
fn duplicate_ports() {
    templates().refuses(
        "two",
        template(json!({"containers": [{"name": "b", "ports": [{"containerPort": 1}, {"containerPort": 1}]}]})),
        500,
        "failed to create typed patch object (/a; /v1, Kind=PodTemplate): \
         .template.spec.containers[name=\"b\"].ports: duplicate entries for key [containerPort=1,protocol=\"TCP\"]",
    );
}

#[test]
fn a_key_that_is_left_out_is_what_go_holds_then() {
    let unnamed = template(json!({"containers": [{"image": "app:1"}]}));
    templates().apply("one", unnamed).owned(json!([["one Apply", {"f:template": {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {"f:containers": {"k:{\"name\":\"\"}": {".": {}, "f:image": {}}}}}}]]));
}

#[test]
fn finalizers_are_a_set() {
    let finalizers = |names: &[&str]| json!({"metadata": {"finalizers": names}});
    let mut world = World::config_map();
    world.apply("one", finalizers(&["e/a"])).apply("two", finalizers(&["e/b"]));
    world.has(&["metadata", "finalizers"], json!(["e/a", "e/b"]));
    world.apply("one", json!({})).has(&["metadata", "finalizers"], json!(["e/b"]));
    world.apply("two", json!({})).has(&["metadata", "finalizers"], Value::Null);
}

#[test]
fn structs_are_always_there() {
    World::builtin("apps", "v1", "Deployment")
        .update(
            "golden",
            json!({"spec": {"replicas": 1, "selector": {"matchLabels": {"app": "demo"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
                "template": {"metadata": {"labels": {"app": "demo"}},
                    "spec": {"containers": [{"name": "main", "resources": {}}], "securityContext": {}}}}}),
        )
        .owned(json!([["golden Update", {"f:spec": {"f:replicas": {}, "f:selector": {},
            "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
            "f:template": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {".": {}, "f:name": {}, "f:resources": {}}},
                    "f:securityContext": {}}}}}]]));
}

#[test]
fn an_applied_port_is_found_again() {
    let ports = |ports: Value| json!({"spec": {"ports": ports}});
    let mut world = World::builtin("", "v1", "Service");
    world.apply("one", ports(json!([{"name": "http", "port": 80}])));
    world.apply("two", ports(json!([{"name": "tls", "port": 443, "protocol": "TCP"}])));
    world.apply("one", json!({})).has(&["spec", "ports"], json!([{"name": "tls", "port": 443, "protocol": "TCP"}]));
}

fn scales() -> ScaleOwnership {
    ScaleOwnership::new(["apps/v1"], &["spec", "replicas"])
}

fn entry(manager: &str, operation: &str, api_version: &str, fields: Value) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": api_version, "fieldsType": "FieldsV1",
        "fieldsV1": fields, "time": "2001-01-01T00:00:00Z"})
}

#[test]
fn a_scale_shows_who_owns_the_replicas() {
    let parent = json!([
        entry("one", "Apply", "apps/v1", json!({"f:spec": {"f:replicas": {}, "f:selector": {}}})),
        entry("two", "Apply", "apps/v1", json!({"f:spec": {"f:selector": {}}})),
    ]);
    let scale = json!([entry("one", "Apply", "autoscaling/v1", json!({"f:spec": {"f:replicas": {}}}))]);
    assert_eq!(scales().to_scale(Some(&parent)), Ok(Some(scale)));
}

#[test]
fn a_scale_takes_the_replicas() {
    let parent = json!([entry("one", "Apply", "apps/v1", json!({"f:spec": {"f:replicas": {}, "f:selector": {}}}))]);
    let mut scaler = entry("scaler", "Apply", "autoscaling/v1", json!({"f:spec": {"f:replicas": {}}}));
    scaler["subresource"] = json!("scale");
    let mut after = entry("scaler", "Apply", "apps/v1", json!({"f:spec": {"f:replicas": {}}}));
    after["subresource"] = json!("scale");
    // Upstream knows the times of the resource's entries only.
    after.as_object_mut().unwrap().remove("time");
    let one = entry("one", "Apply", "apps/v1", json!({"f:spec": {"f:selector": {}}}));
    let got = scales().to_parent(Some(&parent), Some(&json!([scaler])), "apps/v1");
    assert_eq!(got, Ok(Some(json!([after, one]))));
}

#[test]
fn a_scale_that_changed_nothing_changes_nothing() {
    let parent = json!([entry("one", "Apply", "apps/v1", json!({"f:spec": {"f:replicas": {}, "f:selector": {}}}))]);
    let scale = scales().to_scale(Some(&parent)).unwrap();
    assert_eq!(scales().to_parent(Some(&parent), scale.as_ref(), "apps/v1"), Ok(Some(parent)));
}
