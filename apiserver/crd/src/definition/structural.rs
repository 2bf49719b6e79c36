//! Whether a schema is structural: whether it says the type of each value in one place (upstream: `apiserver/schema`).

use api_meta::{FieldErrors, FieldPath, Value, json};
use regex_syntax::ast;

use super::{list, text};
use crate::value;

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What is not structural, in the order of the texts.
pub(super) fn validate(schema: &Value, path: &FieldPath) -> FieldErrors {
    let mut errors = FieldErrors::new();
    invariants(schema, Level::Root, path, &mut errors);
    completeness(schema, schema, path, path, &mut errors);
    let mut sorted: Vec<_> = errors.into_iter().collect();
    sorted.sort_by_cached_key(ToString::to_string);
    let mut errors = FieldErrors::new();
    sorted.into_iter().for_each(|error| errors.push(error));
    errors
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key) == Some(&Value::Bool(true))
}

fn object<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema.get(key).filter(|s| s.is_object())
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn int_or_string() -> Value {
    json!([{"type": "integer"}, {"type": "string"}])
}

fn invariants(schema: &Value, level: Level, path: &FieldPath, errors: &mut FieldErrors) {
    let type_ = text(schema, "type");
    let items = object(schema, "items");
    if type_ == "array" && items.is_none() {
        errors.required(&path.child("items"), "must be specified");
    }
    if let Some(items) = items {
        invariants(items, Level::Item, &path.child("items"), errors);
    }
    for (name, property) in properties(schema) {
        invariants(property, Level::Field, &path.child("properties").key(name), errors);
    }
    let additional = schema.get("additionalProperties").filter(|a| !a.is_null());
    if let Some(additional) = additional {
        let path = path.child("additionalProperties");
        if level == Level::Root {
            errors.forbidden(&path, "must not be used at the root");
        }
        if additional.is_object() {
            invariants(additional, Level::Field, &path, errors);
        }
    }
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    let preserve = flag(schema, "x-kubernetes-preserve-unknown-fields");
    let is_int_or_string = flag(schema, "x-kubernetes-int-or-string");
    let why = "must be false if x-kubernetes-int-or-string is true";
    if is_int_or_string && preserve {
        errors.invalid(&path.child("x-kubernetes-preserve-unknown-fields"), true, why);
    }
    if is_int_or_string && embedded {
        errors.invalid(&path.child("x-kubernetes-embedded-resource"), true, why);
    }
    let skip_any_of = schema.get("anyOf") == Some(&int_or_string());
    let skip_first_all_of = list(schema, "allOf").first().is_some_and(|s| s.get("anyOf") == Some(&int_or_string()));
    junctors(schema, skip_any_of, skip_first_all_of, path, errors);

    let type_path = path.child("type");
    if embedded && type_ != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        if type_.is_empty() {
            errors.required(&type_path, why);
        } else {
            errors.invalid(&type_path, type_, why);
        }
    } else if type_.is_empty() && !is_int_or_string && !preserve {
        errors.required(
            &type_path,
            match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            },
        );
    }
    if embedded && additional.is_some() {
        errors.forbidden(
            &path.child("additionalProperties"),
            "must not be used if x-kubernetes-embedded-resource is set",
        );
    }
    if level == Level::Root && !type_.is_empty() && type_ != "object" {
        errors.invalid(&type_path, type_, "must be object at the root");
    }
    meta_fields(schema, level, embedded, path, errors);
    if embedded && !preserve && properties(schema).next().is_none() {
        errors.required(
            &path.child("properties"),
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        );
    }
}

/// What a schema may say of `apiVersion`, `kind` and `metadata`.
fn meta_fields(schema: &Value, level: Level, embedded: bool, path: &FieldPath, errors: &mut FieldErrors) {
    let is_resource = level == Level::Root || embedded;
    for (name, property) in properties(schema) {
        let path = path.child("properties").key(name);
        let type_ = text(property, "type");
        match name.as_str() {
            "kind" | "apiVersion" if is_resource && type_ != "string" => {
                errors.invalid(&path.child("type"), type_, "must be string");
            }
            "metadata" => {
                if is_resource && type_ != "object" {
                    errors.invalid(&path.child("type"), type_, "must be object");
                }
                let more = property
                    .as_object()
                    .is_some_and(|p| p.keys().any(|key| !["type", "properties", "default"].contains(&key.as_str())));
                let others = properties(property).any(|(name, _)| name != "name" && name != "generateName");
                if level == Level::Root && (more || others) {
                    let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
                    errors.forbidden(&path, why);
                }
            }
            _ => {}
        }
    }
}

