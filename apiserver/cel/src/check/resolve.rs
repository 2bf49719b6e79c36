//! Which function a call means, and which of its overloads.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Checker, Reference, mismatch};
use crate::library::{Function, Overload, Since, functions};
use crate::syntax::ast::Expr;
use crate::types::Type;

impl Checker<'_> {
    /// Whether there is such a function; if there is and does not take the arguments, that is told.
    pub(super) fn resolve_function(&mut self, expr: &Expr, name: &str, target: Option<&Expr>, args: &[Expr]) -> bool {
        let newest = self.names.newest;
        let known = |overload: &&Overload| newest || overload.since == Since::Always;
        let Some((name, function)) = functions().get_key_value(name) else { return false };
        if !function.overloads.iter().any(|overload| known(&overload)) {
            return false;
        }
        if ["_&&_", "_||_"].contains(name) {
            self.resolve_logic(expr, name, args);
            return true;
        }
        let types: Vec<Type> = target.into_iter().chain(args).map(|arg| self.get(arg)).collect();
        match self.resolve_overloads(function, known, target.is_some(), &types) {
            Some((result, overloads)) => {
                self.set(expr, result);
                self.refer(expr, Reference::Function { name: (*name).into(), member: target.is_some(), overloads });
            }
            None => {
                self.set(expr, Type::Error);
                let types: Vec<String> =
                    types.iter().map(|type_| self.mapping.substitute(type_, true).to_string()).collect();
                let (receiver, args) = match (target, types.split_first()) {
                    (Some(_), Some((receiver, args))) => (format!("{receiver}."), args),
                    _ => (String::new(), types.as_slice()),
                };
                let applied = format!("{receiver}({})", args.join(", "));
                self.report(expr.id, format!("found no matching overload for '{name}' applied to '{applied}'"));
            }
        }
        true
    }

    /// `&&` and `||` tell which of their operands is wrong.
    fn resolve_logic(&mut self, expr: &Expr, name: &str, args: &[Expr]) {
        let mut result = Type::Bool;
        for arg in args {
            let type_ = self.get(arg);
            if !self.mapping.assign(&type_, &Type::Bool) {
                let type_ = self.mapping.substitute(&type_, false);
                self.report(arg.id, mismatch(&Type::Bool, &type_));
                result = Type::Error;
            }
        }
        self.set(expr, result);
        let overload = if name == "_&&_" { "logical_and" } else { "logical_or" };
        self.refer(expr, Reference::Function { name: name.into(), member: false, overloads: vec![overload] });
    }

    fn resolve_overloads(
        &mut self,
        function: &Function,
        known: impl Fn(&&Overload) -> bool,
        member: bool,
        args: &[Type],
    ) -> Option<(Type, Vec<&'static str>)> {
        let mut found: Option<(Type, Vec<&'static str>)> = None;
        for overload in function.overloads.iter().filter(known) {
            if overload.member != member || overload.params.len() != args.len() {
                continue;
            }
            let (params, result) = self.instance(overload);
            if !self.mapping.assign_all(args, &params) {
                continue;
            }
            let result = self.mapping.substitute(&result, false);
            match &mut found {
                None => found = Some((result, vec![overload.id])),
                Some((first, overloads)) => {
                    overloads.push(overload.id);
                    if !first.is_dyn() && *first != result {
                        *first = Type::Dyn;
                    }
                }
            }
        }
        found
    }

    /// The signature with variables of its own.
    fn instance(&mut self, overload: &Overload) -> (Vec<Type>, Type) {
        if !overload.has_variables {
            return (overload.params.clone(), overload.result.clone());
        }
        let mut fresh: HashMap<Arc<str>, Type> = HashMap::new();
        let params = overload.params.iter().map(|param| self.renamed(param, &mut fresh)).collect();
        let result = self.renamed(&overload.result, &mut fresh);
        (params, result)
    }

    fn renamed(&mut self, type_: &Type, fresh: &mut HashMap<Arc<str>, Type>) -> Type {
        match type_ {
            Type::Param(name) => match fresh.get(name) {
                Some(known) => known.clone(),
                None => {
                    let variable = self.fresh();
                    fresh.insert(Arc::clone(name), variable.clone());
                    variable
                }
            },
            Type::List(item) => Type::list(self.renamed(item, fresh)),
            Type::Map(key, value) => Type::map(self.renamed(key, fresh), self.renamed(value, fresh)),
            Type::Optional(inner) => Type::optional(self.renamed(inner, fresh)),
            Type::Type(Some(inner)) => Type::Type(Some(Arc::new(self.renamed(inner, fresh)))),
            other => other.clone(),
        }
    }
}
