//! Conditions in the status of what the server itself writes.

use api_meta::{Object, Value, json, now_seconds};

/// Puts a condition in the place of the one of its type, dated by it unless the status differs.
pub(crate) fn set(object: &mut Object, mut condition: Value) {
    let conditions = object.at_mut(&["status", "conditions"]);
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else { return };
    let before = list.iter_mut().find(|before| before["type"] == condition["type"]);
    let since = before.as_ref().filter(|before| before["status"] == condition["status"]);
    condition["lastTransitionTime"] =
        since.map_or_else(|| now_seconds().into(), |before| before["lastTransitionTime"].clone());
    match before {
        Some(before) => *before = condition,
        None => list.push(condition),
    }
}
