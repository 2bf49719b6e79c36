//! Which keywords a schema may use, and defaults (upstream: `ValidateCustomResourceDefinitionOpenAPISchema`).

use api_meta::{FieldErrors, FieldPath, Map, Value, json};
use apiserver_model::schema::prune;

use super::rules::{Checker, Scope};
use super::validate::not_supported;
use super::{list, strings, structural, text};
use crate::rules::{Correlation, Validator, resolve_field_path};
use crate::schema;
use crate::value::{self, Patterns};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// What may stand beside `properties` when the status is cut out of the schema.
const AT_ROOT_WITH_STATUS: [&str; 22] = [
    "description",
    "type",
    "format",
    "title",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "multipleOf",
    "required",
    "items",
    "properties",
    "externalDocs",
    "example",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];

/// Checks the schema of one version, its validation rules with `checker`.
pub(super) fn validate(
    schema: &Value,
    has_status: bool,
    mut checker: Checker<'_>,
    path: &FieldPath,
    errors: &mut FieldErrors,
) {
    if has_status {
        root_with_status(schema, path, errors);
    }
    if is_true(schema, "nullable") {
        errors.forbidden(&path.child("nullable"), "nullable cannot be true at the root");
    }
    // A schema with unsupported keywords cannot be looked at as a structural one; the keywords are errors below.
    let mut scope = None;
    if !has_unsupported(schema) {
        let mut found = structural::validate(schema, path);
        if found.is_empty() {
            defaults(schema, path, true, &mut found);
        }
        // Rules are only looked at where the types of values are sure.
        scope = found.is_empty().then(Scope::root);
        errors.extend(found);
    }
    keywords(schema, path, Place { root: true, scope, ..Place::default() }, &mut checker, errors);
    errors.extend(checker.finish(path));
}

fn is_true(schema: &Value, key: &str) -> bool {
    schema.get(key) == Some(&Value::Bool(true))
}

fn is_set(schema: &Value, key: &str) -> bool {
    schema.get(key).is_some_and(|v| !v.is_null())
}

fn root_with_status(schema: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    if text(schema, "type") != "object" && is_set(schema, "type") {
        let why =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.invalid(&path.child("type"), text(schema, "type"), why);
    }
    let other = schema.as_object().and_then(|s| s.keys().find(|key| !AT_ROOT_WITH_STATUS.contains(&key.as_str())));
    if let Some(other) = other.filter(|key| is_set(schema, key) && schema[key.as_str()] != false) {
        let why = format!(
            "only {} fields are allowed at the root of the schema if the status subresource is enabled",
            AT_ROOT_WITH_STATUS.join(" ")
        );
        errors.invalid(&path.clone(), json!({other.as_str(): schema[other.as_str()].clone()}), why);
    }
}

const UNSUPPORTED: [&str; 6] = ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];

fn unsupported(schema: &Value) -> impl Iterator<Item = &'static str> {
    UNSUPPORTED.into_iter().filter(|key| match schema.get(*key) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty() || *key == "$ref",
        Some(Value::Object(inner)) => !inner.is_empty() || ["dependencies", "additionalItems"].contains(key),
        Some(_) => true,
    })
}

fn has_unsupported(schema: &Value) -> bool {
    unsupported(schema).next().is_some()
        || schema.get("items").is_some_and(Value::is_array)
        || inner(schema).any(|(_, schema)| has_unsupported(schema))
}

/// All schemas right inside a schema, with the part of the path that leads there.
fn inner(schema: &Value) -> impl Iterator<Item = (Vec<PathStep<'_>>, &Value)> {
    let single = ["additionalProperties", "items", "not"]
        .into_iter()
        .filter_map(|key| schema.get(key).filter(|s| s.is_object()).map(|s| (vec![PathStep::Child(key)], s)));
    let lists = ["allOf", "oneOf", "anyOf"].into_iter().flat_map(|key| {
        list(schema, key).iter().enumerate().map(move |(i, s)| (vec![PathStep::Child(key), PathStep::Index(i)], s))
    });
    let maps = ["properties", "definitions"].into_iter().flat_map(|key| {
        let fields = schema.get(key).and_then(Value::as_object);
        fields.into_iter().flatten().map(move |(n, s)| (vec![PathStep::Child(key), PathStep::Key(n)], s))
    });
    single.chain(lists).chain(maps)
}

