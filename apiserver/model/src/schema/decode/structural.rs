//! What is special about custom resources: metadata is typed, the rest is pruned.

use api_meta::{Map, Object, Value};
use serde::de::DeserializeSeed;

use super::walk::{Node, Walk};
use crate::schema::{Schema, builtin, prune};

/// Reads the metadata of the object and of embedded resources, and prunes.
pub(super) fn finish(object: &mut Object, schema: &Schema, walk: &mut Walk<'_>) {
    let told = walk.strict_errors.len();
    metadata(object, "metadata", walk);
    embedded(object, schema, "", walk);
    let mut dropped: Vec<_> = walk.strict_errors.split_off(told);
    dropped.extend(prune(object, schema).iter().map(|path| format!("unknown field {path:?}")));
    dropped.sort_unstable();
    for text in dropped {
        walk.strict_error(text);
    }
}

fn metadata(fields: &mut Map<String, Value>, path: &str, walk: &mut Walk<'_>) {
    let Some(value) = fields.remove("metadata") else { return };
    let schema = builtin::object_meta();
    let mut own = Walk::new(true, false);
    own.path = path.to_owned();
    // Only errors of a byte stream are fatal here, and this is no byte stream.
    let value = Node::new(&mut own, &schema).deserialize(value).unwrap_or_default();
    if let Some(error) = own.error {
        walk.error.get_or_insert(error);
    }
    own.strict_errors.into_iter().for_each(|text| walk.strict_error(text));
    if !value.is_null() {
        fields.insert("metadata".into(), value);
    }
}

fn embedded(fields: &mut Map<String, Value>, schema: &Schema, path: &str, walk: &mut Walk<'_>) {
    for (name, value) in fields {
        if let Some(schema) = schema.field(name) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            embedded_value(value, schema, &path, walk);
        }
    }
}

fn embedded_value(value: &mut Value, schema: &Schema, path: &str, walk: &mut Walk<'_>) {
    match value {
        Value::Object(fields) => {
            if schema.embedded_resource {
                metadata(fields, &format!("{path}.metadata"), walk);
            }
            embedded(fields, schema, path, walk);
        }
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                for (index, item) in items.iter_mut().enumerate() {
                    embedded_value(item, schema, &format!("{path}[{index}]"), walk);
                }
            }
        }
        _ => {}
    }
}
