//! Whether values fit a structural schema, in upstream's words (`kube-openapi/pkg/validation`).
//!
//! On an update, a value that did not change is not judged again (upstream:
//! "ratcheting"): a schema may become stricter without locking up the objects
//! that are there.
//!
//! Validation rules come after this, where a value fits its schema; they are
//! in the module `rules`.

mod embedded;
mod format;
mod list_type;

use std::collections::HashMap;

use api_meta::{FieldError, FieldErrorKind, FieldErrors, FieldPath, Map, Value};
use apiserver_model::schema::{Rules, Schema, Type};
use regex::{Regex, RegexBuilder};

use crate::rules::same_item;

pub(crate) use embedded::check as check_embedded;
pub(crate) use list_type::check as check_list_types;

/// A compiled pattern may take this much memory.
const PATTERN_SIZE: usize = 1 << 20;

pub(crate) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).build()
}

/// All patterns of a schema, compiled once.
#[derive(Debug, Default)]
pub(crate) struct Patterns(HashMap<String, Regex>);

impl Patterns {
    pub(crate) fn of(schema: &Schema) -> Self {
        let mut patterns = Self::default();
        patterns.collect(schema);
        patterns
    }

    fn collect(&mut self, schema: &Schema) {
        let inner = schema.properties.values().chain(&schema.additional_properties).chain(&schema.items);
        inner.for_each(|schema| self.collect(schema));
        let Some(rules) = &schema.rules else { return };
        if let Some(pattern) = &rules.pattern
            && let Ok(regex) = compile(pattern)
        {
            self.0.insert(pattern.clone(), regex);
        }
        let junctors = rules.all_of.iter().chain(&rules.any_of).chain(&rules.one_of).chain(rules.not.as_deref());
        junctors.for_each(|schema| self.collect(schema));
    }
}

/// Checks a value that errors say is at `base`; `old` is what was there before.
pub(crate) fn check(
    value: &Value,
    old: Option<&Value>,
    schema: &Schema,
    patterns: &Patterns,
    base: &FieldPath,
) -> FieldErrors {
    let checker = Checker { patterns, base };
    let mut errors = FieldErrors::new();
    checker.value(value, old, schema, "", &mut errors);
    errors
}

struct Checker<'a> {
    patterns: &'a Patterns,
    base: &'a FieldPath,
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn type_name(type_: Type) -> &'static str {
    match type_ {
        Type::Any => "",
        Type::Object => "object",
        Type::Array => "array",
        Type::String => "string",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "boolean",
        Type::IntOrString | Type::Quantity => "integer,string",
    }
}

fn fits(value: &Value, schema: &Schema) -> bool {
    match (schema.type_, value) {
        (_, Value::Null) => schema.nullable || schema.type_ == Type::Any,
        (Type::Any, _)
        | (Type::Object, Value::Object(_))
        | (Type::Array, Value::Array(_))
        | (Type::String | Type::IntOrString | Type::Quantity, Value::String(_))
        | (Type::Number, Value::Number(_))
        | (Type::Boolean, Value::Bool(_)) => true,
        (Type::Integer | Type::IntOrString | Type::Quantity, Value::Number(n)) => {
            !n.is_f64() || n.as_f64().is_some_and(|f| f.fract() == 0.0)
        }
        _ => false,
    }
}

