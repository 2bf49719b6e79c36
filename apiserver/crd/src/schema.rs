//! From a CRD's `openAPIV3Schema` to the model's [`Schema`].

use std::sync::Arc;

use api_meta::Value;
use apiserver_model::schema::{ListType, Rules, Schema, Type, builtin};

/// The schema of a version's values, as the CRD states it.
pub(crate) fn values(json: &Value) -> Schema {
    let flag = |key: &str| json.get(key) == Some(&Value::Bool(true));
    let text = |key: &str| json.get(key).and_then(Value::as_str);
    let strings = |key: &str| -> Vec<String> {
        let list = json.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let type_ = match text("type") {
        _ if flag("x-kubernetes-int-or-string") => Type::IntOrString,
        Some("object") => Type::Object,
        Some("array") => Type::Array,
        Some("string") => Type::String,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("boolean") => Type::Boolean,
        _ => Type::Any,
    };
    let properties = json.get("properties").and_then(Value::as_object);
    Schema {
        format: text("format").map(str::to_owned),
        description: text("description").map(str::to_owned),
        properties: properties.into_iter().flatten().map(|(n, s)| (n.clone(), Arc::new(values(s)))).collect(),
        additional_properties: match json.get("additionalProperties") {
            None | Some(Value::Null | Value::Bool(false)) => None,
            Some(schema) => Some(Arc::new(values(schema))),
        },
        items: json.get("items").filter(|s| s.is_object()).map(|s| Arc::new(values(s))),
        required: strings("required"),
        nullable: flag("nullable"),
        default: json.get("default").filter(|d| !d.is_null()).cloned(),
        preserve_unknown_fields: flag("x-kubernetes-preserve-unknown-fields"),
        embedded_resource: flag("x-kubernetes-embedded-resource"),
        list_type: match text("x-kubernetes-list-type") {
            Some("set") => ListType::Set,
            Some("map") => ListType::Map(strings("x-kubernetes-list-map-keys")),
            _ => ListType::Atomic,
        },
        atomic: text("x-kubernetes-map-type") == Some("atomic"),
        rules: rules(json),
        ..Schema::of(type_)
    }
}

fn rules(json: &Value) -> Option<Box<Rules>> {
    let flag = |key: &str| json.get(key) == Some(&Value::Bool(true));
    let float = |key: &str| json.get(key).and_then(Value::as_f64);
    let count = |key: &str| json.get(key).and_then(Value::as_u64);
    let text = |key: &str| json.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
    let list = |key: &str| json.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let schemas = |key: &str| list(key).iter().map(values).collect();
    let rules = Rules {
        title: text("title"),
        minimum: float("minimum"),
        exclusive_minimum: flag("exclusiveMinimum"),
        maximum: float("maximum"),
        exclusive_maximum: flag("exclusiveMaximum"),
        multiple_of: float("multipleOf"),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        pattern: text("pattern"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        unique_items: false,
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        enum_values: list("enum").to_vec(),
        all_of: schemas("allOf"),
        any_of: schemas("anyOf"),
        one_of: schemas("oneOf"),
        not: json.get("not").filter(|s| s.is_object()).map(|s| Box::new(values(s))),
        cel: list("x-kubernetes-validations").to_vec(),
    };
    (rules != Rules::default()).then(|| Box::new(rules))
}

/// The schema of whole objects: what decoding, patches and apply go by. `metadata` is like that of any kind.
pub(crate) fn object(values: &Schema) -> Schema {
    let mut schema = values.clone();
    for name in ["apiVersion", "kind"] {
        schema.properties.insert(name.into(), Arc::new(Schema::of(Type::String)));
    }
    schema.properties.insert("metadata".into(), builtin::object_meta());
    schema
}
