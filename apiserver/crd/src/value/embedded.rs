//! Objects inside of objects name their type and have proper metadata (upstream: `schema/objectmeta`).

use api_meta::validation::{self, NameRule};
use api_meta::{FieldErrors, FieldPath, GroupVersion, Map, Object, Value};
use apiserver_model::Schema;

pub(crate) fn check(value: &Value, schema: &Schema, path: &FieldPath, errors: &mut FieldErrors) {
    match value {
        Value::Object(fields) => {
            if schema.embedded_resource {
                resource(fields, path, errors);
            }
            for (name, value) in fields {
                if let Some(schema) = schema.properties.get(name) {
                    check(value, schema, &path.child(name), errors);
                } else if let Some(schema) = &schema.additional_properties {
                    check(value, schema, &path.key(name), errors);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    check(item, schema, &path.index(index), errors);
                }
            }
        }
        _ => {}
    }
}

fn resource(fields: &Map<String, Value>, path: &FieldPath, errors: &mut FieldErrors) {
    for name in ["apiVersion", "kind"] {
        let at = path.child(name);
        match fields.get(name) {
            None => errors.required(&at, ""),
            Some(Value::String(text)) if text.is_empty() => errors.invalid(&at, "", "must not be empty"),
            Some(Value::String(text)) if name == "kind" => {
                let problems = validation::is_dns1035_label(&text.to_lowercase());
                if !problems.is_empty() {
                    let why = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
                    errors.invalid(&at, text.as_str(), why);
                }
            }
            Some(Value::String(text)) => {
                if let Err(error) = text.parse::<GroupVersion>() {
                    errors.invalid(&at, text.as_str(), error.to_string());
                }
            }
            Some(other) => errors.invalid(&at, other.clone(), "must be a string"),
        }
    }
    if let Some(Value::Object(metadata)) = fields.get("metadata") {
        let mut object = Object::default();
        object.insert("metadata".into(), Value::Object(metadata.clone()));
        if object.name().is_empty() {
            // An embedded object need not have a name.
            object.set_meta_str("name", "fakename");
        }
        let namespaced = !object.namespace().is_empty();
        for mut error in validation::object_meta(&object, namespaced, NameRule::PathSegment) {
            let inner = error.field.as_str().trim_start_matches("metadata").trim_start_matches('.').to_owned();
            let metadata = path.child("metadata");
            error.field = if inner.is_empty() { metadata } else { metadata.child(&inner) };
            errors.push(error);
        }
    }
}
