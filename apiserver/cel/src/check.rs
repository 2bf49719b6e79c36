//! Finds the type of each node, and what names and calls refer to (cel-go: `checker`).

mod resolve;
mod unify;
mod validators;

use std::collections::HashMap;
use std::sync::Arc;

use crate::library;
use crate::syntax::ast::{Call, Comprehension, Entry, Expr, Id, Kind};
use crate::syntax::issues::Issue;
use crate::types::Type;
use crate::value::Val;
use unify::Mapping;

pub(crate) use validators::validate;

/// How many parts a type may have. Types of loops within loops can double with each.
const MAX_TYPE_PARTS: usize = 2000;

/// What a name or a call refers to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reference {
    /// A variable.
    Variable(Arc<str>),
    /// A type, by its name.
    Type(Type),
    Function {
        name: Arc<str>,
        /// Whether it is called on a receiver.
        member: bool,
        /// Those that can be meant; known types leave one.
        overloads: Vec<&'static str>,
    },
}

/// What is known of each node, by its number.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    types: HashMap<Id, Type>,
    references: HashMap<Id, Reference>,
}

impl Facts {
    pub(crate) fn type_of(&self, expr: &Expr) -> &Type {
        self.types.get(&expr.id).unwrap_or(&Type::Dyn)
    }

    pub(crate) fn reference(&self, expr: &Expr) -> Option<&Reference> {
        self.references.get(&expr.id)
    }

    pub(crate) fn uses(&self, variable: &str) -> bool {
        self.references.values().any(|r| matches!(r, Reference::Variable(name) if &**name == variable))
    }
}

/// What expressions may name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) variables: HashMap<String, Type>,
    /// Whether functions of this version are there that the version before does not know.
    pub(crate) newest: bool,
}

pub(crate) fn check(root: &Expr, offsets: &[usize], names: &Names) -> Result<Facts, Vec<Issue>> {
    let mut checker = Checker {
        names,
        offsets,
        scopes: Vec::new(),
        mapping: Mapping::default(),
        next_variable: 0,
        facts: Facts::default(),
        issues: Vec::new(),
    };
    checker.check(root);
    if !checker.issues.is_empty() {
        return Err(checker.issues);
    }
    let Checker { mapping, mut facts, .. } = checker;
    for type_ in facts.types.values_mut() {
        *type_ = mapping.substitute(type_, true);
    }
    Ok(facts)
}

struct Checker<'a> {
    names: &'a Names,
    offsets: &'a [usize],
    /// Variables of the loops around.
    scopes: Vec<(Arc<str>, Type)>,
    mapping: Mapping,
    next_variable: usize,
    facts: Facts,
    issues: Vec<Issue>,
}

fn no_reference(name: &str) -> String {
    format!("undeclared reference to '{name}' (in container '')")
}

fn mismatch(expected: &Type, found: &Type) -> String {
    format!("expected type '{expected}' but found '{found}'")
}