enum PathStep<'a> {
    Child(&'a str),
    Index(usize),
    Key(&'a str),
}

fn along(path: &FieldPath, steps: &[PathStep<'_>]) -> FieldPath {
    steps.iter().fold(path.clone(), |path, step| match step {
        PathStep::Child(name) => path.child(name),
        PathStep::Index(index) => path.index(*index),
        PathStep::Key(key) => path.key(key),
    })
}

/// Where a schema stands, as far as rules depend on it.
#[derive(Clone, Default)]
struct Place {
    root: bool,
    inside_metadata: bool,
    /// Why there may be no defaults here.
    no_defaults: Option<String>,
    /// What checking rules needs to know; none where there are no rules to check.
    scope: Option<Scope>,
    /// The nearest list or map above whose items cannot be told which old ones they go with.
    uncorrelated: Option<FieldPath>,
}

fn keywords(schema: &Value, path: &FieldPath, place: Place, checker: &mut Checker<'_>, errors: &mut FieldErrors) {
    let before = errors.len();
    let type_ = text(schema, "type");
    if type_ == "null" {
        errors.forbidden(&path.child("type"), "type cannot be set to null, use nullable as an alternative");
    }
    if !type_.is_empty() && !TYPES.contains(&type_) {
        not_supported(errors, &path.child("type"), type_, &TYPES);
    }
    if let Some(why) = place.no_defaults.as_ref().filter(|_| is_set(schema, "default")) {
        errors.forbidden(&path.child("default"), format!("must not be set {why}"));
    }
    for key in unsupported(schema) {
        errors.forbidden(&path.child(key), format!("{key} is not supported"));
    }
    if schema.get("items").is_some_and(Value::is_array) {
        errors.forbidden(&path.child("items"), "items must be a schema object and not an array");
    }
    if place.inside_metadata && is_true(schema, "x-kubernetes-embedded-resource") {
        errors.forbidden(&path.child("x-kubernetes-embedded-resource"), "must not be used inside of resource meta");
    }
    if is_true(schema, "uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(&path.child("uniqueItems"), why);
    }
    let has_properties = schema.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty());
    if has_properties && is_set(schema, "additionalProperties") && !is_true(schema, "additionalProperties") {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.forbidden(&path.child("additionalProperties"), why);
    }
    for (steps, inner) in inner(schema) {
        keywords(inner, &along(path, &steps), place_of(&steps, schema, path, &place), checker, errors);
    }
    extensions(schema, type_, path, errors);
    list_map_keys(schema, path, errors);
    rules(schema, path, errors);
    // What is wrong with the schema would be wrong again in every rule.
    if let Some(scope) = place.scope.as_ref().filter(|_| errors.len() == before) {
        checker.check(schema, path, scope, place.uncorrelated.as_ref());
    }
}

fn place_of(steps: &[PathStep<'_>], parent: &Value, path: &FieldPath, place: &Place) -> Place {
    let at_root = place.root;
    let inside = |property| place.scope.as_ref().map(|scope| scope.inside(parent, property));
    let scope = match steps {
        [PathStep::Child("properties"), PathStep::Key(name)] => inside(Some(name)),
        [PathStep::Child("items" | "additionalProperties")] => inside(None),
        _ => None,
    };
    let mut place = Place { root: false, scope, ..place.clone() };
    if let [PathStep::Child("items")] = steps
        && text(parent, "x-kubernetes-list-type") != "map"
        && place.uncorrelated.is_none()
    {
        place.uncorrelated = Some(path.clone());
    }
    match steps {
        [PathStep::Child("properties"), PathStep::Key(name)] if META_FIELDS.contains(name) => {
            place.inside_metadata |= at_root || is_true(parent, "x-kubernetes-embedded-resource");
            if at_root {
                place.no_defaults = Some(format!("in top-level {name}"));
            }
        }
        [PathStep::Child("additionalProperties")] if place.inside_metadata => {
            place.no_defaults = Some("inside additionalProperties applying to object metadata".into());
        }
        _ => {}
    }
    place
}

fn extensions(schema: &Value, type_: &str, path: &FieldPath, errors: &mut FieldErrors) {
    let must_be = |wanted: &str, key: &str, errors: &mut FieldErrors| {
        let why = format!("must be {wanted} if {key} is specified");
        match type_ {
            "" => errors.required(&path.child("type"), why),
            other if other != wanted => errors.invalid(&path.child("type"), other, why),
            _ => {}
        }
    };
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        errors.invalid(&path.child("x-kubernetes-preserve-unknown-fields"), false, "must be true or undefined");
    }
    if let Some(Value::String(map_type)) = schema.get("x-kubernetes-map-type") {
        must_be("object", "x-kubernetes-map-type", errors);
        if !["atomic", "granular"].contains(&map_type.as_str()) {
            not_supported(errors, &path.child("x-kubernetes-map-type"), map_type, &["atomic", "granular"]);
        }
    }
    let Some(Value::String(list_type)) = schema.get("x-kubernetes-list-type") else {
        if !list(schema, "x-kubernetes-list-map-keys").is_empty() {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            errors.required(&path.child("x-kubernetes-list-type"), why);
        }
        return;
    };
    let field = path.child("x-kubernetes-list-type");
    must_be("array", "x-kubernetes-list-type", errors);
    let items = schema.get("items").filter(|i| i.is_object());
    match list_type.as_str() {
        "atomic" => {}
        "set" => set_items(items, path, errors),
        "map" => {}
        other => not_supported(errors, &field, other, &["atomic", "set", "map"]),
    }
    if list_type != "map" && !list(schema, "x-kubernetes-list-map-keys").is_empty() {
        errors.invalid(&field, list_type.as_str(), "must be map if x-kubernetes-list-map-keys is non-empty");
    }
    if ["set", "map"].contains(&list_type.as_str()) && items.is_some_and(|i| is_true(i, "nullable")) {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.forbidden(&path.children(&["items", "nullable"]), why);
    }
}

fn set_items(items: Option<&Value>, path: &FieldPath, errors: &mut FieldErrors) {
    let Some(items) = items else { return };
    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let kind = |key: &str| text(items, key).to_owned();
    match text(items, "type") {
        "array" if !["", "atomic"].contains(&&*kind("x-kubernetes-list-type")) => {
            let field = path.children(&["items", "x-kubernetes-list-type"]);
            errors.invalid(&field, kind("x-kubernetes-list-type"), why);
        }
        // Upstream shows the list type here, which objects do not have.
        "object" if kind("x-kubernetes-map-type") != "atomic" => {
            errors.invalid(&path.children(&["items", "x-kubernetes-map-type"]), Value::Null, why);
        }
        _ => {}
    }
}

fn list_map_keys(schema: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    if text(schema, "x-kubernetes-list-type") != "map" {
        return;
    }
    let keys = strings(schema, "x-kubernetes-list-map-keys");
    let keys_path = path.child("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.required(&keys_path, "must not be empty if x-kubernetes-list-type is map");
    }
    let Some(items) = schema.get("items").filter(|i| i.is_object()) else {
        errors.required(&path.child("items"), "must have a schema if x-kubernetes-list-type is map");
        return;
    };
    let items_path = path.child("items");
    if text(items, "type") != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.invalid(&items_path.child("type"), text(items, "type"), why);
        return;
    }
    let required = strings(items, "required");
    for (index, key) in keys.iter().enumerate() {
        let property = items.get("properties").and_then(|p| p.get(key));
        let property_path = items_path.child("properties").key(key);
        match property {
            None => errors.invalid(&keys_path, keys.clone(), "entries must all be names of item properties"),
            Some(property) if ["array", "object"].contains(&text(property, "type")) => {
                let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.invalid(&property_path.child("type"), text(items, "type"), why);
            }
            Some(_) => {}
        }
        if keys[..index].contains(key) {
            errors.invalid(&keys_path, keys.clone(), "must not contain duplicate entries");
        }
        let Some(property) = property else { continue };
        if !required.contains(key) && !is_set(property, "default") {
            let why =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.required(&property_path.child("default"), why);
        }
        if is_true(property, "nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.forbidden(&property_path.child("nullable"), why);
        }
    }
}

