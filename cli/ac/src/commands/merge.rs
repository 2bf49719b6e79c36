//! The three-way merge of client-side apply: what the file said last time, what it says now, what is live.
//!
//! kubectl sends a strategic merge patch and lets the server merge. We merge here by the same rules and send the
//! difference as a JSON merge patch bound to the version we saw, so a change in between is a conflict to retry, never
//! a lost update. The merge keys below are those of the built-in types; custom resources have none, as with kubectl.

use serde_json::{Map, Value};

/// Groups whose types have merge keys.
const BUILT_IN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// How a list is merged.
enum ListRule {
    /// As a whole.
    Atomic,
    /// Element by element, told apart by this field.
    ByKey(&'static str),
    /// As a set.
    Set,
}

/// Where in an object we are.
#[derive(Clone, Copy)]
struct Place<'a> {
    strategic: bool,
    kind: &'a str,
    /// The list field whose element we are in.
    element_of: &'a str,
    field: &'a str,
}

impl Place<'_> {
    fn rule(&self) -> ListRule {
        if !self.strategic {
            return ListRule::Atomic;
        }
        let in_container = matches!(self.element_of, "containers" | "initContainers" | "ephemeralContainers");
        ListRule::ByKey(match (self.field, self.kind) {
            ("finalizers", _) => return ListRule::Set,
            ("ports", _) if in_container => "containerPort",
            ("ports", "Service") => "port",
            ("env", _) if in_container => "name",
            ("volumeMounts", _) if in_container => "mountPath",
            ("volumeDevices", _) if in_container => "devicePath",
            ("containers" | "initContainers" | "ephemeralContainers" | "volumes" | "imagePullSecrets", _) => "name",
            ("schedulingGates" | "resourceClaims" | "webhooks" | "matchConditions", _) => "name",
            ("secrets", "ServiceAccount") => "name",
            ("hostAliases", _) => "ip",
            ("topologySpreadConstraints", _) => "topologyKey",
            ("ownerReferences", _) => "uid",
            ("conditions", _) => "type",
            _ => return ListRule::Atomic,
        })
    }

    /// Unions of which only the member in the file may stay.
    fn retains_keys(&self) -> bool {
        self.strategic
            && (self.field == "strategy" && self.kind == "Deployment"
                || self.element_of == "volumes" && self.field.is_empty())
    }
}

/// The object as it should be.
pub fn three_way(original: &Value, modified: &Value, current: &Value, group: &str) -> Value {
    let kind = modified["kind"].as_str().unwrap_or_default();
    let place = Place { strategic: BUILT_IN.contains(&group), kind, element_of: "", field: "" };
    merge(original, modified, current, place)
}

fn merge(original: &Value, modified: &Value, current: &Value, place: Place<'_>) -> Value {
    match (modified, current) {
        (Value::Object(modified), Value::Object(current)) => {
            Value::Object(merge_maps(original.as_object(), modified, current, place))
        }
        (Value::Array(modified), Value::Array(current)) => match place.rule() {
            ListRule::Atomic => Value::Array(modified.iter().map(without_nulls).collect()),
            ListRule::Set => Value::Array(merge_sets(original.as_array(), modified, current)),
            ListRule::ByKey(key) => merge_lists(original.as_array(), modified, current, key, place)
                .unwrap_or_else(|| Value::Array(modified.iter().map(without_nulls).collect())),
        },
        (modified, _) => without_nulls(modified),
    }
}

