//! Evaluating the rules of a schema over an object (upstream: `schema/cel/validation.go`).

use std::collections::BTreeMap;
use std::sync::Arc;

use api_meta::{FieldError, FieldErrorKind, FieldErrors, FieldPath, Value};
use apiserver_cel::escape::escape;
use apiserver_cel::{
    DeclType, ErrorKind, Evaluated, Expressions, Limits, MAX_MESSAGE_SIZE, Outcome, PER_CALL_LIMIT, Program,
    RUNTIME_COST_BUDGET, Val, Variables,
};
use apiserver_model::schema::{Schema, Type};

use super::correlation::{Correlation, same_item};
use super::{Compiled, compile};

/// All rules of a schema, compiled, in the shape of the schema.
#[derive(Debug)]
pub(crate) struct Validator {
    rules: Vec<Compiled>,
    /// Where each rule's errors are, below the value.
    field_paths: Vec<Option<FieldPath>>,
    type_: Option<Arc<DeclType>>,
    items: Option<Box<Validator>>,
    properties: BTreeMap<String, Validator>,
    additional_properties: Option<Box<Validator>>,
    all_of: Vec<Validator>,
}

/// The error that stands for rules that are not evaluated, because a value is not even of the right shape.
pub(crate) fn blocking_error(errors: &FieldErrors) -> Option<FieldError> {
    let blocks = |error: &FieldError| {
        matches!(
            error.kind,
            FieldErrorKind::NotSupported
                | FieldErrorKind::Required
                | FieldErrorKind::TooLong
                | FieldErrorKind::TooMany
                | FieldErrorKind::TypeInvalid
        )
    };
    let why = "some validation rules were not checked because the object was invalid; \
               correct the existing errors to complete validation";
    errors.iter().any(blocks).then(|| FieldError {
        kind: FieldErrorKind::Invalid,
        field: FieldPath::root(),
        value: Some(Value::Null),
        detail: why.to_owned(),
    })
}

fn go_type(type_: Type) -> &'static str {
    match type_ {
        Type::Any | Type::IntOrString => "",
        Type::Object => "object",
        Type::Array => "array",
        Type::String | Type::Quantity => "string",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "boolean",
    }
}

impl Validator {
    /// The rules of a schema; `None` if there are none.
    pub(crate) fn of(schema: &Schema, is_root: bool) -> Option<Self> {
        if !has_rules(schema) {
            return None;
        }
        Self::build(schema, schema, DeclType::of_schema(schema, is_root, "selfType").map(Arc::new))
    }

    /// `rules` has the rules, `node` the shape: they differ within `allOf`.
    fn build(rules: &Schema, node: &Schema, type_: Option<Arc<DeclType>>) -> Option<Self> {
        let own: &[Value] = rules.rules.as_ref().map(|r| r.cel.as_slice()).unwrap_or_default();
        let compiled = type_.as_ref().map(|type_| compile(own, type_, |_, _| Expressions::Stored)).unwrap_or_default();
        let field_paths = compiled.iter().map(|rule| own_path(&rule.rule.field_path, node)).collect();
        let elements = type_.as_ref().and_then(|type_| type_.elements.clone());
        let inner = |rules: Option<&Arc<Schema>>, node: Option<&Arc<Schema>>| {
            Self::build(rules?, node?, elements.clone()).map(Box::new)
        };
        let items = inner(rules.items.as_ref(), node.items.as_ref());
        let additional_properties = inner(rules.additional_properties.as_ref(), node.additional_properties.as_ref());
        let mut properties = BTreeMap::new();
        for (name, property) in &rules.properties {
            let Some(shape) = node.properties.get(name) else { continue };
            let field_type = match escape(name) {
                Some(escaped) => type_.as_ref().and_then(|type_| type_.field(&escaped).cloned()),
                None => DeclType::of_schema(shape, shape.embedded_resource, "selfType").map(Arc::new),
            };
            // Fields of types that expressions cannot reach have no rules.
            let Some(field_type) = field_type else { continue };
            if let Some(validator) = Self::build(property, shape, Some(field_type)) {
                properties.insert(name.clone(), validator);
            }
        }
        let junctors = rules.rules.iter().flat_map(|r| &r.all_of);
        let all_of: Vec<_> = junctors.filter_map(|schema| Self::build(schema, node, type_.clone())).collect();
        let is_empty = own.is_empty()
            && items.is_none()
            && additional_properties.is_none()
            && properties.is_empty()
            && all_of.is_empty();
        (!is_empty).then_some(Self {
            rules: compiled,
            field_paths,
            type_,
            items,
            properties,
            additional_properties,
            all_of,
        })
    }

