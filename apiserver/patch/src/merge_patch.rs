//! JSON merge patch (RFC 7396), as `evanphx/json-patch` does it.
//!
//! One difference to the RFC, visible only where a patch has nulls inside the
//! objects of a list: those nulls are dropped, unless the list takes the place
//! of an object.

use api_meta::{Map, Value};

/// Merges `patch` into `target`; null deletes.
pub fn merge_patch(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match target.get_mut(&key) {
            _ if value.is_null() => {
                target.remove(&key);
            }
            Some(Value::Object(current)) => match value {
                Value::Object(value) => merge_patch(current, value),
                other => {
                    target.insert(key, other);
                }
            },
            _ => {
                let mut value = value;
                drop_nulls(&mut value);
                target.insert(key, value);
            }
        }
    }
}

/// Deletes what is null in objects at any depth. Nulls that are elements of a list stay: they hold a place.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, v| !v.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;
    use proptest::prelude::*;

    use super::*;

    fn merged(target: &Value, patch: &Value) -> Value {
        let mut target = target.as_object().unwrap().clone();
        merge_patch(&mut target, patch.as_object().unwrap().clone());
        Value::Object(target)
    }

    #[track_caller]
    fn check(target: Value, patch: Value, expect: Value) {
        assert_eq!(merged(&target, &patch), expect);
    }

    #[test]
    fn sets_and_deletes() {
        check(json!({"a": "b", "c": "d"}), json!({"a": "z", "c": null}), json!({"a": "z"}));
    }

    #[test]
    fn goes_into_objects() {
        check(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": null, "d": 3}}), json!({"a": {"c": 2, "d": 3}}));
    }

    #[test]
    fn replaces_lists() {
        check(json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]}));
    }

    #[test]
    fn replaces_scalars_by_objects_without_nulls() {
        check(json!({"a": 1}), json!({"a": {"b": {"c": null}}}), json!({"a": {"b": {}}}));
    }

    #[test]
    fn replaces_objects_by_scalars() {
        check(json!({"a": {"b": 1}}), json!({"a": 1}), json!({"a": 1}));
    }

    #[test]
    fn drops_nulls_in_new_lists() {
        check(json!({}), json!({"a": [{"b": null}, null]}), json!({"a": [{}, null]}));
    }

    #[test]
    fn keeps_nulls_in_lists_that_replace_objects() {
        check(json!({"a": {}}), json!({"a": [{"b": null}]}), json!({"a": [{"b": null}]}));
    }

    /// Values without nulls: what an object holds.
    fn plain() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..3i64).prop_map(Value::from), Just(json!("s"))];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[a-c]", plain(), 0..4).prop_map(|m| Value::Object(m.into_iter().collect()))
    }

    /// The merge patch that leads from one object to another.
    fn difference(from: &Value, to: &Value) -> Value {
        let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
        let mut patch = Map::new();
        for key in from.keys().filter(|k| !to.contains_key(*k)) {
            patch.insert(key.clone(), Value::Null);
        }
        for (key, value) in to {
            match from.get(key) {
                Some(old) if old == value => {}
                Some(old) => {
                    patch.insert(key.clone(), difference(old, value));
                }
                None => {
                    patch.insert(key.clone(), value.clone());
                }
            }
        }
        Value::Object(patch)
    }

    proptest! {
        #[test]
        fn the_difference_leads_there(from in object(), to in object()) {
            prop_assert_eq!(merged(&from, &difference(&from, &to)), to);
        }

        #[test]
        fn twice_is_once(from in object(), to in object()) {
            let patch = difference(&from, &to);
            let once = merged(&from, &patch);
            prop_assert_eq!(merged(&once, &patch), once);
        }

        #[test]
        fn an_empty_patch_changes_nothing(from in object()) {
            prop_assert_eq!(merged(&from, &json!({})), from);
        }
    }
}
