//! The schemas of documents: definitions of built-in kinds, lists, and custom resources.

use std::collections::BTreeSet;

use api_meta::{GroupVersionKind, Map, Value, json};
use apiserver_model::Resource;
use apiserver_model::schema::{ListType, Rules, Schema, Type, builtin};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Which version of OpenAPI is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V2,
    V3,
}

impl Dialect {
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "#/definitions/",
            Self::V3 => "#/components/schemas/",
        }
    }
}

/// Names of definitions.
pub(super) struct Names<'a>(pub(super) &'a [&'a Resource]);

impl Names<'_> {
    /// `io.k8s.api.apps.v1.Deployment`; `com.example.v1.Widget` for a custom resource.
    pub(super) fn kind(&self, kind: &GroupVersionKind) -> Option<String> {
        let custom = self.0.iter().any(|r| r.schema.is_structural() && r.info.group_version_kind() == *kind);
        if custom {
            let mut parts: Vec<&str> = kind.group.split('.').rev().collect();
            parts.extend([kind.version.as_str(), kind.kind.as_str()]);
            return Some(parts.join("."));
        }
        builtin::definition_name(&kind.group, &kind.version, &kind.kind).map(str::to_owned)
    }

    pub(super) fn list(&self, kind: &GroupVersionKind) -> Option<String> {
        self.kind(kind).map(|name| name + "List")
    }
}

pub(super) fn status() -> String {
    format!("{META}Status")
}

pub(super) fn delete_options() -> String {
    format!("{META}DeleteOptions")
}

pub(super) fn patch() -> String {
    format!("{META}Patch")
}

/// All definitions that documents about these resources may refer to.
pub(super) fn definitions(resources: &[&Resource], dialect: Dialect) -> Map<String, Value> {
    let names = Names(resources);
    let mut found: Map<String, Value> = builtin::definitions();
    for (name, definition) in &mut found {
        adapt(name, definition, dialect);
    }
    found.insert(
        patch(),
        json!({
            "description": "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.",
            "type": "object",
        }),
    );
    let list_meta = json!({
        "description": "ListMeta describes metadata that synthetic resources must have, including lists and various status objects. A resource may have only one of {ObjectMeta, ListMeta}.",
        "type": "object",
        "properties": {
            "continue": {"type": "string", "description": "continue may be set if the user set a limit on the number of items returned, and indicates that the server has more data available."},
            "remainingItemCount": {"type": "integer", "format": "int64", "description": "remainingItemCount is the number of subsequent items in the list which are not included in this list response."},
            "resourceVersion": {"type": "string", "description": "String that identifies the server's internal version of this object that can be used by clients to determine when objects have changed."},
            "selfLink": {"type": "string", "description": "Deprecated: selfLink is a legacy read-only field that is no longer populated by the system."},
        },
    });
    found.entry(format!("{META}ListMeta")).or_insert(list_meta);
    for resource in resources {
        let gvk = resource.info.group_version_kind();
        let Some(name) = names.kind(&gvk) else { continue };
        if resource.schema.is_structural() {
            let mut definition = from_schema(&resource.schema, dialect, true);
            own_fields(&mut definition, dialect);
            found.insert(name.clone(), definition);
        }
        found.insert(format!("{name}List"), list(&name, &gvk, &resource.info.list_kind, dialect));
    }
    for (group, version, kind) in builtin::all() {
        if let Some(Value::Object(definition)) =
            builtin::definition_name(group, version, kind).and_then(|name| found.get_mut(name))
        {
            let gvk = GroupVersionKind::new(group, version, kind);
            definition.insert("x-kubernetes-group-version-kind".into(), json!([group_version_kind(&gvk)]));
        }
    }
    for resource in resources.iter().filter(|r| r.schema.is_structural()) {
        let gvk = resource.info.group_version_kind();
        if let Some(Value::Object(definition)) = names.kind(&gvk).and_then(|name| found.get_mut(&name)) {
            definition.insert("x-kubernetes-group-version-kind".into(), json!([group_version_kind(&gvk)]));
        }
    }
    found
}