impl Checker<'_> {
    fn report(&mut self, id: Id, message: impl Into<String>) {
        let offset = self.offsets.get(id).copied();
        self.issues.push(Issue { offset, message: message.into() });
    }

    fn set(&mut self, expr: &Expr, type_: Type) {
        let type_ = if unify::parts(&type_, MAX_TYPE_PARTS) > MAX_TYPE_PARTS {
            self.report(expr.id, format!("type has more than {MAX_TYPE_PARTS} parts"));
            Type::Error
        } else {
            type_
        };
        self.facts.types.insert(expr.id, type_);
    }

    fn get(&self, expr: &Expr) -> Type {
        self.facts.type_of(expr).clone()
    }

    fn refer(&mut self, expr: &Expr, reference: Reference) {
        self.facts.references.insert(expr.id, reference);
    }

    fn fresh(&mut self) -> Type {
        self.next_variable += 1;
        Type::Param(format!("_var{}", self.next_variable).into())
    }

    fn check(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Literal(value) => self.set(expr, value.type_()),
            Kind::Ident(name) => {
                if !self.resolve_name(expr, name) {
                    self.set(expr, Type::Error);
                    self.report(expr.id, no_reference(name));
                }
            }
            Kind::Select { operand, field, test } => self.check_select(expr, operand, field, *test),
            Kind::Call(call) => self.check_call(expr, call),
            Kind::List(items) => self.check_list(expr, items),
            Kind::Map(entries) => self.check_map(expr, entries),
            Kind::Message { name, fields } => {
                self.report(expr.id, no_reference(name));
                self.set(expr, Type::Error);
                fields.iter().for_each(|(_, _, value, _)| self.check(value));
            }
            Kind::Comprehension(comprehension) => self.check_comprehension(expr, comprehension),
        }
    }

    /// Whether a name, which may have dots, is that of a variable or a type.
    fn resolve_name(&mut self, expr: &Expr, name: &str) -> bool {
        let plain = name.strip_prefix('.').unwrap_or(name);
        let local = self.scopes.iter().rev().find(|(known, _)| &**known == name).map(|(_, type_)| type_.clone());
        let variable = local.or_else(|| self.names.variables.get(plain).cloned());
        if let Some(type_) = variable {
            self.set(expr, type_);
            self.refer(expr, Reference::Variable(plain.into()));
            return true;
        }
        let Some(type_) = library::type_by_name(plain) else { return false };
        self.set(expr, Type::Type(Some(Arc::new(type_.clone()))));
        self.refer(expr, Reference::Type(type_));
        true
    }

    fn check_select(&mut self, expr: &Expr, operand: &Expr, field: &str, test: bool) {
        if let Some(name) = expr.qualified_name()
            && self.resolve_name(expr, &name)
        {
            return;
        }
        let result = self.check_field(expr, operand, field, false);
        let result = if test { Type::Bool } else { self.mapping.substitute(&result, false) };
        self.set(expr, result);
    }

    /// The type of a field, whose operand may be optional.
    fn check_field(&mut self, expr: &Expr, operand: &Expr, field: &str, optional: bool) -> Type {
        self.check(operand);
        let operand_type = self.mapping.substitute(&self.get(operand), false);
        let (target, is_optional) = match &operand_type {
            Type::Optional(inner) => ((**inner).clone(), true),
            other => (other.clone(), false),
        };
        let result = match &target {
            Type::Map(_, value) => (**value).clone(),
            Type::Object(object) => match object.field(field) {
                Some(field) => field.type_.clone(),
                None => {
                    self.report(expr.id, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Param(_) => {
                self.mapping.assign(&Type::Dyn, &target);
                Type::Dyn
            }
            other => {
                if !other.is_dyn_or_error() {
                    self.report(expr.id, format!("type '{other}' does not support field selection"));
                }
                Type::Dyn
            }
        };
        if is_optional || optional { Type::optional(result) } else { result }
    }

    fn check_call(&mut self, expr: &Expr, call: &Call) {
        if &*call.function == "_?._" {
            return self.check_optional_select(expr, call);
        }
        call.args.iter().for_each(|arg| self.check(arg));
        let Some(target) = &call.target else {
            let name = call.function.strip_prefix('.').unwrap_or(&call.function);
            if !self.resolve_function(expr, name, None, &call.args) {
                self.report(expr.id, no_reference(&call.function));
                self.set(expr, Type::Error);
            }
            return;
        };
        // `a.b.c()` is a function `a.b.c`, or `c` of `a.b`.
        if let Some(prefix) = target.qualified_name()
            && self.resolve_function(expr, &format!("{prefix}.{}", call.function), None, &call.args)
        {
            return;
        }
        self.check(target);
        if !self.resolve_function(expr, &call.function, Some(target), &call.args) {
            self.set(expr, Type::Error);
            self.report(expr.id, no_reference(&call.function));
        }
    }

    fn check_optional_select(&mut self, expr: &Expr, call: &Call) {
        let [operand, field] = call.args.as_slice() else { return };
        let Some(name) = field.as_string() else { return };
        let result = self.check_field(expr, operand, name, true);
        let result = self.mapping.substitute(&result, false);
        self.set(expr, result);
        let overloads = vec!["select_optional_field"];
        self.refer(expr, Reference::Function { name: "_?._".into(), member: false, overloads });
    }

    /// What an element adds to the type of a literal; optional ones must be optional values.
    fn element(&mut self, element: &Expr, optional: bool) -> Type {
        self.check(element);
        let type_ = self.get(element);
        match (&type_, optional) {
            (Type::Optional(inner), true) => (**inner).clone(),
            (other, true) if !other.is_dyn() => {
                self.report(element.id, mismatch(&Type::optional(other.clone()), other));
                type_
            }
            _ => type_,
        }
    }

    fn join(&mut self, previous: Option<Type>, current: Type) -> Type {
        match previous {
            None => current,
            Some(previous) if self.mapping.assign(&previous, &current) => {
                if unify::is_equal_or_less_specific(&previous, &current) { previous } else { current }
            }
            // Whether elements may differ is for a validator to say.
            Some(_) => Type::Dyn,
        }
    }

    fn check_list(&mut self, expr: &Expr, items: &[(Expr, bool)]) {
        let mut joined = None;
        for (item, optional) in items {
            let type_ = self.element(item, *optional);
            joined = Some(self.join(joined, type_));
        }
        let item = joined.unwrap_or_else(|| self.fresh());
        self.set(expr, Type::list(item));
    }

    fn check_map(&mut self, expr: &Expr, entries: &[Entry]) {
        let (mut key, mut value) = (None, None);
        for entry in entries {
            let key_type = self.element(&entry.key, false);
            key = Some(self.join(key, key_type));
            let value_type = self.element(&entry.value, entry.optional);
            value = Some(self.join(value, value_type));
        }
        let key = key.unwrap_or_else(|| self.fresh());
        let value = value.unwrap_or_else(|| self.fresh());
        self.set(expr, Type::map(key, value));
    }

    fn check_comprehension(&mut self, expr: &Expr, c: &Comprehension) {
        self.check(&c.range);
        self.check(&c.init);
        let range = self.mapping.substitute(&self.get(&c.range), false);
        let accu = self.get(&c.init);
        self.scopes.push((Arc::clone(&c.accu), accu.clone()));
        let two = c.var2.is_some();
        let (var, var2) = match &range {
            Type::List(item) if two => (Type::Int, (**item).clone()),
            Type::List(item) => ((**item).clone(), Type::Dyn),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn | Type::Error | Type::Param(_) => {
                self.mapping.assign(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.report(c.range.id, message);
                (Type::Error, Type::Error)
            }
        };
        let outside = self.scopes.len();
        self.scopes.push((Arc::clone(&c.var), var));
        if let Some(name) = &c.var2 {
            self.scopes.push((Arc::clone(name), var2));
        }
        self.check(&c.condition);
        self.want(&c.condition, &Type::Bool);
        self.check(&c.step);
        self.want(&c.step, &accu);
        self.scopes.truncate(outside);
        self.check(&c.result);
        self.scopes.pop();
        let result = self.mapping.substitute(&self.get(&c.result), false);
        self.set(expr, result);
    }

    fn want(&mut self, expr: &Expr, type_: &Type) {
        let found = self.get(expr);
        if !self.mapping.assign(type_, &found) {
            let (type_, found) = (self.mapping.substitute(type_, false), self.mapping.substitute(&found, false));
            self.report(expr.id, mismatch(&type_, &found));
        }
    }
}

/// The value of a name that is that of a type.
pub(crate) fn type_value(type_: &Type) -> Val {
    Val::Type(type_.clone())
}
