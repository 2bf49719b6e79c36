//! Items of sets and maps are unique (upstream: `schema/listtype`).

use std::collections::HashMap;

use api_meta::{FieldErrors, FieldPath, Map, Value};
use apiserver_model::schema::{ListType, Schema};

pub(crate) fn check(value: &Value, schema: &Schema, path: &FieldPath, errors: &mut FieldErrors) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(schema) = schema.properties.get(name) {
                    check(value, schema, &path.child(name), errors);
                } else if let Some(schema) = &schema.additional_properties {
                    check(value, schema, &path.key(name), errors);
                }
            }
        }
        Value::Array(items) => {
            match &schema.list_type {
                ListType::Atomic => {}
                ListType::Set => unique(items.iter().map(|item| (item.to_string(), item.clone())), path, errors),
                ListType::Map(keys) => unique_keys(items, keys, schema, path, errors),
            }
            if let Some(schema) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    check(item, schema, &path.index(index), errors);
                }
            }
        }
        _ => {}
    }
}

/// Tells of the second of equal items, once.
fn unique(items: impl Iterator<Item = (String, Value)>, path: &FieldPath, errors: &mut FieldErrors) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, (identity, shown)) in items.enumerate() {
        let times = seen.entry(identity).or_default();
        *times += 1;
        if *times == 2 {
            errors.duplicate(&path.index(index), shown);
        }
    }
}

fn unique_keys(items: &[Value], keys: &[String], schema: &Schema, path: &FieldPath, errors: &mut FieldErrors) {
    if let Some(index) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        errors.invalid(&path.index(index), items[index].clone(), "must be an object for an array of list-type map");
        return;
    }
    let of = |item: &Value| -> Value {
        let key = |key: &String| {
            let default = || schema.items.as_ref()?.properties.get(key)?.default.clone();
            let value = item.get(key).cloned().or_else(default)?;
            Some((key.clone(), value))
        };
        Value::Object(keys.iter().filter_map(key).collect::<Map<_, _>>())
    };
    unique(items.iter().map(|item| (of(item).to_string(), of(item))), path, errors);
}