pub(super) fn group_version_kind(kind: &GroupVersionKind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

/// Those definitions that the value leads to.
pub(super) fn reachable(mut all: Map<String, Value>, from: &Value, dialect: Dialect) -> Map<String, Value> {
    let mut wanted = BTreeSet::new();
    let mut kept = Map::new();
    references(from, dialect, &mut wanted);
    while let Some(name) = wanted.pop_first() {
        if let Some(definition) = all.remove(&name) {
            references(&definition, dialect, &mut wanted);
            kept.insert(name, definition);
        }
    }
    kept
}

fn references(value: &Value, dialect: Dialect, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().and_then(|text| text.strip_prefix(dialect.prefix())) {
                    Some(name) if key == "$ref" => {
                        found.insert(name.to_owned());
                    }
                    _ => references(value, dialect, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, dialect, found)),
        _ => {}
    }
}

fn list(name: &str, gvk: &GroupVersionKind, list_kind: &str, dialect: Dialect) -> Value {
    let kind = GroupVersionKind { kind: list_kind.to_owned(), ..gvk.clone() };
    let mut definition = json!({
        "description": format!("{list_kind} is a list of {}", gvk.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {"type": "array", "description": "List of objects.", "items": {"$ref": format!("{}{name}", dialect.prefix())}},
        },
        "x-kubernetes-group-version-kind": [group_version_kind(&kind)],
    });
    definition["properties"]["metadata"] = referring(
        json!({"$ref": format!("{}{META}ListMeta", dialect.prefix()), "description": "Standard list metadata."}),
        dialect,
    );
    type_fields(&mut definition);
    definition
}

/// `apiVersion` and `kind`
fn type_fields(definition: &mut Value) {
    definition["properties"]["apiVersion"] = json!({
        "description": "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
        "type": "string",
    });
    definition["properties"]["kind"] = json!({
        "description": "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
        "type": "string",
    });
}

fn own_fields(definition: &mut Value, dialect: Dialect) {
    type_fields(definition);
    definition["properties"]["metadata"] = referring(
        json!({
            "$ref": format!("{}{META}ObjectMeta", dialect.prefix()),
            "description": "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
        }),
        dialect,
    );
}

/// Version 3 knows nothing beside `$ref`; what stands there moves around an `allOf`.
fn referring(mut schema: Value, dialect: Dialect) -> Value {
    let Value::Object(fields) = &mut schema else { return schema };
    if dialect == Dialect::V3
        && fields.len() > 1
        && let Some(reference) = fields.remove("$ref")
    {
        fields.insert("allOf".into(), json!([{"$ref": reference}]));
    }
    schema
}

/// Turns k8s-openapi's form of a definition into upstream's.
fn adapt(name: &str, definition: &mut Value, dialect: Dialect) {
    let description = definition.get("description").cloned().unwrap_or_default();
    let special = match (name.rsplit('.').next().unwrap_or_default(), dialect) {
        ("IntOrString", Dialect::V3) => {
            Some(json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}))
        }
        ("IntOrString", Dialect::V2) => Some(json!({"format": "int-or-string", "type": "string"})),
        ("Quantity", Dialect::V3) => Some(json!({"oneOf": [{"type": "string"}, {"type": "number"}]})),
        ("Quantity", Dialect::V2) => Some(json!({"type": "string"})),
        ("JSON" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray", _) => {
            Some(json!({}))
        }
        _ => None,
    };
    match special {
        Some(mut special) => {
            special["description"] = description;
            *definition = special;
        }
        None => rewrite(definition, dialect),
    }
}

fn rewrite(value: &mut Value, dialect: Dialect) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| rewrite(value, dialect));
            if dialect == Dialect::V2
                && let Some(Value::String(reference)) = fields.get_mut("$ref")
            {
                *reference = reference.replacen(Dialect::V3.prefix(), Dialect::V2.prefix(), 1);
            }
            // `JSONSchemaProps` has a field of that name.
            if fields.get("$ref").is_some_and(Value::is_string) {
                *value = referring(std::mem::take(value), dialect);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, dialect)),
        _ => {}
    }
}

