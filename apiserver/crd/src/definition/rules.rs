//! Whether the validation rules of a definition compile, and whether objects can afford them.

use std::collections::BTreeSet;
use std::sync::Arc;

use api_meta::{FieldError, FieldErrorKind, FieldErrors, FieldPath, Value};
use apiserver_cel::{DeclType, Expressions};

use super::{Definition, Version, list, text};
use crate::rules::{self, Compiled, Kind};
use crate::schema;

/// The most that one rule may cost at all places it can be at.
const COST_LIMIT: u64 = 10_000_000;
/// The most that all rules of a schema may cost.
const TOTAL_COST_LIMIT: u64 = 100_000_000;
/// As many of the rules that make a schema too expensive are named.
const MOST_EXPENSIVE: usize = 4;

/// What a definition had before it was changed. Expressions that were there may use what new ones may not, and a
/// schema that did not change is not refused for the cost of a rule.
#[derive(Default)]
pub(super) struct Before {
    rules: BTreeSet<String>,
    messages: BTreeSet<String>,
    unchanged: BTreeSet<String>,
}

impl Before {
    pub(super) fn of(new: Definition<'_>, old: Definition<'_>) -> Self {
        let mut before = Self::default();
        for version in old.versions() {
            if let Some(schema) = version.schema() {
                before.collect(schema);
            }
            if new.versions().any(|v| v.name() == version.name() && v.schema() == version.schema()) {
                before.unchanged.insert(version.name().to_owned());
            }
        }
        before
    }

    fn collect(&mut self, schema: &Value) {
        match schema {
            Value::Object(fields) => {
                for rule in list(schema, "x-kubernetes-validations") {
                    self.rules.insert(text(rule, "rule").to_owned());
                    self.messages.insert(text(rule, "messageExpression").to_owned());
                }
                fields.values().for_each(|value| self.collect(value));
            }
            Value::Array(items) => items.iter().for_each(|value| self.collect(value)),
            _ => {}
        }
    }

    fn expressions(&self, text: &str, kind: Kind) -> Expressions {
        let known = match kind {
            Kind::Rule => &self.rules,
            Kind::Message => &self.messages,
        };
        if known.contains(text) { Expressions::Stored } else { Expressions::New }
    }

    /// Whether single rules of these versions may cost more than new ones.
    pub(super) fn suppresses_cost<'a>(&self, mut versions: impl Iterator<Item = Version<'a>>) -> bool {
        versions.any(|version| self.unchanged.contains(version.name()))
    }
}

/// What checking rules depends on at a place of a schema.
#[derive(Clone)]
pub(super) struct Scope {
    /// The type of the data there, where the schema around has told it.
    type_: Option<Arc<DeclType>>,
    is_root: bool,
    /// How often such data can be there; `None` where nothing bounds it.
    cardinality: Option<u64>,
}

impl Scope {
    pub(super) fn root() -> Self {
        Self { type_: None, is_root: true, cardinality: Some(1) }
    }

    fn type_of(&self, schema: &Value) -> Option<Arc<DeclType>> {
        if let Some(type_) = &self.type_ {
            return Some(Arc::clone(type_));
        }
        let shape = schema::values(schema);
        DeclType::of_schema(&shape, self.is_root || shape.embedded_resource, "selfType").map(Arc::new)
    }

    /// The scope of a property, or with no name of items or additional properties.
    pub(super) fn inside(&self, schema: &Value, property: Option<&str>) -> Self {
        // Types are made where the first rule needs them; what is below takes its part.
        let has_rules = !list(schema, "x-kubernetes-validations").is_empty();
        let type_ = if has_rules { self.type_of(schema) } else { self.type_.clone() };
        let inner = type_.and_then(|type_| match property {
            Some(name) => apiserver_cel::escape::escape(name).and_then(|name| type_.field(&name).cloned()),
            None => type_.elements.clone(),
        });
        let factor = match text(schema, "type") {
            "object" if schema.get("additionalProperties").is_some_and(|a| !a.is_null()) => {
                bound(schema, "maxProperties")
            }
            "array" => bound(schema, "maxItems"),
            _ => Some(1),
        };
        let cardinality = self.cardinality.zip(factor).map(|(count, factor)| count.saturating_mul(factor));
        Self { type_: inner, is_root: false, cardinality }
    }
}

