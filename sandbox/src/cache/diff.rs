//! The JSON merge patch (RFC 7396) that turns one document into another.

use serde_json::{Map, Value};

/// What to merge into `old` to get `new`; `None` when they are equal. Lists are replaced whole.
pub(crate) fn merge_diff(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let mut patch = Map::new();
            for (key, value) in new {
                match old.get(key) {
                    Some(before) => {
                        if let Some(change) = merge_diff(before, value) {
                            patch.insert(key.clone(), change);
                        }
                    }
                    None => {
                        patch.insert(key.clone(), value.clone());
                    }
                }
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                patch.insert(key.clone(), Value::Null);
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (old, new) => (old != new).then(|| new.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(old: Value, new: Value, expect: Option<Value>) {
        assert_eq!(merge_diff(&old, &new), expect);
    }

    #[test]
    fn equal_documents_need_nothing() {
        check(json!({"a": [1], "b": {"c": 2}}), json!({"a": [1], "b": {"c": 2}}), None);
    }

    #[test]
    fn removed_fields_become_null() {
        check(
            json!({"a": 1, "b": {"c": 2, "d": 3}}),
            json!({"b": {"c": 2}}),
            Some(json!({"a": null, "b": {"d": null}})),
        );
    }

    #[test]
    fn lists_are_replaced_whole() {
        check(json!({"a": [1, 2]}), json!({"a": [2]}), Some(json!({"a": [2]})));
    }
}
