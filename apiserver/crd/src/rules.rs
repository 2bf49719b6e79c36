//! Validation rules (`x-kubernetes-validations`): compiling them, once for each definition (upstream: `schema/cel`).

mod correlation;
mod field_path;
mod validator;

use std::sync::Arc;

use api_meta::Value;
use apiserver_cel::{DeclType, Environment, Expressions, Program, Type};

pub(crate) use correlation::{Correlation, same_item};
pub(crate) use field_path::resolve as resolve_field_path;
pub(crate) use validator::{Validator, blocking_error};

use crate::definition::text;

/// A rule as a definition states it.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) rule: String,
    message: String,
    message_expression: String,
    reason: Option<String>,
    field_path: String,
    pub(crate) optional_old_self: Option<bool>,
}

impl Rule {
    pub(crate) fn read(value: &Value) -> Self {
        Self {
            rule: text(value, "rule").to_owned(),
            message: text(value, "message").to_owned(),
            message_expression: text(value, "messageExpression").to_owned(),
            reason: value.get("reason").and_then(Value::as_str).map(str::to_owned),
            field_path: text(value, "fieldPath").to_owned(),
            optional_old_self: value.get("optionalOldSelf").and_then(Value::as_bool),
        }
    }

    /// As upstream's errors show it: the fields of its struct, as Go writes JSON.
    pub(crate) fn shown(&self) -> String {
        let string = |text: &str| go_json(&Value::from(text));
        format!(
            "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
            string(&self.rule),
            string(&self.message),
            string(&self.message_expression),
            self.reason.as_deref().map_or("null".to_owned(), string),
            string(&self.field_path),
            self.optional_old_self.map_or("null".to_owned(), |b| b.to_string()),
        )
    }

    /// What a failed rule is known by.
    fn name(&self) -> &str {
        if self.message.is_empty() { self.rule.trim() } else { self.message.trim() }
    }

    fn message(&self) -> String {
        if self.message.is_empty() { format!("failed rule: {}", self.name()) } else { self.message.trim().to_owned() }
    }
}

/// Go's JSON escapes what would mean something in HTML.
fn go_json(value: &Value) -> String {
    let text = value.to_string();
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// A rule, ready to be evaluated, or why it is not.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) rule: Rule,
    /// `None` for a rule without text.
    pub(crate) program: Option<Result<Program, String>>,
    pub(crate) uses_old_self: bool,
    /// What one evaluation may cost.
    pub(crate) max_cost: u64,
    pub(crate) message: Option<Result<Program, String>>,
    pub(crate) message_max_cost: u64,
}

/// Compiles the rules of data of a type. `stored` says of an expression whether it was there before; `message` tells
/// the one kind from the other.
pub(crate) fn compile(
    rules: &[Value],
    type_: &Arc<DeclType>,
    stored: impl Fn(&str, Kind) -> Expressions,
) -> Vec<Compiled> {
    rules.iter().map(|rule| compile_rule(Rule::read(rule), type_, &stored)).collect()
}

/// What an expression of a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rule,
    Message,
}

fn compile_rule(rule: Rule, type_: &Arc<DeclType>, stored: &impl Fn(&str, Kind) -> Expressions) -> Compiled {
    let mut compiled =
        Compiled { program: None, uses_old_self: false, max_cost: 0, message: None, message_max_cost: 0, rule };
    let rule = &compiled.rule;
    if rule.rule.trim().is_empty() {
        return compiled;
    }
    let environment = |kind, text: &str| {
        let old_self = match rule.optional_old_self {
            Some(true) => Type::optional(type_.type_.clone()),
            _ => type_.type_.clone(),
        };
        Environment::new(stored(text, kind))
            .with_variable("self", type_.type_.clone())
            .with_variable("oldSelf", old_self)
    };
    let program = match environment(Kind::Rule, &rule.rule).compile(&rule.rule) {
        Err(error) => Err(why("compilation", "program instantiation", error)),
        Ok(program) if program.output_type() != &Type::Bool => Err("cel expression must evaluate to a bool".to_owned()),
        Ok(program) => Ok(program),
    };
    if let Ok(program) = &program {
        compiled.uses_old_self = program.uses("oldSelf");
        compiled.max_cost = program.estimate(Some(type_)).max;
    }
    if program.is_ok() && !rule.message_expression.is_empty() {
        let text = &rule.message_expression;
        let message = match environment(Kind::Message, text).compile(text) {
            Err(error) => Err(why("messageExpression compilation", "messageExpression instantiation", error)),
            Ok(message) if message.output_type() != &Type::String => {
                Err("messageExpression must evaluate to a string".to_owned())
            }
            Ok(message) => Ok(message),
        };
        compiled.message_max_cost = message.as_ref().map_or(0, |message| message.estimate(Some(type_)).max);
        compiled.message = Some(message);
    }
    compiled.program = Some(program);
    compiled
}

fn why(compilation: &str, instantiation: &str, error: apiserver_cel::CompileError) -> String {
    match error {
        apiserver_cel::CompileError::Issues(issues) => format!("{compilation} failed: {issues}"),
        apiserver_cel::CompileError::Program(why) => format!("{instantiation} failed: {why}"),
    }
}

#[cfg(test)]
mod tests;