fn junctors(schema: &Value, skip_any_of: bool, skip_first_all_of: bool, path: &FieldPath, errors: &mut FieldErrors) {
    for key in ["anyOf", "allOf", "oneOf"] {
        for (index, inner) in list(schema, key).iter().enumerate() {
            if key == "anyOf" && skip_any_of {
                break;
            }
            let skip = key == "allOf" && skip_first_all_of && index == 0;
            nested(inner, skip, &path.child(key).index(index), errors);
        }
    }
    if let Some(not) = object(schema, "not") {
        nested(not, false, &path.child("not"), errors);
    }
    let pattern = text(schema, "pattern");
    if !pattern.is_empty()
        && let Some(problem) = pattern_problem(pattern)
    {
        errors.invalid(
            &path.child("pattern"),
            pattern,
            format!("must be a valid regular expression, but isn't: {problem}"),
        );
    }
}

/// What is wrong with a pattern, in Go's words where they are known.
fn pattern_problem(pattern: &str) -> Option<String> {
    let problem = match ast::parse::Parser::new().parse(pattern) {
        Ok(_) => return value::compile(pattern).err().map(|_| "expression too large".to_owned()),
        Err(problem) => problem,
    };
    let rest = &pattern[problem.span().start.offset..];
    Some(match problem.kind() {
        ast::ErrorKind::ClassUnclosed => format!("error parsing regexp: missing closing ]: `{rest}`"),
        ast::ErrorKind::GroupUnclosed => format!("error parsing regexp: missing closing ): `{pattern}`"),
        ast::ErrorKind::GroupUnopened => format!("error parsing regexp: unexpected ): `{pattern}`"),
        ast::ErrorKind::RepetitionMissing => {
            format!("error parsing regexp: missing argument to repetition operator: `{}`", &rest[..rest.len().min(1)])
        }
        ast::ErrorKind::UnsupportedLookAround => {
            format!("error parsing regexp: invalid or unsupported Perl syntax: `{rest}`")
        }
        other => format!("error parsing regexp: {other}: `{rest}`"),
    })
}

/// Inside of `anyOf` and the like only values may be restricted; the structure stands outside.
fn nested(schema: &Value, skip_any_of: bool, path: &FieldPath, errors: &mut FieldErrors) {
    junctors(schema, skip_any_of, false, path, errors);
    if let Some(items) = object(schema, "items") {
        nested(items, false, &path.child("items"), errors);
    }
    for (name, property) in properties(schema) {
        nested(property, false, &path.child("properties").key(name), errors);
        if name == "metadata" {
            errors.forbidden(&path.child("properties").key(name), "must not be specified in a nested context");
        }
    }
    const FORBIDDEN: [(&str, &str); 13] = [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ];
    for (key, why) in FORBIDDEN {
        let is_set = schema.get(key).is_some_and(|value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        });
        if is_set {
            errors.forbidden(&path.child(key), why);
        }
    }
}

/// What the root's junctors restrict must be specified outside of them. Upstream looks at the root only.
fn completeness(junctor: &Value, schema: &Value, schema_path: &FieldPath, path: &FieldPath, errors: &mut FieldErrors) {
    let mut look = |inner: &Value, path: FieldPath| complete(inner, Some(schema), schema_path, &path, errors);
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, inner) in list(junctor, key).iter().enumerate() {
            look(inner, path.child(key).index(index));
        }
    }
    if let Some(not) = object(junctor, "not") {
        look(not, path.child("not"));
    }
}

fn complete(
    nested: &Value,
    schema: Option<&Value>,
    schema_path: &FieldPath,
    path: &FieldPath,
    errors: &mut FieldErrors,
) {
    let Some(schema) = schema else {
        errors.required(schema_path, format!("because it is defined in {path}"));
        return;
    };
    completeness(nested, schema, schema_path, path, errors);
    if let Some(items) = object(nested, "items") {
        complete(items, object(schema, "items"), &schema_path.child("items"), &path.child("items"), errors);
    }
    for (name, property) in properties(nested) {
        let found = schema.get("properties").and_then(|p| p.get(name));
        let at = |path: &FieldPath| path.child("properties").key(name);
        complete(property, found, &at(schema_path), &at(path), errors);
    }
}
