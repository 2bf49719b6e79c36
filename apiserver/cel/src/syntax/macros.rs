//! Calls that are shorthand for something else: `has`, the loops, and the ones of optional values.

use std::sync::Arc;

use super::ast::{ACCU, Call, Comprehension, Expr, Id, Kind};
use super::parser::{Builder, Failed};
use crate::value::Val;

type Result<T> = std::result::Result<T, Failed>;

/// A name that no expression can use, for loops that never run.
const UNUSED: &str = "#unused";
const SORT_INPUT: &str = "@__sortBy_input__";

/// A call as it is written, or what it is short for.
pub(super) fn call(
    builder: &mut Builder,
    id: Id,
    function: &str,
    target: Option<Expr>,
    args: Vec<Expr>,
) -> Result<Expr> {
    let mut maker = Maker { offset: builder.offset(id), builder };
    match (function, target, args.len()) {
        ("has", None, 1) => maker.has(args),
        ("all" | "exists" | "exists_one" | "existsOne", Some(range), 2 | 3) => maker.quantifier(function, range, args),
        ("map", Some(range), 2 | 3) => maker.map(range, args),
        ("filter", Some(range), 2) => maker.filter(range, args),
        ("transformList", Some(range), 3 | 4) => maker.transform_list(range, args),
        ("transformMap" | "transformMapEntry", Some(range), 3 | 4) => maker.transform_map(function, range, args),
        ("optMap" | "optFlatMap", Some(target), 2) => maker.optional_map(function, target, args),
        ("sortBy", Some(target), 2) if maker.builder.sort_by => maker.sort_by(target, args),
        (_, target, _) => {
            let target = target.map(Box::new);
            maker.builder.node(id, Kind::Call(Call { function: function.into(), target, args }))
        }
    }
}

/// Makes nodes that stand where the macro was called.
struct Maker<'a> {
    builder: &'a mut Builder,
    offset: usize,
}

