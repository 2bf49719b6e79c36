//! Patches: a document in the first line, and what is to become of it in the others.

use api_meta::{Map, Object, Value};
use apiserver_model::schema::{FieldValidation, decode_value};
use apiserver_patch::json_patch::{COPY_LIMIT, MAX_DEPTH};
use apiserver_patch::{decode, json_patch, merge_patch, strategic_merge};

pub(super) const STEPS: &[&str] = &[
    "{\"op\":\"add\",\"path\":\"/a\",\"value\":1}",
    "\"op\":",
    "\"path\":",
    "\"from\":",
    "\"value\":",
    "\"add\"",
    "\"remove\"",
    "\"replace\"",
    "\"move\"",
    "\"copy\"",
    "\"test\"",
    "/-",
    "/0",
    "/-1",
    "~0",
    "~1",
    "/a",
    "\"\"",
];

pub(super) const DIRECTIVES: &[&str] = &[
    "\"$patch\":\"delete\"",
    "\"$patch\":\"replace\"",
    "\"$patch\":\"merge\"",
    "\"$retainKeys\":[\"name\"]",
    "\"$deleteFromPrimitiveList/finalizers\":[\"a\"]",
    "\"$setElementOrder/containers\":[{\"name\":\"a\"}]",
    "$setElementOrder/",
    "$deleteFromPrimitiveList/",
    "\"name\":\"a\"",
    "\"containers\":",
    "\"ports\":",
    "\"finalizers\":",
    "\"env\":",
    "\"volumes\":",
    "null",
];

pub(super) fn json(data: &[u8]) {
    let (document, patch) = super::parts(data);
    let Ok(document) = serde_json::from_slice::<Value>(document) else { return };
    let Ok(patch_) = decode::steps(patch) else { return };
    let apply = || {
        let mut document = document.clone();
        json_patch(&mut document, patch_.clone()).map(|()| document)
    };
    let patched = apply();
    assert_eq!(patched, apply());
    let Ok(patched) = patched else { return };
    let written = super::written(&patched);
    assert!(written.len() <= size(&document) + 2 * patch.len() + COPY_LIMIT, "{} bytes", written.len());
    assert!(depth(&patched) <= depth(&document).max(MAX_DEPTH), "{} levels", depth(&patched));
}

pub(super) fn merge(data: &[u8]) {
    let (document, patch) = super::parts(data);
    let Some(document) = super::fields(document) else { return };
    let Ok(patch) = decode::object(patch) else { return };
    let merged = |document: &Map<String, Value>| {
        let mut document = document.clone();
        merge_patch(&mut document, patch.clone());
        document
    };
    let once = merged(&document);
    for (key, value) in &patch {
        assert_eq!(once.contains_key(key), !value.is_null(), "{key:?}");
    }
    assert!(document.iter().all(|(key, value)| patch.contains_key(key) || once.get(key) == Some(value)));
    // A list in the place of an object keeps nulls that a list in the place of a list does not: twice is not once.
    let twice = merged(&once);
    assert_eq!(merged(&twice), twice);
}

pub(super) fn strategic(data: &[u8]) {
    let (document, patch) = super::parts(data);
    let Some(document) = super::fields(document) else { return };
    let Ok(patch) = decode::object(patch) else { return };
    let Some(resource) = super::resource_of(&document) else { return };
    let kind = resource.info.group_version_kind();
    let bound = size(&Value::Object(document.clone())) + size(&Value::Object(patch.clone()));
    let merged = |patch: Map<String, Value>| strategic_merge(Object::from(document.clone()), patch, &resource.schema);
    assert_eq!(merged(Map::new()), Ok(Object::from(document.clone())));
    let result = merged(patch.clone());
    assert_eq!(result, merged(patch));
    let Ok(object) = result else { return };
    let size = size(&object.to_value());
    assert!(size <= bound, "{size} bytes of {bound}");
    drop(decode_value(object.to_value(), &kind, &resource.schema, FieldValidation::Strict));
}

fn size(value: &Value) -> usize {
    super::written(value).len()
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