/// What is wrong with the form of validation rules.
fn rules(schema: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    let has_line_breaks = |text: &str| text.contains(['\n', '\r']);
    for (index, rule) in list(schema, "x-kubernetes-validations").iter().enumerate() {
        let path = path.child("x-kubernetes-validations").index(index);
        let (expression, message) = (text(rule, "rule").trim(), text(rule, "message"));
        if expression.is_empty() {
            errors.required(&path.child("rule"), "rule is not specified");
        } else if !message.is_empty() && message.trim().is_empty() {
            errors.invalid(&path.child("message"), message, "must be non-empty if specified");
        } else if has_line_breaks(message.trim()) {
            errors.invalid(&path.child("message"), message, "must not contain line breaks");
        } else if has_line_breaks(expression) && message.trim().is_empty() {
            errors.required(&path.child("message"), "message must be specified if rule contains line breaks");
        }
        let computed = text(rule, "messageExpression");
        if !computed.is_empty() && computed.trim().is_empty() {
            errors.required(&path.child("messageExpression"), "messageExpression must be non-empty if specified");
        }
        let reason = text(rule, "reason");
        if !reason.is_empty() && !REASONS.contains(&reason) {
            not_supported(errors, &path.child("reason"), reason, &REASONS);
        }
        let field = text(rule, "fieldPath");
        if !field.is_empty() {
            let at = path.child("fieldPath");
            if field.trim().is_empty() {
                errors.invalid(&at, field, "must be non-empty if specified");
            }
            if has_line_breaks(field) {
                errors.invalid(&at, field, "must not contain line breaks");
            }
            if resolve_field_path(field, schema).is_none() {
                errors.invalid(&at, field, "must be a valid path");
            }
        }
    }
}