impl Maker<'_> {
    fn node(&mut self, kind: Kind) -> Result<Expr> {
        let id = self.builder.id(self.offset);
        self.builder.node(id, kind)
    }

    fn literal(&mut self, value: Val) -> Result<Expr> {
        self.node(Kind::Literal(value))
    }

    fn ident(&mut self, name: &str) -> Result<Expr> {
        self.node(Kind::Ident(name.into()))
    }

    fn accu(&mut self) -> Result<Expr> {
        self.ident(ACCU)
    }

    fn call(&mut self, function: &str, args: Vec<Expr>) -> Result<Expr> {
        let id = self.builder.id(self.offset);
        self.builder.call(id, function, args)
    }

    fn member(&mut self, function: &str, target: Expr) -> Result<Expr> {
        self.node(Kind::Call(Call { function: function.into(), target: Some(target.into()), args: Vec::new() }))
    }

    fn empty_list(&mut self) -> Result<Expr> {
        self.node(Kind::List(Vec::new()))
    }

    fn fail<T>(&mut self, at: &Expr, message: impl Into<String>) -> Result<T> {
        let offset = self.builder.offset(at.id);
        self.builder.fail(Some(offset), message)
    }

    fn fold(&mut self, range: Expr, vars: Vars, init: Expr, condition: Expr, step: Expr, result: Expr) -> Result<Expr> {
        self.node(Kind::Comprehension(Box::new(Comprehension {
            range,
            var: vars.0,
            var2: vars.1,
            accu: ACCU.into(),
            init,
            condition,
            step,
            result,
        })))
    }

    /// `[].fold(...)` that never runs: names a value for one expression.
    fn bind(&mut self, name: &str, value: Expr, body: Expr) -> Result<Expr> {
        let range = self.empty_list()?;
        let condition = self.literal(Val::Bool(false))?;
        let step = self.ident(name)?;
        self.node(Kind::Comprehension(Box::new(Comprehension {
            range,
            var: UNUSED.into(),
            var2: None,
            accu: name.into(),
            init: value,
            condition,
            step,
            result: body,
        })))
    }

    /// The loop variable that an argument names.
    fn variable(&mut self, arg: &Expr, otherwise: &str) -> Result<Arc<str>> {
        match &arg.kind {
            Kind::Ident(name) if [ACCU, "__result__"].contains(&&**name) => {
                self.fail(arg, "iteration variable overwrites accumulator variable")
            }
            Kind::Ident(name) => Ok(Arc::clone(name)),
            _ => self.fail(arg, otherwise),
        }
    }

    /// Takes the loop variables off the arguments: `count` of them.
    fn variables(&mut self, args: &mut Vec<Expr>, count: usize, otherwise: &str) -> Result<Vars> {
        let first = self.variable(&args[0], otherwise)?;
        let second = if count == 2 { Some(self.variable(&args[1], "argument must be a simple name")?) } else { None };
        if second.as_ref() == Some(&first) {
            let duplicate = args[1].clone();
            return self.fail(&duplicate, format!("duplicate variable name: {first}"));
        }
        args.drain(..count);
        Ok(Vars(first, second))
    }

    fn has(&mut self, mut args: Vec<Expr>) -> Result<Expr> {
        let arg = args.remove(0);
        match arg.kind {
            Kind::Select { operand, field, test: false } => self.node(Kind::Select { operand, field, test: true }),
            kind => self.fail(&Expr { kind, ..arg }, "invalid argument to has() macro"),
        }
    }

    fn quantifier(&mut self, function: &str, range: Expr, mut args: Vec<Expr>) -> Result<Expr> {
        let count = args.len() - 1;
        let vars = self.variables(&mut args, count, "argument must be a simple name")?;
        let predicate = args.remove(0);
        let accu = self.accu()?;
        let (init, condition, step, result) = match function {
            "all" => {
                let condition = self.call("@not_strictly_false", vec![accu])?;
                let accu = self.accu()?;
                let step = self.call("_&&_", vec![accu, predicate])?;
                (self.literal(Val::Bool(true))?, condition, step, self.accu()?)
            }
            "exists" => {
                let not = self.call("!_", vec![accu])?;
                let condition = self.call("@not_strictly_false", vec![not])?;
                let accu = self.accu()?;
                let step = self.call("_||_", vec![accu, predicate])?;
                (self.literal(Val::Bool(false))?, condition, step, self.accu()?)
            }
            _ => {
                let one = self.literal(Val::Int(1))?;
                let more = self.call("_+_", vec![accu, one])?;
                let same = self.accu()?;
                let step = self.call("_?_:_", vec![predicate, more, same])?;
                let (accu, one) = (self.accu()?, self.literal(Val::Int(1))?);
                let result = self.call("_==_", vec![accu, one])?;
                (self.literal(Val::Int(0))?, self.literal(Val::Bool(true))?, step, result)
            }
        };
        self.fold(range, vars, init, condition, step, result)
    }

    /// A loop that appends to a list where the filter lets it.
    fn append(&mut self, range: Expr, vars: Vars, filter: Option<Expr>, item: Expr) -> Result<Expr> {
        let accu = self.accu()?;
        let items = self.node(Kind::List(vec![(item, false)]))?;
        let step = self.call("_+_", vec![accu, items])?;
        let init = self.empty_list()?;
        self.filtered(range, vars, init, filter, step)
    }

    fn filtered(&mut self, range: Expr, vars: Vars, init: Expr, filter: Option<Expr>, step: Expr) -> Result<Expr> {
        let step = match filter {
            None => step,
            Some(filter) => {
                let accu = self.accu()?;
                self.call("_?_:_", vec![filter, step, accu])?
            }
        };
        let condition = self.literal(Val::Bool(true))?;
        let result = self.accu()?;
        self.fold(range, vars, init, condition, step, result)
    }

    fn map(&mut self, range: Expr, mut args: Vec<Expr>) -> Result<Expr> {
        let vars = self.variables(&mut args, 1, "argument is not an identifier")?;
        let filter = if args.len() == 2 { Some(args.remove(0)) } else { None };
        self.append(range, vars, filter, args.remove(0))
    }

    fn filter(&mut self, range: Expr, mut args: Vec<Expr>) -> Result<Expr> {
        let item = args[0].clone();
        let vars = self.variables(&mut args, 1, "argument is not an identifier")?;
        let filter = args.remove(0);
        self.append(range, vars, Some(filter), item)
    }

    fn transform_list(&mut self, range: Expr, mut args: Vec<Expr>) -> Result<Expr> {
        let vars = self.variables(&mut args, 2, "argument must be a simple name")?;
        let filter = if args.len() == 2 { Some(args.remove(0)) } else { None };
        self.append(range, vars, filter, args.remove(0))
    }

    fn transform_map(&mut self, function: &str, range: Expr, mut args: Vec<Expr>) -> Result<Expr> {
        let vars = self.variables(&mut args, 2, "argument must be a simple name")?;
        let filter = if args.len() == 2 { Some(args.remove(0)) } else { None };
        let mut insert = vec![self.accu()?];
        if function == "transformMap" {
            insert.push(self.ident(&vars.0)?);
        }
        insert.push(args.remove(0));
        let step = self.call("cel.@mapInsert", insert)?;
        let init = self.node(Kind::Map(Vec::new()))?;
        self.filtered(range, vars, init, filter, step)
    }

    fn optional_map(&mut self, function: &str, target: Expr, mut args: Vec<Expr>) -> Result<Expr> {
        let Kind::Ident(name) = &args[0].kind else {
            let arg = args.remove(0);
            return self.fail(&arg, format!("{function}() variable name must be a simple identifier"));
        };
        let name = Arc::clone(name);
        let copy = self.copy(&target)?;
        let value = self.member("value", copy)?;
        let mut then = self.bind(&name, value, args.remove(1))?;
        if function == "optMap" {
            then = self.call("optional.of", vec![then])?;
        }
        let condition = self.member("hasValue", target)?;
        let otherwise = self.call("optional.none", Vec::new())?;
        self.call("_?_:_", vec![condition, then, otherwise])
    }

    fn sort_by(&mut self, target: Expr, mut args: Vec<Expr>) -> Result<Expr> {
        if matches!(target.kind, Kind::Literal(_) | Kind::Map(_) | Kind::Message { .. }) {
            let why = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
            return self.fail(&target, why);
        }
        let vars = self.variables(&mut args, 1, "argument is not an identifier")?;
        let range = self.ident(SORT_INPUT)?;
        let keys = self.append(range, vars, None, args.remove(0))?;
        let input = self.ident(SORT_INPUT)?;
        let sorted = self.node(Kind::Call(Call {
            function: "@sortByAssociatedKeys".into(),
            target: Some(input.into()),
            args: vec![keys],
        }))?;
        self.bind(SORT_INPUT, target, sorted)
    }

    /// The same expression with nodes of its own.
    fn copy(&mut self, expr: &Expr) -> Result<Expr> {
        let mut copy = expr.clone();
        self.renumber(&mut copy);
        Ok(copy)
    }

    fn renumber(&mut self, expr: &mut Expr) {
        let offset = self.builder.offset(expr.id);
        expr.id = self.builder.id(offset);
        match &mut expr.kind {
            Kind::Literal(_) | Kind::Ident(_) => {}
            Kind::Select { operand, .. } => self.renumber(operand),
            Kind::Call(call) => {
                call.target.iter_mut().for_each(|target| self.renumber(target));
                call.args.iter_mut().for_each(|arg| self.renumber(arg));
            }
            Kind::List(items) => items.iter_mut().for_each(|(item, _)| self.renumber(item)),
            Kind::Map(entries) => entries.iter_mut().for_each(|entry| {
                self.renumber(&mut entry.key);
                self.renumber(&mut entry.value);
            }),
            Kind::Message { fields, .. } => fields.iter_mut().for_each(|(_, _, value, _)| self.renumber(value)),
            Kind::Comprehension(c) => {
                [&mut c.range, &mut c.init, &mut c.condition, &mut c.step, &mut c.result]
                    .into_iter()
                    .for_each(|part| self.renumber(part));
            }
        }
    }
}

/// One or two loop variables.
struct Vars(Arc<str>, Option<Arc<str>>);
