//! The three-way merge of client-side apply: what the file said last time, what it says now, what is live.
//!
//! kubectl sends a strategic merge patch and lets the server merge. We merge here by the same rules and send the
//! difference as a JSON merge patch bound to the version we saw, so a change in between is a conflict to retry, never
//! a lost update. The rules for lists are those of the built-in kinds' schemas; custom resources have none, as with
//! kubectl.

use apiserver_model::schema::{self, Schema, Type};
use serde_json::{Map, Value};

/// The object as it should be.
pub fn three_way(original: &Value, modified: &Value, current: &Value) -> Value {
    let api_version = modified["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let schema = schema::builtin(group, version, modified["kind"].as_str().unwrap_or_default());
    merge(original, modified, current, schema.as_deref(), false)
}

/// `retain_keys`: of a union only the members in the file may stay.
fn merge(original: &Value, modified: &Value, current: &Value, schema: Option<&Schema>, retain_keys: bool) -> Value {
    let strategy = schema.map(|schema| schema.patch.clone()).unwrap_or_default();
    match (modified, current) {
        (Value::Object(modified), Value::Object(current)) if !strategy.replace => {
            let retain_keys = retain_keys || strategy.retain_keys;
            Value::Object(merge_maps(original.as_object(), modified, current, schema, retain_keys))
        }
        (Value::Array(modified), Value::Array(current)) if strategy.merge => {
            let element = schema.and_then(|schema| schema.items.as_deref());
            let merged = match &strategy.merge_key {
                Some(key) => {
                    let rule = ByKey { key, element, retain_keys: strategy.retain_keys };
                    merge_lists(original.as_array(), modified, current, &rule)
                }
                None if element.is_none_or(|element| element.type_ != Type::Object) => {
                    Some(merge_sets(original.as_array(), modified, current))
                }
                None => None,
            };
            Value::Array(merged.unwrap_or_else(|| modified.iter().map(without_nulls).collect()))
        }
        (Value::Array(modified), _) => Value::Array(modified.iter().map(without_nulls).collect()),
        (modified, _) => without_nulls(modified),
    }
}

fn merge_maps(
    original: Option<&Map<String, Value>>,
    modified: &Map<String, Value>,
    current: &Map<String, Value>,
    schema: Option<&Schema>,
    retain_keys: bool,
) -> Map<String, Value> {
    let mut merged = current.clone();
    if retain_keys {
        merged.retain(|key, _| modified.contains_key(key));
    }
    for key in original.into_iter().flat_map(Map::keys).filter(|key| !modified.contains_key(*key)) {
        merged.remove(key);
    }
    for (key, value) in modified {
        if value.is_null() {
            merged.remove(key);
            continue;
        }
        let before = original.and_then(|original| original.get(key)).unwrap_or(&Value::Null);
        let field = schema.and_then(|schema| schema.field(key));
        let value = match merged.get(key) {
            Some(live) => merge(before, value, live, field.map(AsRef::as_ref), false),
            None => without_nulls(value),
        };
        merged.insert(key.clone(), value);
    }
    merged
}

fn merge_sets(original: Option<&Vec<Value>>, modified: &[Value], current: &[Value]) -> Vec<Value> {
    let dropped = |item: &Value| original.is_some_and(|o| o.contains(item)) && !modified.contains(item);
    let mut merged: Vec<Value> = current.iter().filter(|item| !dropped(item)).cloned().collect();
    merged.extend(modified.iter().filter(|item| !current.contains(item)).cloned());
    merged
}

/// How elements are told apart, and what they look like.
struct ByKey<'a> {
    key: &'a str,
    element: Option<&'a Schema>,
    retain_keys: bool,
}

/// `None` when the elements cannot be told apart by the key.
fn merge_lists(
    original: Option<&Vec<Value>>,
    modified: &[Value],
    current: &[Value],
    rule: &ByKey<'_>,
) -> Option<Vec<Value>> {
    let empty = Vec::new();
    let original = original.unwrap_or(&empty);
    let told_apart = |list: &[Value]| {
        let keys: Vec<&Value> = list.iter().map(|item| &item[rule.key]).collect();
        keys.iter().enumerate().all(|(i, k)| !k.is_null() && !keys[..i].contains(k))
    };
    if !told_apart(modified) || !told_apart(current) {
        return None;
    }
    let find = |list: &'_ [Value], item: &Value| list.iter().find(|other| other[rule.key] == item[rule.key]).cloned();
    let mut merged: Vec<Value> = modified
        .iter()
        .map(|item| match find(current, item) {
            Some(live) => {
                let before = find(original, item).unwrap_or(Value::Null);
                merge(&before, item, &live, rule.element, rule.retain_keys)
            }
            None => without_nulls(item),
        })
        .collect();
    // What others added stays, in its order; what the file used to have goes.
    merged.extend(
        current.iter().filter(|live| find(modified, live).is_none() && find(original, live).is_none()).cloned(),
    );
    Some(merged)
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        ),
        other => other.clone(),
    }
}