fn bound(schema: &Value, key: &str) -> Option<u64> {
    schema.get(key).and_then(Value::as_i64).map(|bound| u64::try_from(bound).unwrap_or(0))
}

/// Checks rules of one schema and adds up what they cost.
pub(super) struct Checker<'a> {
    before: &'a Before,
    suppress_cost: bool,
    total: u64,
    most_expensive: Vec<(FieldPath, u64)>,
    pub(super) errors: FieldErrors,
}

impl<'a> Checker<'a> {
    pub(super) fn new(before: &'a Before, suppress_cost: bool) -> Self {
        Self { before, suppress_cost, total: 0, most_expensive: Vec::new(), errors: FieldErrors::new() }
    }

    /// The rules of one schema. `uncorrelated` is where above new values have no old ones.
    pub(super) fn check(&mut self, schema: &Value, path: &FieldPath, scope: &Scope, uncorrelated: Option<&FieldPath>) {
        let own = list(schema, "x-kubernetes-validations");
        if own.is_empty() {
            return;
        }
        let path = path.child("x-kubernetes-validations");
        let Some(type_) = scope.type_of(schema) else {
            let why = "internal error: failed to construct type information for x-kubernetes-validations rules: \
                       unable to convert structural schema to CEL declarations";
            self.errors.internal(&path, why);
            return;
        };
        let compiled = rules::compile(own, &type_, |text, kind| self.before.expressions(text, kind));
        for (index, rule) in compiled.iter().enumerate() {
            self.rule(rule, &path.index(index), scope.cardinality.unwrap_or(type_.max_cardinality()));
            self.old_self(rule, &path.index(index), uncorrelated);
        }
    }

    fn rule(&mut self, compiled: &Compiled, path: &FieldPath, cardinality: u64) {
        let at = path.child("rule");
        self.cost("estimated rule cost", compiled.max_cost.saturating_mul(cardinality), &at);
        if let Some(Err(why)) = &compiled.program {
            self.errors.push(invalid(&at, compiled, why));
        }
        let at = path.child("messageExpression");
        match &compiled.message {
            Some(Err(why)) => self.errors.push(invalid(&at, compiled, why)),
            Some(Ok(_)) => self.cost("estimated messageExpression cost", compiled.message_max_cost, &at),
            None => {}
        }
    }

    fn cost(&mut self, name: &str, cost: u64, at: &FieldPath) {
        if !self.suppress_cost && cost > COST_LIMIT {
            self.errors.forbidden(at, too_expensive(name, cost, COST_LIMIT));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= TOTAL_COST_LIMIT / 100 {
            self.most_expensive.push((at.clone(), cost));
            self.most_expensive.sort_by(|(_, a), (_, b)| b.cmp(a));
            self.most_expensive.truncate(MOST_EXPENSIVE);
        }
    }

    fn old_self(&mut self, compiled: &Compiled, path: &FieldPath, uncorrelated: Option<&FieldPath>) {
        if compiled.uses_old_self {
            if let Some(within) = uncorrelated {
                let why = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {within}");
                self.errors.invalid(&path.child("rule"), compiled.rule.rule.as_str(), why);
            }
        } else if let Some(optional) = compiled.rule.optional_old_self {
            let why = "may not be set if oldSelf is not used in rule";
            self.errors.invalid(&path.child("optionalOldSelf"), optional, why);
        }
    }

    /// What is wrong with the rules, and with all of them together.
    pub(super) fn finish(self, root: &FieldPath) -> FieldErrors {
        let mut errors = self.errors;
        if self.total > TOTAL_COST_LIMIT {
            for (at, _) in &self.most_expensive {
                let why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
                errors.forbidden(at, why);
            }
            let name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
            errors.forbidden(root, too_expensive(name, self.total, TOTAL_COST_LIMIT));
        }
        errors
    }
}

fn invalid(at: &FieldPath, compiled: &Compiled, why: &str) -> FieldError {
    FieldError {
        kind: FieldErrorKind::Invalid,
        field: at.clone(),
        value: None,
        detail: format!("{}: {why}", compiled.rule.shown()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a factor is shown with a digit or six")]
fn too_expensive(name: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{name} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}
