//! What a custom resource adds to the generic verbs, made from its definition.

use std::sync::Arc;

use api_meta::{FieldErrors, FieldPath, Object, Value, format_seconds, json, parse_time};
use apiserver_model::schema::prune;
use apiserver_model::{Column, Schema, Strategy};
use jiff::Timestamp;

use crate::default;
use crate::definition::{Version, list, text};
use crate::path::JsonPath;
use crate::rules::{Correlation, Validator, blocking_error};
use crate::value::{self, Patterns};

/// A field of an object, as `.spec.replicas` names it.
#[derive(Clone, Debug)]
struct SimplePath {
    text: String,
    steps: Vec<String>,
}

impl SimplePath {
    fn parse(text: &str) -> Option<Self> {
        let steps: Vec<_> = text.strip_prefix('.')?.split('.').map(str::to_owned).collect();
        Some(Self { text: text.to_owned(), steps })
    }

    fn steps(&self) -> Vec<&str> {
        self.steps.iter().map(String::as_str).collect()
    }
}

#[derive(Debug)]
struct Scale {
    spec_replicas: SimplePath,
    status_replicas: SimplePath,
    selector: Option<SimplePath>,
}

/// One version of a custom resource.
#[derive(Debug)]
pub struct CustomStrategy {
    kind: String,
    version: String,
    /// The schema as the definition states it.
    values: Arc<Schema>,
    /// The schema of the storage version: what it does not know is not kept.
    stored: Arc<Schema>,
    patterns: Patterns,
    /// Validation rules, compiled.
    rules: Option<Validator>,
    has_status: bool,
    scale: Option<Scale>,
    columns: Vec<(Column, Option<JsonPath>)>,
    /// Names as field selectors use them (`spec.color`), and where they lead.
    selectable: Vec<(String, SimplePath)>,
    deprecation: Option<String>,
}

impl CustomStrategy {
    pub(crate) fn new(
        kind: &str,
        version: Version<'_>,
        deprecation: Option<String>,
        values: Arc<Schema>,
        stored: &Arc<Schema>,
    ) -> Self {
        let path = |value: &Value, key: &str| SimplePath::parse(text(value, key));
        let scale = version.subresource("scale").and_then(|scale| {
            Some(Scale {
                spec_replicas: path(scale, "specReplicasPath")?,
                status_replicas: path(scale, "statusReplicasPath")?,
                selector: path(scale, "labelSelectorPath"),
            })
        });
        let selectable = list(version.0, "selectableFields").iter().filter_map(|field| {
            let path = path(field, "jsonPath")?;
            Some((path.text.trim_start_matches('.').to_owned(), path))
        });
        Self {
            kind: kind.to_owned(),
            version: version.name().to_owned(),
            patterns: Patterns::of(&values),
            rules: Validator::of(&values, true),
            values,
            stored: Arc::clone(stored),
            has_status: version.subresource("status").is_some(),
            scale,
            columns: columns(version),
            selectable: selectable.collect(),
            deprecation,
        }
    }

    pub(crate) fn values(&self) -> &Arc<Schema> {
        &self.values
    }

    /// What holds for any state; `old` is the state that was there before.
    fn check(&self, new: &Object, old: Option<&Object>) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if new.kind() != self.kind {
            errors.invalid(&FieldPath::new("kind"), new.kind(), format!("must be {}", self.kind));
        }
        // The checks walk values; an object is one.
        let value = new.to_value();
        let before = old.map(Object::to_value);
        errors.extend(value::check(&value, before.as_ref(), &self.values, &self.patterns, &FieldPath::root()));
        value::check_embedded(&value, &self.values, &FieldPath::root(), &mut errors);
        let mut old_list_errors = FieldErrors::new();
        if let Some(before) = &before {
            value::check_list_types(before, &self.values, &FieldPath::root(), &mut old_list_errors);
        }
        if old_list_errors.is_empty() {
            value::check_list_types(&value, &self.values, &FieldPath::root(), &mut errors);
        }
        errors
    }

    /// What the validation rules say, if the object is in a shape to be asked about; comes after all other checks.
    fn check_rules(&self, new: &Object, old: Option<&Object>, errors: &mut FieldErrors) {
        let Some(rules) = &self.rules else { return };
        if let Some(error) = blocking_error(errors) {
            errors.push(error);
            return;
        }
        let (value, before) = (new.to_value(), old.map(Object::to_value));
        let correlation = before.as_ref().map(|old| Correlation::of(&value, old, &self.values)).unwrap_or_default();
        errors.extend(rules.validate(&value, before.as_ref(), &self.values, &FieldPath::root(), correlation));
    }

    fn check_count(&self, object: &Object, path: &SimplePath, errors: &mut FieldErrors) {
        let field = FieldPath::new(&path.text);
        match object.at(&path.steps()) {
            None | Some(Value::Null) => {}
            Some(Value::Number(number)) if number.as_i64().is_some() => {
                let count = number.as_i64().unwrap_or_default();
                if count < 0 {
                    errors.invalid(&field, count, "should be a non-negative integer");
                } else if count > i64::from(i32::MAX) {
                    errors.invalid(&field, count, format!("should be less than or equal to {}", i32::MAX));
                }
            }
            Some(other) => {
                let (shown, kind) = go_value(other);
                let why = format!("{} accessor error: {shown} is of the type {kind}, expected int64", path.text);
                errors.invalid(&field, 0, why);
            }
        }
    }
}

