//! Defaults of a structural schema (upstream: `structural/defaulting`).

use api_meta::{Map, Object, Value};
use apiserver_model::Schema;

const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Fills in defaults, then drops `null` where it is neither allowed nor replaced.
pub(crate) fn apply(object: &mut Object, schema: &Schema) {
    fill_fields(object, schema);
    object.retain(|name, value| META_FIELDS.contains(&name.as_str()) || keep(value, schema.field(name).map(|s| &**s)));
}

fn is_refused_null(value: &Value, schema: &Schema) -> bool {
    value.is_null() && !schema.nullable
}

fn fill_fields(fields: &mut Map<String, Value>, schema: &Schema) {
    for (name, schema) in &schema.properties {
        if let Some(default) = &schema.default
            && fields.get(name).is_none_or(|value| is_refused_null(value, schema))
        {
            fields.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in fields.iter_mut() {
        if let Some(schema) = schema.field(name) {
            fill(value, schema);
        }
    }
}

fn fill(value: &mut Value, schema: &Schema) {
    if let Some(default) = schema.default.as_ref().filter(|_| is_refused_null(value, schema)) {
        *value = default.clone();
    }
    match value {
        Value::Object(fields) => fill_fields(fields, schema),
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                items.iter_mut().for_each(|item| fill(item, schema));
            }
        }
        _ => {}
    }
}

/// Whether a field stays; drops nulls inside of it.
fn keep(value: &mut Value, schema: Option<&Schema>) -> bool {
    let Some(schema) = schema else { return true };
    if is_refused_null(value, schema) {
        return false;
    }
    drop_nulls(value, schema);
    true
}

fn drop_nulls(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| keep(value, schema.field(name).map(|s| &**s))),
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                items.iter_mut().for_each(|item| drop_nulls(item, schema));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;
    use crate::schema::values;

    fn schema() -> Schema {
        let a = json!({"type": "object", "properties": {"a": {"type": "integer", "default": 1}}});
        values(
            &json!({"type": "object", "properties": {"spec": {"type": "object", "default": {"mode": "auto"}, "properties": {
                "mode": {"type": "string", "default": "slow"}, "count": {"type": "integer", "default": 3}, "inner": a,
                "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string", "default": "d"}}}},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"z": {"type": "boolean", "default": true}}}},
                "nullable": {"type": "string", "nullable": true, "default": "n"}, "nodefault": {"type": "string"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }}}}),
        )
    }

    #[track_caller]
    fn check(object: Value, expect: Value) {
        let mut object = Object::try_from(object).unwrap();
        apply(&mut object, &schema());
        assert_eq!(object.to_value(), expect);
    }

    #[test]
    fn defaults_inside_defaults() {
        check(json!({}), json!({"spec": {"mode": "auto", "count": 3, "nullable": "n"}}));
    }

    #[test]
    fn defaults_in_lists_and_maps() {
        check(
            json!({"spec": {"inner": {}, "list": [{}, {"x": "1"}], "map": {"k": {}}}}),
            json!({"spec": {"count": 3, "inner": {"a": 1}, "list": [{"x": "d"}, {"x": "1"}], "map": {"k": {"z": true}},
                "mode": "slow", "nullable": "n"}}),
        );
    }

    #[test]
    fn null_takes_the_default_unless_nullable() {
        check(
            json!({"spec": {"mode": null, "nullable": null, "nodefault": null, "free": {"x": null}}}),
            json!({"spec": {"count": 3, "mode": "slow", "nullable": null, "free": {"x": null}}}),
        );
    }
}