/// A custom resource's schema as its definition states it.
fn from_schema(schema: &Schema, dialect: Dialect, root: bool) -> Value {
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    match (schema.type_, dialect) {
        (Type::Any, _) => None,
        (Type::IntOrString | Type::Quantity, Dialect::V3) => set("x-kubernetes-int-or-string", true.into()),
        (Type::IntOrString | Type::Quantity, Dialect::V2) => set("x-kubernetes-int-or-string", true.into()),
        (Type::Object, _) => set("type", "object".into()),
        (Type::Array, _) => set("type", "array".into()),
        (Type::String, _) => set("type", "string".into()),
        (Type::Integer, _) => set("type", "integer".into()),
        (Type::Number, _) => set("type", "number".into()),
        (Type::Boolean, _) => set("type", "boolean".into()),
    };
    if let Some(format) = &schema.format {
        set("format", format.clone().into());
    }
    if let Some(description) = &schema.description {
        set("description", description.clone().into());
    }
    let inner = |schema: &Schema| from_schema(schema, dialect, false);
    // Version 2 cannot say that a field may be null, and clients would refuse what the server takes.
    let loose = dialect == Dialect::V2 && schema.preserve_unknown_fields;
    if !schema.properties.is_empty() && !loose {
        let own = |name: &str| root && ["apiVersion", "kind", "metadata"].contains(&name);
        let properties: Map<_, _> =
            schema.properties.iter().filter(|(n, _)| !own(n)).map(|(n, s)| (n.clone(), inner(s))).collect();
        set("properties", Value::Object(properties));
    }
    if let Some(values) = &schema.additional_properties {
        set("additionalProperties", inner(values));
    }
    if let Some(items) = &schema.items {
        set("items", inner(items));
    }
    if !schema.required.is_empty() && !loose {
        set("required", schema.required.clone().into());
    }
    if let Some(default) = &schema.default {
        set("default", default.clone());
    }
    if schema.nullable && dialect == Dialect::V3 {
        set("nullable", true.into());
    }
    for (is_set, key) in [
        (schema.preserve_unknown_fields, "x-kubernetes-preserve-unknown-fields"),
        (schema.embedded_resource, "x-kubernetes-embedded-resource"),
    ] {
        if is_set {
            set(key, true.into());
        }
    }
    match &schema.list_type {
        ListType::Atomic => {}
        ListType::Set => {
            set("x-kubernetes-list-type", "set".into());
        }
        ListType::Map(keys) => {
            set("x-kubernetes-list-type", "map".into());
            set("x-kubernetes-list-map-keys", keys.clone().into());
        }
    }
    if schema.atomic {
        set("x-kubernetes-map-type", "atomic".into());
    }
    if let Some(rules) = &schema.rules {
        from_rules(rules, dialect, &mut fields);
    }
    Value::Object(fields)
}

fn from_rules(rules: &Rules, dialect: Dialect, fields: &mut Map<String, Value>) {
    let number = |n: f64| if n.fract() == 0.0 && n.abs() < 9e15 { json!(n as i64) } else { json!(n) };
    let counts = [
        ("minLength", rules.min_length),
        ("maxLength", rules.max_length),
        ("minItems", rules.min_items),
        ("maxItems", rules.max_items),
        ("minProperties", rules.min_properties),
        ("maxProperties", rules.max_properties),
    ];
    let numbers = [("minimum", rules.minimum), ("maximum", rules.maximum), ("multipleOf", rules.multiple_of)];
    let flags = [("exclusiveMinimum", rules.exclusive_minimum), ("exclusiveMaximum", rules.exclusive_maximum)];
    let texts = [("pattern", &rules.pattern), ("title", &rules.title)];
    fields.extend(counts.into_iter().filter_map(|(key, n)| Some((key.to_owned(), n?.into()))));
    fields.extend(numbers.into_iter().filter_map(|(key, n)| Some((key.to_owned(), number(n?)))));
    fields.extend(flags.into_iter().filter(|(_, is)| *is).map(|(key, _)| (key.to_owned(), true.into())));
    fields.extend(texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?.into()))));
    if !rules.enum_values.is_empty() {
        fields.insert("enum".into(), rules.enum_values.clone().into());
    }
    if !rules.cel.is_empty() {
        fields.insert("x-kubernetes-validations".into(), rules.cel.clone().into());
    }
    // Version 2 has no words for these.
    if dialect == Dialect::V3 {
        for (key, schemas) in [("allOf", &rules.all_of), ("anyOf", &rules.any_of), ("oneOf", &rules.one_of)] {
            if !schemas.is_empty() {
                let schemas: Vec<Value> = schemas.iter().map(|s| from_schema(s, dialect, false)).collect();
                fields.insert(key.into(), schemas.into());
            }
        }
        if let Some(not) = &rules.not {
            fields.insert("not".into(), from_schema(not, dialect, false));
        }
    }
}