    /// Judges an object or a part of it; `old` is what was there before.
    pub(crate) fn validate(
        &self,
        value: &Value,
        old: Option<&Value>,
        schema: &Schema,
        path: &FieldPath,
        correlation: Correlation<'_>,
    ) -> FieldErrors {
        let mut run = Run { budget: RUNTIME_COST_BUDGET, errors: FieldErrors::new() };
        // Whoever stops early has said why.
        let _ = run.value(self, Place { value, old, schema, path, correlation });
        run.errors
    }
}

fn own_path(path: &str, node: &Schema) -> Option<FieldPath> {
    if path.is_empty() {
        return None;
    }
    // The definition was refused if the path led nowhere; a part of a schema is as good as the whole.
    super::resolve_field_path(path, &shape(node))
}

/// As much of a schema as a path can walk along.
fn shape(schema: &Schema) -> Value {
    let mut json = api_meta::Map::new();
    if !schema.properties.is_empty() {
        let fields = schema.properties.iter().map(|(name, schema)| (name.clone(), shape(schema))).collect();
        json.insert("properties".into(), Value::Object(fields));
    }
    if let Some(values) = &schema.additional_properties {
        json.insert("additionalProperties".into(), shape(values));
    }
    Value::Object(json)
}

fn has_rules(schema: &Schema) -> bool {
    let own = schema.rules.as_ref().is_some_and(|r| !r.cel.is_empty() || r.all_of.iter().any(has_rules));
    own || schema.properties.values().chain(&schema.additional_properties).chain(&schema.items).any(|s| has_rules(s))
}

/// The rest of the rules is not run: the budget is used up.
struct Stopped;

#[derive(Clone, Copy)]
struct Place<'v> {
    value: &'v Value,
    old: Option<&'v Value>,
    schema: &'v Schema,
    path: &'v FieldPath,
    correlation: Correlation<'v>,
}

struct Run {
    budget: u64,
    errors: FieldErrors,
}

/// The variables of a rule.
struct Selves {
    value: Val,
    old: Option<Val>,
    /// Whether `oldSelf` is an optional value.
    optional: bool,
}

impl Variables for Selves {
    fn get(&self, name: &str) -> Option<Outcome> {
        match (name, self.optional) {
            ("self", _) => Some(Ok(self.value.clone())),
            ("oldSelf", true) => Some(Ok(Val::optional(self.old.clone()))),
            ("oldSelf", false) => self.old.clone().map(Ok),
            _ => None,
        }
    }
}

fn evaluate(program: &Program, selves: &Selves) -> Evaluated {
    program.evaluate(selves, Limits { cost: PER_CALL_LIMIT, interrupted: &|| false })
}

impl Run {
    fn value(&mut self, validator: &Validator, place: Place<'_>) -> Result<(), Stopped> {
        if place.value.is_null() {
            return Ok(());
        }
        self.expressions(validator, place)?;
        for validator in &validator.all_of {
            self.value(validator, Place { correlation: place.correlation.without_current(), ..place })?;
        }
        match place.value {
            Value::Array(items) => self.items(validator, items, place),
            Value::Object(fields) => self.fields(validator, fields, place),
            _ => Ok(()),
        }
    }

    fn items(&mut self, validator: &Validator, items: &[Value], place: Place<'_>) -> Result<(), Stopped> {
        let (Some(validator), Some(schema)) = (&validator.items, &place.schema.items) else { return Ok(()) };
        for (index, value) in items.iter().enumerate() {
            let old = same_item(value, place.old, &place.schema.list_type);
            let (path, correlation) = (place.path.index(index), place.correlation.index(index));
            self.value(validator, Place { value, old, schema, path: &path, correlation })?;
        }
        Ok(())
    }

    fn fields(
        &mut self,
        validator: &Validator,
        fields: &api_meta::Map<String, Value>,
        place: Place<'_>,
    ) -> Result<(), Stopped> {
        for (name, value) in fields {
            let old = place.old.and_then(|old| old.get(name));
            let correlation = place.correlation.key(name);
            let (inner, path, schema) = match (validator.properties.get(name), &validator.additional_properties) {
                (Some(inner), _) => (inner, place.path.child(name), place.schema.properties.get(name)),
                (None, Some(inner)) => (&**inner, place.path.key(name), place.schema.additional_properties.as_ref()),
                (None, None) => continue,
            };
            if let Some(schema) = schema {
                self.value(inner, Place { value, old, schema, path: &path, correlation })?;
            }
        }
        Ok(())
    }

    fn out_of_budget(&mut self, place: Place<'_>) -> Stopped {
        let why = "validation failed due to running out of cost budget, no further validation rules will be run";
        self.errors.invalid(place.path, go_type(place.schema.type_), why);
        Stopped
    }