/// Defaults have no unknown fields and fit their schema.
fn defaults(schema: &Value, path: &FieldPath, is_root: bool, errors: &mut FieldErrors) {
    if let Some(default) = schema.get("default").filter(|d| !d.is_null() && !is_root) {
        let at = path.child("default");
        let shape = schema::values(schema);
        let mut pruned = json!({"default": default});
        if let Value::Object(fields) = &mut pruned {
            let holder = holder(&shape);
            if !prune(fields, &holder).is_empty() {
                errors.invalid(&at, default.clone(), "must not have unknown fields");
            }
        }
        let mut misfit = FieldErrors::new();
        value::check_embedded(default, &shape, &at, &mut misfit);
        if misfit.is_empty() {
            misfit = value::check(default, None, &shape, &Patterns::of(&shape), &at);
        }
        if misfit.is_empty() {
            misfit = broken_rules(default, &shape, &at);
        }
        errors.extend(misfit);
    }
    if let Some(items) = schema.get("items").filter(|i| i.is_object()) {
        defaults(items, &path.child("items"), false, errors);
    }
    for (name, property) in schema.get("properties").and_then(Value::as_object).unwrap_or(&Map::new()) {
        // Metadata is not defaulted, and its shape is not the schema's to say.
        if !(is_root && META_FIELDS.contains(&name.as_str())) {
            defaults(property, &path.child("properties").key(name), false, errors);
        }
    }
}

/// What rules say of a default, both as the value of an object and as one that stays.
fn broken_rules(default: &Value, shape: &apiserver_model::Schema, at: &FieldPath) -> FieldErrors {
    let Some(validator) = Validator::of(shape, shape.embedded_resource) else { return FieldErrors::new() };
    let errors = validator.validate(default, Some(default), shape, at, Correlation::default());
    if !errors.is_empty() {
        return errors;
    }
    validator.validate(default, None, shape, at, Correlation::default())
}

/// A schema with the given one as the field `default`.
fn holder(shape: &apiserver_model::Schema) -> apiserver_model::Schema {
    use apiserver_model::schema::{Schema, Type};
    Schema {
        properties: [("default".to_owned(), std::sync::Arc::new(shape.clone()))].into(),
        ..Schema::of(Type::Object)
    }
}