/// A value and its type as Go prints them.
fn go_value(value: &Value) -> (String, &'static str) {
    match value {
        Value::Null => ("<nil>".into(), "<nil>"),
        Value::Bool(b) => (b.to_string(), "bool"),
        Value::Number(n) if n.is_f64() => (n.to_string(), "float64"),
        Value::Number(n) => (n.to_string(), "int64"),
        Value::String(s) => (s.clone(), "string"),
        Value::Array(_) => (value.to_string(), "[]interface {}"),
        Value::Object(_) => (value.to_string(), "map[string]interface {}"),
    }
}

fn columns(version: Version<'_>) -> Vec<(Column, Option<JsonPath>)> {
    let described = |path: &str| format!("Custom resource definition column (in JSONPath format): {path}");
    let custom: Vec<_> = list(version.0, "additionalPrinterColumns")
        .iter()
        .map(|column| {
            let path = text(column, "jsonPath");
            let description = match text(column, "description") {
                "" => described(path),
                description => description.to_owned(),
            };
            let priority =
                column.get("priority").and_then(Value::as_i64).and_then(|p| i32::try_from(p).ok()).unwrap_or(0);
            let column =
                Column::new(text(column, "name"), text(column, "type"), text(column, "format"), &description, priority);
            (column, JsonPath::parse(path))
        })
        .collect();
    if !custom.is_empty() {
        return custom;
    }
    let path = ".metadata.creationTimestamp";
    vec![(Column::new("Age", "date", "", &described(path), 0), JsonPath::parse(path))]
}

