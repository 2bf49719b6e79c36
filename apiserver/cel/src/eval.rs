//! Computes the value of a checked expression, and counts what that costs (cel-go: `interpreter`).
//!
//! Costs are counted as upstream counts them, so that a budget buys the same
//! everywhere.

mod cost;
mod fold;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use regex::Regex;

use crate::check::{Facts, Reference, type_value};
use crate::cost::{LIST_COST, MAP_COST};
use crate::error::Error;
use crate::library::{self, index, regexes};
use crate::syntax::ast::{Call, Entry, Expr, Id, Kind};
use crate::value::{Key, List, Map, Outcome, Val, equal};

/// Where the values of variables come from.
pub trait Variables {
    /// The value of a variable; `None` for one that is declared and not there.
    fn get(&self, name: &str) -> Option<Outcome>;
}

/// Variables and their values.
impl Variables for HashMap<&str, Val> {
    fn get(&self, name: &str) -> Option<Outcome> {
        HashMap::get(self, name).map(|value| Ok(value.clone()))
    }
}

/// What stops an evaluation.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// The most that it may cost.
    pub cost: u64,
    /// Asked now and then within loops: whether nobody waits any more.
    pub interrupted: &'a dyn Fn() -> bool,
}

/// What an evaluation came to.
#[derive(Clone, Debug)]
pub struct Evaluated {
    pub value: Outcome,
    pub cost: u64,
}

/// What is made once, when an expression is compiled.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// Patterns that are written out.
    pub(crate) patterns: HashMap<Id, Regex>,
    /// Values that depend on no variable: lists and maps of literals, and conversions of them.
    pub(crate) constants: HashMap<Id, Val>,
}

/// What looking up a name, a field or an entry costs.
const ACCESS: u64 = 1;