fn merge_maps(
    original: Option<&Map<String, Value>>,
    modified: &Map<String, Value>,
    current: &Map<String, Value>,
    place: Place<'_>,
) -> Map<String, Value> {
    let mut merged = current.clone();
    if place.retains_keys() {
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
        let inner = Place { field: key, ..place };
        let value = match merged.get(key) {
            Some(live) => merge(before, value, live, inner),
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

/// `None` when the elements cannot be told apart by the key.
fn merge_lists(
    original: Option<&Vec<Value>>,
    modified: &[Value],
    current: &[Value],
    key: &str,
    place: Place<'_>,
) -> Option<Value> {
    let empty = Vec::new();
    let original = original.unwrap_or(&empty);
    let told_apart = |list: &[Value]| {
        let keys: Vec<&Value> = list.iter().map(|item| &item[key]).collect();
        keys.iter().enumerate().all(|(i, k)| !k.is_null() && !keys[..i].contains(k))
    };
    if !told_apart(modified) || !told_apart(current) {
        return None;
    }
    let find = |list: &'_ [Value], item: &Value| list.iter().find(|other| other[key] == item[key]).cloned();
    let inner = Place { element_of: place.field, field: "", ..place };
    let mut merged: Vec<Value> = modified
        .iter()
        .map(|item| match find(current, item) {
            Some(live) => merge(&find(original, item).unwrap_or(Value::Null), item, &live, inner),
            None => without_nulls(item),
        })
        .collect();
    // What others added stays, in its order; what the file used to have goes.
    merged.extend(
        current.iter().filter(|live| find(modified, live).is_none() && find(original, live).is_none()).cloned(),
    );
    Some(Value::Array(merged))
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

    #[track_caller]
    fn check(group: &str, original: Value, modified: Value, current: Value, expect: Value) {
        assert_eq!(three_way(&original, &modified, &current, group), expect);
    }

    #[test]
    fn what_others_set_stays_and_what_the_file_dropped_goes() {
        check(
            "",
            json!({"a": 1, "b": 2, "m": {"x": 1, "y": 1}}),
            json!({"a": 3, "m": {"x": 1}}),
            json!({"a": 1, "b": 2, "c": "live", "m": {"x": 9, "y": 1, "z": 1}}),
            json!({"a": 3, "c": "live", "m": {"x": 1, "z": 1}}),
        );
    }

    #[test]
    fn a_null_in_the_file_removes() {
        check("", json!({}), json!({"a": null, "n": {"x": null}}), json!({"a": 1}), json!({"n": {}}));
    }

    #[test]
    fn containers_are_told_apart_by_name() {
        let pod = |containers: Value| json!({"kind": "Pod", "spec": {"containers": containers}});
        check(
            "",
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
        let service = |port: Value| json!({"kind": "Service", "spec": {"ports": [port]}});
        check(
            "",
            service(json!({"port": 80})),
            service(json!({"port": 80, "name": "web"})),
            service(json!({"port": 80, "nodePort": 30001, "protocol": "TCP"})),
            service(json!({"port": 80, "name": "web", "nodePort": 30001, "protocol": "TCP"})),
        );
    }

    #[test]
    fn ports_with_one_number_and_two_protocols_are_one_list() {
        let pod = |ports: Value| json!({"kind": "Pod", "spec": {"containers": [{"name": "a", "ports": ports}]}});
        let both = json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]);
        check("", pod(json!([])), pod(both.clone()), pod(json!([{"containerPort": 1}])), pod(both));
    }

    #[test]
    fn a_deployment_changes_its_strategy_as_a_whole() {
        let deployment = |strategy: Value| json!({"kind": "Deployment", "spec": {"strategy": strategy}});
        check(
            "apps",
            deployment(json!({"type": "RollingUpdate"})),
            deployment(json!({"type": "Recreate"})),
            deployment(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})),
            deployment(json!({"type": "Recreate"})),
        );
    }

    #[test]
    fn custom_resources_have_whole_lists() {
        check(
            "example.com",
            json!({}),
            json!({"spec": {"containers": [{"name": "a"}]}}),
            json!({"spec": {"containers": [{"name": "b"}]}}),
            json!({"spec": {"containers": [{"name": "a"}]}}),
        );
    }

    #[test]
    fn finalizers_are_a_set() {
        check(
            "",
            json!({"metadata": {"finalizers": ["mine", "gone"]}}),
            json!({"metadata": {"finalizers": ["mine"]}}),
            json!({"metadata": {"finalizers": ["theirs", "gone"]}}),
            json!({"metadata": {"finalizers": ["theirs", "mine"]}}),
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