/// What a table shows for a value in a column of a type.
fn cell(type_: &str, value: &Value, now: Timestamp) -> Value {
    match (type_, value) {
        ("string", Value::String(_)) => value.clone(),
        ("string", Value::Null) => Value::Null,
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(n)) if n.is_f64() => n.as_f64().map_or(Value::Null, |f| (f as i64).into()),
        ("integer" | "number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(text)) => match parse_time(text) {
            Some(_) => apiserver_model::human_age(text, now).into(),
            None => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}

impl Strategy for CustomStrategy {
    fn default(&self, object: &mut Object) {
        default::apply(object, &self.values);
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        let mut errors = self.check(object, None);
        if let Some(scale) = &self.scale {
            self.check_count(object, &scale.spec_replicas, &mut errors);
        }
        self.check_rules(object, None, &mut errors);
        errors
    }

    /// Instead of judging the new state as if it were created: what did not change is not judged again.
    fn check_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = self.check(new, Some(old));
        if let Some(scale) = &self.scale {
            self.check_count(new, &scale.spec_replicas, &mut errors);
        }
        self.check_rules(new, Some(old), &mut errors);
        errors
    }

    /// A status update leaves metadata alone, but for who wrote what.
    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        let kept = |object: &Object, key: &str| object.metadata().and_then(|m| m.get(key)).cloned();
        let own = ["managedFields", "resourceVersion"].map(|key| (key, kept(new, key)));
        let status = new.remove("status");
        let mut object = old.clone();
        for (key, value) in own {
            match value {
                Some(value) => object.metadata_mut().insert(key.into(), value),
                None => object.metadata_mut().remove(key),
            };
        }
        match status {
            Some(status) => object.insert("status".into(), status),
            None => object.remove("status"),
        };
        *new = object;
    }

    fn validate_status_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if let (Some(status), Some(schema)) = (new.get("status"), self.values.field("status")) {
            let base = FieldPath::new("status");
            errors.extend(value::check(status, old.get("status"), schema, &self.patterns, &base));
            value::check_embedded(status, schema, &base, &mut errors);
            value::check_list_types(status, schema, &base, &mut errors);
        }
        if let Some(scale) = &self.scale {
            self.check_count(new, &scale.status_replicas, &mut errors);
        }
        self.check_rules(new, Some(old), &mut errors);
        errors
    }

    fn deprecation_warning(&self) -> Option<&str> {
        self.deprecation.as_deref()
    }

    fn has_status(&self) -> bool {
        self.has_status
    }

    fn has_generation(&self) -> bool {
        true
    }

    /// Without a status subresource the status is a field like any other.
    fn generation_changes(&self, new: &Object, old: &Object) -> bool {
        let ignored = |key: &str| key == "metadata" || key == "apiVersion" || (self.has_status && key == "status");
        let matters = |o: &Object| o.iter().filter(|(k, _)| !ignored(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
        let (new, old): (Vec<_>, Vec<_>) = (matters(new), matters(old));
        new != old
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn selectable(&self) -> Vec<&str> {
        self.selectable.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        let (_, path) = self.selectable.iter().find(|(name, _)| name == field)?;
        Some(match object.at(&path.steps()) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        })
    }

    fn columns(&self) -> Vec<Column> {
        let name = Column::name_and_age().into_iter().take(1);
        name.chain(self.columns.iter().map(|(column, _)| column.clone())).collect()
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let value = object.to_value();
        let cells = self.columns.iter().map(|(column, path)| {
            path.as_ref().and_then(|p| p.first(&value)).map_or(Value::Null, |found| cell(&column.type_, found, now))
        });
        std::iter::once(object.name().into()).chain(cells).collect()
    }

    fn scale(&self, object: &Object) -> Option<Object> {
        let paths = self.scale.as_ref()?;
        let count = |path: &SimplePath| object.at(&path.steps()).and_then(Value::as_i64).unwrap_or_default();
        let mut scale = Object::default();
        scale.set_type(&api_meta::GroupVersionKind::new("autoscaling", "v1", "Scale"));
        for key in ["name", "namespace", "uid", "resourceVersion"] {
            if let Some(value) = object.metadata().and_then(|m| m.get(key)) {
                scale.metadata_mut().insert(key.into(), value.clone());
            }
        }
        let created = parse_time(object.creation_timestamp()).map(format_seconds);
        scale.set_meta_str("creationTimestamp", created.as_deref().unwrap_or_default());
        let replicas = count(&paths.spec_replicas);
        scale.insert("spec".into(), if replicas == 0 { json!({}) } else { json!({"replicas": replicas}) });
        let mut status = json!({"replicas": count(&paths.status_replicas)});
        let selector = paths.selector.as_ref().and_then(|path| object.str_at(&path.steps()));
        if let Some(selector) = selector.filter(|s| !s.is_empty()) {
            status["selector"] = selector.into();
        }
        scale.insert("status".into(), status);
        Some(scale)
    }

    fn scale_path(&self) -> Vec<&str> {
        self.scale.as_ref().map(|scale| scale.spec_replicas.steps()).unwrap_or_default()
    }

    fn set_scale(&self, object: &mut Object, replicas: i64) {
        if let Some(scale) = &self.scale {
            *object.at_mut(&scale.spec_replicas.steps()) = replicas.into();
        }
    }

    /// Versions differ in name only. What passes through storage keeps what the storage version knows, and what is
    /// read shows what this version knows.
    fn convert(&self, mut object: Object, to: &api_meta::GroupVersion) -> Object {
        prune(&mut object, &self.stored);
        default::apply(&mut object, &self.stored);
        if to.version == self.version && !Arc::ptr_eq(&self.values, &self.stored) {
            prune(&mut object, &self.values);
            default::apply(&mut object, &self.values);
        }
        object.insert("apiVersion".into(), to.to_string().into());
        object
    }
}