pub(crate) struct Evaluator<'a> {
    facts: &'a Facts,
    prepared: &'a Prepared,
    variables: &'a dyn Variables,
    limits: Limits<'a>,
    /// Variables of the loops around. An accumulator may be an error that a later step absorbs.
    scopes: Vec<(Arc<str>, Outcome)>,
    cost: u64,
    iterations: u64,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn run(
        root: &'a Expr,
        facts: &'a Facts,
        prepared: &'a Prepared,
        variables: &'a dyn Variables,
        limits: Limits<'a>,
    ) -> Evaluated {
        let mut evaluator = Self { facts, prepared, variables, limits, scopes: Vec::new(), cost: 0, iterations: 0 };
        let value = evaluator.eval(root);
        Evaluated { value, cost: evaluator.cost }
    }

    fn charge(&mut self, cost: u64) -> Result<(), Error> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limits.cost { Err(Error::cost_limit()) } else { Ok(()) }
    }

    fn eval(&mut self, expr: &'a Expr) -> Outcome {
        self.eval_access(expr, ACCESS)
    }

    /// The value of an expression, where looking up what an access starts from costs `base`.
    fn eval_access(&mut self, expr: &'a Expr, base: u64) -> Outcome {
        if let Some(value) = self.prepared.constants.get(&expr.id) {
            return Ok(value.clone());
        }
        match &expr.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Ident(_) => self.ident(expr, base),
            Kind::Select { operand, field, test } => self.select(expr, operand, field, *test, base),
            Kind::Call(call) => self.call(expr, call, base),
            Kind::List(items) => self.list(items),
            Kind::Map(entries) => self.map(entries),
            Kind::Message { .. } => Err(Error::no_such_overload()),
            Kind::Comprehension(comprehension) => self.fold(comprehension),
        }
    }

    /// What an access is to: itself one, or the value of something else.
    fn operand(&mut self, expr: &'a Expr, base: u64) -> Outcome {
        if is_access(expr) {
            return self.eval_access(expr, base);
        }
        let value = self.eval(expr)?;
        self.charge(base)?;
        Ok(value)
    }

    /// What a condition decides for, or a key. cel-go makes those a part of the access, so that they start for free.
    fn part(&mut self, expr: &'a Expr) -> Outcome {
        if is_access(expr) { self.eval_access(expr, 0) } else { self.eval(expr) }
    }

    fn ident(&mut self, expr: &Expr, base: u64) -> Outcome {
        match self.facts.reference(expr) {
            // A type is as good as a literal.
            Some(Reference::Type(type_)) => Ok(type_value(type_)),
            Some(Reference::Variable(name)) => {
                let name = Arc::clone(name);
                self.charge(base)?;
                self.variable(&name)
            }
            _ => Err(Error::no_such_overload()),
        }
    }

    fn variable(&self, name: &str) -> Outcome {
        if let Some((_, value)) = self.scopes.iter().rev().find(|(known, _)| &**known == name) {
            return value.clone().and_then(valid);
        }
        match self.variables.get(name) {
            Some(value) => value.and_then(valid),
            None => Err(Error::new(format!("no such attribute(s): {name}"))),
        }
    }

    fn select(&mut self, expr: &'a Expr, operand: &'a Expr, field: &Arc<str>, test: bool, base: u64) -> Outcome {
        if matches!(self.facts.reference(expr), Some(Reference::Variable(_) | Reference::Type(_))) {
            return self.ident(expr, base);
        }
        let value = self.operand(operand, base)?;
        let key = Val::String(Arc::clone(field));
        if test {
            return is_present(&value, &key).map(Val::Bool);
        }
        self.access(value, key, false)
    }

    fn call(&mut self, expr: &'a Expr, call: &'a Call, base: u64) -> Outcome {
        match (&*call.function, call.args.as_slice()) {
            ("_&&_", [left, right]) => self.logic(left, right, false),
            ("_||_", [left, right]) => self.logic(left, right, true),
            ("_?_:_", [condition, then, otherwise]) => match self.eval(condition)? {
                Val::Bool(true) => self.part(then),
                Val::Bool(false) => self.part(otherwise),
                _ => Err(Error::no_such_overload()),
            },
            ("_[_]", [operand, key]) => {
                let (operand, key) = (self.operand(operand, base)?, self.part(key)?);
                self.access(operand, key, false)
            }
            ("@not_strictly_false", [arg]) => {
                let value = self.eval(arg);
                self.charge(1)?;
                match value {
                    Err(error) if error.is_final() => Err(error),
                    Ok(Val::Bool(false)) => Ok(Val::Bool(false)),
                    _ => Ok(Val::Bool(true)),
                }
            }
            ("_?._" | "_[?_]", [operand, key]) => {
                let (operand, key) = (self.operand(operand, base)?, self.part(key)?);
                self.access(operand, key, true)
            }
            ("@in", [value, list]) if self.is_constant_set(list) => {
                let (value, list) = (self.eval(value)?, self.eval(list)?);
                library::call("@in", false, "", &[value, list])
            }
            ("or" | "orValue", [otherwise]) if call.target.is_some() => self.optional_or(call, otherwise),
            _ => self.function(expr, call),
        }
    }

    /// A field or an entry; `optional` says that it need not be there, and then it costs nothing.
    fn access(&mut self, value: Val, key: Val, optional: bool) -> Outcome {
        if optional || matches!(value, Val::Optional(_)) {
            let found = optional_index(&value, &key)?;
            self.charge(if matches!(found, Val::Optional(None)) { 0 } else { ACCESS })?;
            return Ok(found);
        }
        self.charge(ACCESS)?;
        index(&[value, key])
    }

    /// Whether what `in` looks through was made ready when the expression was compiled, which makes it free.
    fn is_constant_set(&self, list: &Expr) -> bool {
        let is_scalar = |item: &Val| {
            matches!(item, Val::Bool(_) | Val::Int(_) | Val::Uint(_) | Val::Double(_) | Val::String(_) | Val::Bytes(_))
        };
        match self.prepared.constants.get(&list.id) {
            Some(Val::List(list)) => !list.items.is_empty() && list.items.iter().all(is_scalar),
            _ => false,
        }
    }

    /// `&&` and `||`: either side may decide, whatever the other is, so that errors of the other do not matter.
    fn logic(&mut self, left: &'a Expr, right: &'a Expr, decisive: bool) -> Outcome {
        let left = self.eval(left);
        match &left {
            Ok(Val::Bool(b)) if *b == decisive => return left,
            Err(error) if error.is_final() => return left,
            _ => {}
        }
        let right = self.eval(right);
        match (left, right) {
            (_, Ok(Val::Bool(b))) if b == decisive => Ok(Val::Bool(decisive)),
            (_, Err(error)) if error.is_final() => Err(error),
            (Err(error), _) | (Ok(Val::Bool(_)), Err(error)) => Err(error),
            (Ok(Val::Bool(_)), Ok(Val::Bool(_))) => Ok(Val::Bool(!decisive)),
            _ => Err(Error::no_such_overload()),
        }
    }

    fn optional_or(&mut self, call: &'a Call, otherwise: &'a Expr) -> Outcome {
        let Some(target) = &call.target else { return Err(Error::no_such_overload()) };
        match self.eval(target)? {
            Val::Optional(Some(inner)) if &*call.function == "orValue" => valid((*inner).clone()),
            Val::Optional(None) => self.eval(otherwise),
            value @ Val::Optional(Some(_)) => Ok(value),
            _ => Err(Error::no_such_overload()),
        }
    }

    fn function(&mut self, expr: &'a Expr, call: &'a Call) -> Outcome {
        let Some(Reference::Function { name, member, overloads }) = self.facts.reference(expr) else {
            return Err(Error::no_such_overload());
        };
        let receiver = call.target.as_deref().filter(|_| *member);
        let operands: Vec<&Expr> = receiver.into_iter().chain(&call.args).collect();
        let mut args = Vec::with_capacity(operands.len());
        let mut failure = None;
        for operand in &operands {
            match self.eval(operand) {
                Ok(value) => args.push(value),
                // Functions of one or two arguments look at all of them first, and cost something even if one fails.
                Err(error) if error.is_final() || operands.len() > 2 => return Err(error),
                Err(error) => {
                    args.push(Val::Invalid(error.clone()));
                    failure.get_or_insert(error);
                }
            }
        }
        let overload = if let [one] = overloads.as_slice() { one } else { "" };
        let pattern = call.args.iter().find_map(|arg| self.prepared.patterns.get(&arg.id));
        let result = match (failure, pattern) {
            (Some(error), _) => Err(error),
            (None, Some(regex)) => regexes::apply(name, regex, &args),
            (None, None) => library::call(name, *member, overload, &args),
        };
        let cost = cost::call(name, overload, &args, result.as_ref().ok());
        self.charge(cost)?;
        result.and_then(valid)
    }

    fn list(&mut self, items: &'a [(Expr, bool)]) -> Outcome {
        let mut values = Vec::with_capacity(items.len());
        for (item, optional) in items {
            match (self.eval(item)?, optional) {
                (Val::Optional(inner), true) => values.extend(inner.map(|inner| (*inner).clone())),
                (_, true) => return Err(Error::no_such_overload()),
                (value, false) => values.push(value),
            }
        }
        self.charge(LIST_COST)?;
        Ok(List::of(values))
    }

    fn map(&mut self, entries: &'a [Entry]) -> Outcome {
        let mut values = BTreeMap::new();
        for entry in entries {
            let key = self.eval(&entry.key)?;
            let key =
                Key::of(&key).ok_or_else(|| Error::new(format!("unsupported key type: {}", key.type_().name())))?;
            let value = match (self.eval(&entry.value)?, entry.optional) {
                (Val::Optional(None), true) => continue,
                (Val::Optional(Some(inner)), true) => (*inner).clone(),
                (_, true) => return Err(Error::no_such_overload()),
                (value, false) => value,
            };
            values.insert(key, value);
        }
        self.charge(MAP_COST)?;
        Ok(Val::Map(Map { entries: Arc::new(values), object: None }))
    }
}

