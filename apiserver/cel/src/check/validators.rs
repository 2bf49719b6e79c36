//! What is wrong with expressions whose types are right (cel-go: `cel.ASTValidators`).

use super::{Facts, mismatch};
use crate::library::{check_format, regexes};
use crate::syntax::ast::{Expr, Id, Kind};
use crate::syntax::issues::Issue;
use crate::types::Type;
use crate::value::{Val, convert};

pub(crate) fn validate(root: &Expr, offsets: &[usize], facts: &Facts) -> Vec<Issue> {
    let mut validator = Validator { facts, offsets, issues: Vec::new() };
    validator.node(root, false);
    validator.issues
}

struct Validator<'a> {
    facts: &'a Facts,
    offsets: &'a [usize],
    issues: Vec<Issue>,
}

impl Validator<'_> {
    fn report(&mut self, id: Id, message: String) {
        self.issues.push(Issue { offset: self.offsets.get(id).copied(), message });
    }

    /// `mixed` says that literals may be of several types: they are arguments of `format`.
    fn node(&mut self, expr: &Expr, mixed: bool) {
        let mut mixed = mixed;
        match &expr.kind {
            Kind::Call(call) => {
                self.literal_argument(&call.function, &call.args);
                if &*call.function == "format" {
                    mixed = true;
                    self.format_call(expr, call.target.as_deref(), &call.args);
                }
            }
            Kind::List(items) if !mixed => {
                let types = items.iter().map(|(item, optional)| (item.id, self.element(item, *optional))).collect();
                self.same_types(types, true);
            }
            Kind::Map(entries) if !mixed => {
                let keys = entries.iter().map(|e| (e.key.id, self.element(&e.key, false))).collect();
                let values = entries.iter().map(|e| (e.value.id, self.element(&e.value, e.optional))).collect();
                self.same_types(keys, false);
                self.same_types(values, false);
            }
            _ => {}
        }
        for child in expr.children() {
            self.node(child, mixed);
        }
    }

    fn element(&self, expr: &Expr, optional: bool) -> Type {
        match self.facts.type_of(expr) {
            Type::Optional(inner) if optional => (**inner).clone(),
            type_ => type_.clone(),
        }
    }

    fn same_types(&mut self, types: Vec<(Id, Type)>, only_first: bool) {
        let mut types = types.into_iter();
        let Some((_, first)) = types.next() else { return };
        let mut odd = types.filter(|(_, type_)| *type_ != first);
        let told: Vec<_> = if only_first { odd.next().into_iter().collect() } else { odd.collect() };
        for (id, type_) in told {
            self.report(id, mismatch(&first, &type_));
        }
    }

    /// Durations, times and patterns that are written out are checked now.
    fn literal_argument(&mut self, function: &str, args: &[Expr]) {
        let Some(arg) = args.first() else { return };
        let Kind::Literal(value) = &arg.kind else { return };
        let fits = match (function, value) {
            ("duration", _) => convert(value, &Type::Duration).is_ok(),
            ("timestamp", _) => convert(value, &Type::Timestamp).is_ok(),
            ("matches", Val::String(pattern)) => regexes::compile(pattern).is_ok(),
            _ => true,
        };
        if !fits {
            self.report(arg.id, format!("invalid {function} argument"));
        }
    }

    fn format_call(&mut self, expr: &Expr, target: Option<&Expr>, args: &[Expr]) {
        let (Some(text), [list]) = (target.and_then(Expr::as_string), args) else { return };
        let Kind::List(items) = &list.kind else { return };
        let types: Vec<Type> = items.iter().map(|(item, _)| self.facts.type_of(item).clone()).collect();
        if let Err((blamed, message)) = check_format(text, &types) {
            let id = blamed.and_then(|at| items.get(at)).map_or(expr.id, |(item, _)| item.id);
            self.report(id, message);
        }
    }
}
