//! Drops what a structural schema does not specify (upstream: `structural/pruning`).

use api_meta::{Map, Value};

use super::Schema;

const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops unspecified fields of a custom resource and returns their paths, sorted.
///
/// `apiVersion`, `kind` and `metadata` of the object and of embedded resources
/// stay whatever the schema says.
pub fn prune(object: &mut Map<String, Value>, schema: &Schema) -> Vec<String> {
    let mut pruner = Pruner { path: String::new(), dropped: Vec::new() };
    pruner.object(object, Some(schema), true);
    pruner.dropped.sort_unstable();
    pruner.dropped
}

struct Pruner {
    path: String,
    dropped: Vec<String>,
}

impl Pruner {
    fn value(&mut self, value: &mut Value, schema: Option<&Schema>) {
        match value {
            Value::Object(fields) => self.object(fields, schema, schema.is_some_and(|s| s.embedded_resource)),
            Value::Array(items) => {
                let schema = schema.and_then(|s| s.items.as_deref());
                for (index, item) in items.iter_mut().enumerate() {
                    self.under(&format!("[{index}]"), |p| p.value(item, schema));
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, fields: &mut Map<String, Value>, schema: Option<&Schema>, is_resource: bool) {
        let keep_unknown = schema.is_some_and(|s| s.preserve_unknown_fields);
        fields.retain(|name, value| {
            if is_resource && META_FIELDS.contains(&name.as_str()) {
                return true;
            }
            let step = if self.path.is_empty() { name.clone() } else { format!(".{name}") };
            match schema.and_then(|s| s.field(name)) {
                Some(schema) => self.under(&step, |p| p.value(value, Some(schema))),
                None if keep_unknown => {}
                None => {
                    self.dropped.push(format!("{}{step}", self.path));
                    return false;
                }
            }
            true
        });
    }

    fn under(&mut self, step: &str, walk: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        walk(self);
        self.path.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api_meta::json;

    use super::*;
    use crate::schema::Type;

    fn object(fields: &[(&str, Schema)]) -> Schema {
        let properties = fields.iter().map(|(n, s)| ((*n).to_owned(), Arc::new(s.clone()))).collect();
        Schema { properties, ..Schema::of(Type::Object) }
    }

    #[track_caller]
    fn check(schema: &Schema, value: Value, expect: Value, dropped: &[&str]) {
        let Value::Object(mut fields) = value else { panic!("an object") };
        assert_eq!(prune(&mut fields, schema), dropped);
        assert_eq!(Value::Object(fields), expect);
    }

    #[test]
    fn unknown_fields_at_each_level() {
        let schema = object(&[("spec", object(&[("a", Schema::of(Type::String))]))]);
        check(
            &schema,
            json!({"kind": "K", "metadata": {"name": "n"}, "spec": {"a": "1", "what": 1}, "extra": 1}),
            json!({"kind": "K", "metadata": {"name": "n"}, "spec": {"a": "1"}}),
            &["extra", "spec.what"],
        );
    }

    #[test]
    fn preserved_fields_are_pruned_again_where_specified() {
        let inner = object(&[("b", Schema::of(Type::String))]);
        let spec = Schema { preserve_unknown_fields: true, ..object(&[("inner", inner)]) };
        check(
            &object(&[("spec", spec)]),
            json!({"spec": {"x": {"y": 1}, "inner": {"b": "1", "c": 1}}}),
            json!({"spec": {"x": {"y": 1}, "inner": {"b": "1"}}}),
            &["spec.inner.c"],
        );
    }

    #[test]
    fn lists_maps_and_embedded_resources() {
        let item = object(&[("a", Schema::of(Type::Integer))]);
        let list = Schema { items: Some(Arc::new(item.clone())), ..Schema::of(Type::Array) };
        let map = Schema { additional_properties: Some(Arc::new(item)), ..Schema::of(Type::Object) };
        let embedded = Schema { embedded_resource: true, ..Schema::of(Type::Object) };
        check(
            &object(&[("l", list), ("m", map), ("e", embedded)]),
            json!({"l": [{"a": 1, "b": 2}], "m": {"k": {"c": 1}}, "e": {"kind": "X", "metadata": {}, "spec": 1}}),
            json!({"l": [{"a": 1}], "m": {"k": {}}, "e": {"kind": "X", "metadata": {}}}),
            &["e.spec", "l[0].b", "m.k.c"],
        );
    }
}