/// A value, or the error of data that does not fit its schema.
fn valid(value: Val) -> Outcome {
    match value {
        Val::Invalid(error) => Err(error),
        value => Ok(value),
    }
}

/// Whether an expression looks something up: a name, a field, an entry.
fn is_access(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Ident(_) | Kind::Select { .. } => true,
        Kind::Call(call) => ["_[_]", "_[?_]", "_?._", "_?_:_"].contains(&&*call.function),
        _ => false,
    }
}

/// `has(value.key)`.
fn is_present(value: &Val, key: &Val) -> Result<bool, Error> {
    match value {
        Val::Map(map) => Ok(map.get(key).is_some()),
        Val::Optional(None) => Ok(false),
        Val::Optional(Some(inner)) => is_present(inner, key),
        _ => Err(Error::no_such_overload()),
    }
}

/// `value[?key]`: absent keys and positions give no value instead of an error.
fn optional_index(value: &Val, key: &Val) -> Outcome {
    match value {
        Val::Optional(None) => Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) => optional_index(inner, key),
        Val::Map(map) => Ok(Val::optional(map.get(key).cloned())),
        Val::List(list) => {
            let found = list.items.iter().enumerate().find(|(at, _)| {
                let at = i64::try_from(*at).unwrap_or(i64::MAX);
                equal(&Val::Int(at), key) == Ok(true)
            });
            Ok(Val::optional(found.map(|(_, item)| item.clone())))
        }
        _ => Err(Error::no_such_overload()),
    }
}