impl Checker<'_> {
    fn path(&self, name: &str) -> FieldPath {
        match (self.base.as_str().is_empty(), name.is_empty()) {
            (_, true) => self.base.clone(),
            (true, false) => FieldPath::new(name),
            (false, false) => self.base.child(name),
        }
    }

    fn invalid(&self, errors: &mut FieldErrors, name: &str, value: impl Into<Value>, detail: String) {
        errors.invalid(&self.path(name), value, format!("{name} in body {detail}"));
    }

    fn value(&self, value: &Value, old: Option<&Value>, schema: &Schema, name: &str, errors: &mut FieldErrors) {
        if old == Some(value) {
            return;
        }
        if !fits(value, schema) {
            let (kind, wanted) = (kind_of(value), type_name(schema.type_));
            errors.type_invalid(&self.path(name), kind, format!("{name} in body must be of type {wanted}: {kind:?}"));
        }
        if value.is_null() {
            return;
        }
        let rules = schema.rules.as_deref();
        if let Some(rules) = rules {
            self.junctors(value, old, rules, name, errors);
        }
        match value {
            Value::String(text) => self.string(text, schema, rules, name, errors),
            Value::Number(number) => {
                if let (Some(rules), Some(float)) = (rules, number.as_f64()) {
                    self.number(value, float, rules, name, errors);
                }
            }
            Value::Array(items) => self.array(items, old, schema, rules, name, errors),
            _ => {}
        }
        if let Some(rules) =
            rules.filter(|r| !r.enum_values.is_empty() && !r.enum_values.iter().any(|v| same(v, value)))
        {
            errors.push(FieldError {
                kind: FieldErrorKind::NotSupported,
                field: self.path(name),
                value: Some(value.clone()),
                detail: supported(&rules.enum_values),
            });
        }
        if let Value::Object(fields) = value {
            self.object(fields, old, schema, rules, name, errors);
        }
    }

    fn string(&self, text: &str, schema: &Schema, rules: Option<&Rules>, name: &str, errors: &mut FieldErrors) {
        if let Some(rules) = rules {
            self.length_and_pattern(text, rules, name, errors);
        }
        if let Some(format) = &schema.format
            && matches!(schema.type_, Type::String | Type::Any)
            && !format::fits(format, text)
        {
            let detail = format!("{name} in body must be of type {format}: {text:?}");
            errors.type_invalid(&self.path(name), text, detail);
        }
    }

    /// Tells of the first thing that is wrong, as upstream does for strings and for nothing else.
    fn length_and_pattern(&self, text: &str, rules: &Rules, name: &str, errors: &mut FieldErrors) {
        let length = text.chars().count() as u64;
        if let Some(max) = rules.max_length.filter(|max| length > *max) {
            errors.too_long(&self.path(name), usize::try_from(max).unwrap_or(usize::MAX));
        } else if let Some(min) = rules.min_length.filter(|min| length < *min) {
            self.invalid(errors, name, text, format!("should be at least {min} chars long"));
        } else if let Some(pattern) = &rules.pattern
            && self.patterns.0.get(pattern).is_some_and(|regex| !regex.is_match(text))
        {
            self.invalid(errors, name, text, format!("should match '{pattern}'"));
        }
    }

    fn number(&self, value: &Value, number: f64, rules: &Rules, name: &str, errors: &mut FieldErrors) {
        if let Some(factor) = rules.multiple_of
            && (number / factor).fract() != 0.0
        {
            self.invalid(errors, name, value.clone(), format!("should be a multiple of {factor}"));
        }
        if let Some(max) = rules.maximum {
            if rules.exclusive_maximum && number >= max {
                self.invalid(errors, name, value.clone(), format!("should be less than {max}"));
            } else if number > max {
                self.invalid(errors, name, value.clone(), format!("should be less than or equal to {max}"));
            }
        }
        if let Some(min) = rules.minimum {
            if rules.exclusive_minimum && number <= min {
                self.invalid(errors, name, value.clone(), format!("should be greater than {min}"));
            } else if number < min {
                self.invalid(errors, name, value.clone(), format!("should be greater than or equal to {min}"));
            }
        }
    }

    fn array(
        &self,
        items: &[Value],
        old: Option<&Value>,
        schema: &Schema,
        rules: Option<&Rules>,
        name: &str,
        errors: &mut FieldErrors,
    ) {
        if let Some(rules) = rules {
            let count = items.len() as u64;
            if let Some(min) = rules.min_items.filter(|min| count < *min) {
                self.invalid(errors, name, count, format!("should have at least {min} items"));
            }
            if let Some(max) = rules.max_items.filter(|max| count > *max) {
                errors.too_many(&self.path(name), items.len(), usize::try_from(max).unwrap_or(usize::MAX));
            }
        }
        let Some(schema_of_items) = &schema.items else { return };
        for (index, item) in items.iter().enumerate() {
            let before = same_item(item, old, &schema.list_type);
            self.value(item, before, schema_of_items, &format!("{name}[{index}]"), errors);
        }
    }

    fn object(
        &self,
        fields: &Map<String, Value>,
        old: Option<&Value>,
        schema: &Schema,
        rules: Option<&Rules>,
        name: &str,
        errors: &mut FieldErrors,
    ) {
        let child = |field: &str| if name.is_empty() { field.to_owned() } else { format!("{name}.{field}") };
        if let Some(rules) = rules {
            let count = fields.len() as u64;
            if let Some(min) = rules.min_properties.filter(|min| count < *min) {
                self.invalid(errors, name, count, format!("should have at least {min} properties"));
            }
            if let Some(max) = rules.max_properties.filter(|max| count > *max) {
                errors.too_many(&self.path(name), fields.len(), usize::try_from(max).unwrap_or(usize::MAX));
            }
        }
        for field in schema.required.iter().filter(|field| !fields.contains_key(*field)) {
            errors.required(&self.path(&child(field)), "");
        }
        for (field, value) in fields {
            if let Some(schema) = schema.field(field) {
                self.value(value, old.and_then(|old| old.get(field)), schema, &child(field), errors);
            }
        }
    }

    /// `allOf`, `anyOf`, `oneOf`, `not`. Upstream loses the field of these errors.
    fn junctors(&self, value: &Value, old: Option<&Value>, rules: &Rules, name: &str, errors: &mut FieldErrors) {
        let judge = |schema: &Schema| {
            let mut errors = FieldErrors::new();
            self.value(value, old, schema, name, &mut errors);
            errors
        };
        let mut say = |text: String| errors.invalid(self.base, "", format!("{name:?} must {text}"));
        let mut found = Vec::new();
        if !rules.any_of.is_empty() {
            let failures: Vec<_> = rules.any_of.iter().map(judge).collect();
            if failures.iter().all(|f| !f.is_empty()) {
                say("validate at least one schema (anyOf)".into());
                found.extend(failures.into_iter().next());
            }
        }
        if !rules.one_of.is_empty() {
            let failures: Vec<_> = rules.one_of.iter().map(judge).collect();
            match failures.iter().filter(|f| f.is_empty()).count() {
                1 => {}
                0 => {
                    say("validate one and only one schema (oneOf). Found none valid".into());
                    found.extend(failures.into_iter().next());
                }
                several => {
                    say(format!("validate one and only one schema (oneOf). Found {several} valid alternatives"));
                }
            }
        }
        if !rules.all_of.is_empty() {
            let failures: Vec<_> = rules.all_of.iter().map(judge).filter(|f| !f.is_empty()).collect();
            if !failures.is_empty() {
                let none = if failures.len() == rules.all_of.len() { ". None validated" } else { "" };
                say(format!("validate all the schemas (allOf){none}"));
                found.extend(failures);
            }
        }
        if rules.not.as_deref().is_some_and(|schema| judge(schema).is_empty()) {
            say("not validate the schema (not)".into());
        }
        found.into_iter().for_each(|f| errors.extend(f));
    }
}

/// Equality of JSON values, with 1 and 1.0 the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn supported(values: &[Value]) -> String {
    let quoted: Vec<String> = values
        .iter()
        .map(|value| match value {
            Value::String(_) => value.to_string(),
            other => Value::String(other.to_string()).to_string(),
        })
        .collect();
    format!("supported values: {}", quoted.join(", "))
}

#[cfg(test)]
mod tests;