    fn expressions(&mut self, validator: &Validator, place: Place<'_>) -> Result<(), Stopped> {
        if validator.rules.is_empty() {
            return Ok(());
        }
        if self.budget == 0 {
            return Err(self.out_of_budget(place));
        }
        let Some(type_) = &validator.type_ else { return Ok(()) };
        let old = place.old.filter(|old| !old.is_null());
        let mut selves = Selves {
            value: Val::from_data(place.value, type_),
            old: old.map(|old| Val::from_data(old, type_)),
            optional: false,
        };
        for (rule, field) in validator.rules.iter().zip(&validator.field_paths) {
            self.rule(rule, field.as_ref(), &mut selves, place)?;
        }
        Ok(())
    }

    fn rule(
        &mut self,
        compiled: &Compiled,
        field: Option<&FieldPath>,
        selves: &mut Selves,
        place: Place<'_>,
    ) -> Result<(), Stopped> {
        let (rule, type_name) = (&compiled.rule, go_type(place.schema.type_));
        let program = match &compiled.program {
            None => return Ok(()),
            Some(Err(why)) => {
                self.errors.invalid(place.path, type_name, format!("rule compile error: {why}"));
                return Ok(());
            }
            Some(Ok(program)) => program,
        };
        selves.optional = rule.optional_old_self == Some(true);
        if compiled.uses_old_self && selves.old.is_none() && !selves.optional {
            // Nothing to compare with.
            return Ok(());
        }
        let Evaluated { value, cost } = evaluate(program, selves);
        self.budget = match self.budget.checked_sub(cost) {
            Some(left) => left,
            None => return Err(self.out_of_budget(place)),
        };
        let invalid = |errors: &mut FieldErrors, why: String| errors.invalid(place.path, type_name, why);
        match value {
            Ok(Val::Bool(true)) => Ok(()),
            Ok(_) => self.failed(compiled, field, selves, place),
            Err(error) if error.kind() == ErrorKind::NoSuchOverload => {
                let why = "call arguments did not match a supported operator, function or macro signature for rule";
                invalid(&mut self.errors, format!("'{error}': {why}: {}", rule.name()));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::CostLimit => {
                let why = "no further validation rules will be run due to call cost exceeds limit for rule";
                invalid(&mut self.errors, format!("'{error}': {why}: {}", rule.name()));
                Err(Stopped)
            }
            Err(error) => {
                invalid(&mut self.errors, format!("{error} evaluating rule: {}", rule.name()));
                Ok(())
            }
        }
    }

    /// The rule says no.
    fn failed(
        &mut self,
        compiled: &Compiled,
        field: Option<&FieldPath>,
        selves: &mut Selves,
        place: Place<'_>,
    ) -> Result<(), Stopped> {
        let path = field.map_or_else(|| place.path.clone(), |field| place.path.child(field.as_str()));
        // What did not change is not judged again, but for rules about changes.
        let ratcheted = !compiled.uses_old_self && place.correlation.is_unchanged();
        let type_name = go_type(place.schema.type_);
        selves.optional = false;
        let message = match &compiled.message {
            Some(Ok(program)) => self.message(program, &compiled.rule.message_expression, selves),
            _ => Ok(None),
        };
        let mut forgiven = FieldErrors::new();
        let errors = if ratcheted { &mut forgiven } else { &mut self.errors };
        match message {
            Err(why) => {
                errors.invalid(&path, type_name, why);
                Err(Stopped)
            }
            Ok(message) => {
                let message = message.unwrap_or_else(|| compiled.rule.message());
                report(errors, &path, type_name, compiled.rule.reason.as_deref(), message);
                Ok(())
            }
        }
    }

    /// The message that an expression makes; none where it makes none that can be shown. An error ends the run.
    fn message(&mut self, program: &Program, text: &str, selves: &Selves) -> Result<Option<String>, String> {
        let Evaluated { value, cost } = evaluate(program, selves);
        self.budget = self.budget.checked_sub(cost).ok_or_else(|| {
            "messageExpression evaluation failed due to running out of cost budget, \
             no further validation rules will be run"
                .to_owned()
        })?;
        match value {
            Err(error) if error.kind() == ErrorKind::CostLimit => Err(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {text:?}"
            )),
            Err(_) => Ok(None),
            Ok(value) => {
                let message = value.as_str().map(str::trim).unwrap_or_default();
                let fits = !message.is_empty() && message.len() <= MAX_MESSAGE_SIZE && !message.contains('\n');
                Ok(fits.then(|| message.to_owned()))
            }
        }
    }
}

fn report(errors: &mut FieldErrors, path: &FieldPath, type_name: &str, reason: Option<&str>, message: String) {
    match reason {
        Some("FieldValueForbidden") => errors.forbidden(path, message),
        Some("FieldValueRequired") => errors.required(path, message),
        Some("FieldValueDuplicate") => errors.duplicate(path, type_name),
        _ => errors.invalid(path, type_name, message),
    }
}