/// The JSON merge patch that turns one object into another; `None` when they are equal.
pub fn difference(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return Some(to.clone()) };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in to {
        match from.get(key) {
            Some(old) => patch.extend(difference(old, value).map(|change| (key.clone(), change))),
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Merges objects of one kind.
    #[track_caller]
    fn check(kind: (&str, &str), original: Value, modified: Value, current: Value, expect: Value) {
        let typed = |mut object: Value| {
            object["apiVersion"] = kind.0.into();
            object["kind"] = kind.1.into();
            object
        };
        assert_eq!(three_way(&typed(original), &typed(modified), &typed(current)), typed(expect));
    }

    #[test]
    fn what_others_set_stays_and_what_the_file_dropped_goes() {
        check(
            ("v1", "ConfigMap"),
            json!({"a": 1, "b": 2, "m": {"x": 1, "y": 1}}),
            json!({"a": 3, "m": {"x": 1}}),
            json!({"a": 1, "b": 2, "c": "live", "m": {"x": 9, "y": 1, "z": 1}}),
            json!({"a": 3, "c": "live", "m": {"x": 1, "z": 1}}),
        );
    }

    #[test]
    fn a_null_in_the_file_removes() {
        check(("v1", "ConfigMap"), json!({}), json!({"a": null, "n": {"x": null}}), json!({"a": 1}), json!({"n": {}}));
    }

    #[test]
    fn containers_are_told_apart_by_name() {
        let pod = |containers: Value| json!({"spec": {"containers": containers}});
        check(
            ("v1", "Pod"),
            pod(json!([{"name": "a", "image": "1"}, {"name": "old", "image": "x"}])),
            pod(json!([{"name": "a", "image": "2", "env": [{"name": "E", "value": "1"}]}])),
            pod(json!([{"name": "sidecar", "image": "s"}, {"name": "old", "image": "x"},
                {"name": "a", "image": "1", "imagePullPolicy": "Always", "env": [{"name": "F", "value": "2"}]}])),
            pod(json!([{"name": "a", "image": "2", "imagePullPolicy": "Always",
                "env": [{"name": "E", "value": "1"}, {"name": "F", "value": "2"}]}, {"name": "sidecar", "image": "s"}])),
        );
    }

    #[test]
    fn a_services_node_port_survives() {
        let service = |port: Value| json!({"spec": {"ports": [port]}});
        check(
            ("v1", "Service"),
            service(json!({"port": 80})),
            service(json!({"port": 80, "name": "web"})),
            service(json!({"port": 80, "nodePort": 30001, "protocol": "TCP"})),
            service(json!({"port": 80, "name": "web", "nodePort": 30001, "protocol": "TCP"})),
        );
    }

    #[test]
    fn ports_with_one_number_and_two_protocols_are_one_list() {
        let pod = |ports: Value| json!({"spec": {"containers": [{"name": "a", "ports": ports}]}});
        let both = json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]);
        check(("v1", "Pod"), pod(json!([])), pod(both.clone()), pod(json!([{"containerPort": 1}])), pod(both));
    }

    #[test]
    fn a_deployment_changes_its_strategy_as_a_whole() {
        let deployment = |strategy: Value| json!({"spec": {"strategy": strategy}});
        check(
            ("apps/v1", "Deployment"),
            deployment(json!({"type": "RollingUpdate"})),
            deployment(json!({"type": "Recreate"})),
            deployment(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})),
            deployment(json!({"type": "Recreate"})),
        );
    }

    #[test]
    fn custom_resources_have_whole_lists() {
        check(
            ("example.com/v1", "Pod"),
            json!({}),
            json!({"spec": {"containers": [{"name": "a"}]}}),
            json!({"spec": {"containers": [{"name": "b"}]}}),
            json!({"spec": {"containers": [{"name": "a"}]}}),
        );
    }

    #[test]
    fn finalizers_are_a_set() {
        check(
            ("v1", "Secret"),
            json!({"metadata": {"finalizers": ["mine", "gone"]}}),
            json!({"metadata": {"finalizers": ["mine"]}}),
            json!({"metadata": {"finalizers": ["theirs", "gone"]}}),
            json!({"metadata": {"finalizers": ["theirs", "mine"]}}),
        );
    }

    #[test]
    fn volumes_keep_what_the_server_filled_in_and_change_their_source() {
        let pod = |volume: Value| json!({"spec": {"volumes": [volume]}});
        check(
            ("v1", "Pod"),
            pod(json!({"name": "v", "emptyDir": {}})),
            pod(json!({"name": "v", "configMap": {"name": "c"}})),
            pod(json!({"name": "v", "emptyDir": {"medium": ""}})),
            pod(json!({"name": "v", "configMap": {"name": "c"}})),
        );
    }

    #[test]
    fn lists_below_a_pod_template_merge_like_those_of_a_pod() {
        let job = |containers: Value| {
            let template = json!({"spec": {"containers": containers}});
            json!({"spec": {"jobTemplate": {"spec": {"template": template}}}})
        };
        check(
            ("batch/v1", "CronJob"),
            job(json!([{"name": "a", "image": "1"}])),
            job(json!([{"name": "a", "image": "2"}])),
            job(json!([{"name": "a", "image": "1", "imagePullPolicy": "Always"}])),
            job(json!([{"name": "a", "image": "2", "imagePullPolicy": "Always"}])),
        );
    }

    #[test]
    fn differences() {
        assert_eq!(difference(&json!({"a": 1}), &json!({"a": 1})), None);
        assert_eq!(
            difference(&json!({"a": 1, "b": {"c": 1, "d": 2}, "l": [1]}), &json!({"b": {"c": 1}, "l": [2], "n": {}})),
            Some(json!({"a": null, "b": {"d": null}, "l": [2], "n": {}}))
        );
    }
}
