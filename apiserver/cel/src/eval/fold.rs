//! Loops.
//!
//! What cel-go writes as `accu + [item]` is done in place: otherwise building a
//! list would copy it for every item. The cost is that of what is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Evaluator;
use crate::cost::LIST_COST;
use crate::error::Error;
use crate::library::insert;
use crate::syntax::ast::{ACCU, Comprehension, Expr, Kind};
use crate::value::{Key, List, Map, Outcome, Val};

/// Iterations between two questions whether to go on.
const CHECK_EVERY: u64 = 100;

/// A step that only adds something, where its filter lets it.
struct Addition<'a> {
    filter: Option<&'a Expr>,
    what: Added<'a>,
}

enum Added<'a> {
    Item { list: &'a Expr, item: &'a Expr },
    Entry { key: &'a Expr, value: &'a Expr },
    Entries(&'a Expr),
}

enum Target {
    List(Vec<Val>),
    Map(BTreeMap<Key, Val>),
}

fn is_accu(expr: &Expr) -> bool {
    matches!(&expr.kind, Kind::Ident(name) if &**name == ACCU)
}

fn addition(step: &Expr) -> Option<Addition<'_>> {
    let Kind::Call(call) = &step.kind else { return None };
    match (&*call.function, call.args.as_slice()) {
        ("_?_:_", [filter, then, otherwise]) if is_accu(otherwise) => {
            let inner = addition(then).filter(|inner| inner.filter.is_none())?;
            Some(Addition { filter: Some(filter), ..inner })
        }
        ("_+_", [accu, list]) if is_accu(accu) => match &list.kind {
            Kind::List(items) => match items.as_slice() {
                [(item, false)] => Some(Addition { filter: None, what: Added::Item { list, item } }),
                _ => None,
            },
            _ => None,
        },
        ("cel.@mapInsert", [accu, key, value]) if is_accu(accu) => {
            Some(Addition { filter: None, what: Added::Entry { key, value } })
        }
        ("cel.@mapInsert", [accu, entries]) if is_accu(accu) => {
            Some(Addition { filter: None, what: Added::Entries(entries) })
        }
        _ => None,
    }
}

impl<'a> Evaluator<'a> {
    pub(super) fn fold(&mut self, c: &'a Comprehension) -> Outcome {
        if c.is_binding() {
            let value = self.eval(&c.init)?;
            self.scopes.push((Arc::clone(&c.accu), Ok(value)));
            let result = self.eval(&c.result);
            self.scopes.pop();
            return result;
        }
        let items = items(&self.eval(&c.range)?, c.var2.is_some())?;
        let init = self.eval(&c.init)?;
        let depth = self.scopes.len();
        let accu = match (addition(&c.step), &init) {
            (Some(addition), Val::List(list)) if list.items.is_empty() => {
                self.gather(c, items, &addition, Target::List(Vec::new()))
            }
            (Some(addition), Val::Map(map)) if map.entries.is_empty() => {
                self.gather(c, items, &addition, Target::Map(BTreeMap::new()))
            }
            _ => self.reduce(c, items, init),
        };
        self.scopes.truncate(depth);
        let accu = match accu {
            Err(error) if error.is_final() => return Err(error),
            accu => accu,
        };
        self.scopes.push((Arc::clone(&c.accu), accu));
        let result = self.eval(&c.result);
        self.scopes.pop();
        result
    }

    /// Counts a round, and stops the loop if nobody waits for it.
    fn next_round(&mut self) -> Result<(), Error> {
        self.iterations += 1;
        if self.iterations.is_multiple_of(CHECK_EVERY) && (self.limits.interrupted)() {
            return Err(Error::interrupted());
        }
        Ok(())
    }

    fn enter(&mut self, c: &Comprehension, (first, second): (Val, Option<Val>)) {
        self.scopes.push((Arc::clone(&c.var), Ok(first)));
        if let (Some(name), Some(value)) = (&c.var2, second) {
            self.scopes.push((Arc::clone(name), Ok(value)));
        }
    }

    fn reduce(&mut self, c: &'a Comprehension, items: Vec<(Val, Option<Val>)>, init: Val) -> Outcome {
        let depth = self.scopes.len();
        self.scopes.push((Arc::clone(&c.accu), Ok(init)));
        for item in items {
            self.next_round()?;
            self.enter(c, item);
            let go_on = self.eval(&c.condition);
            let step = match go_on {
                Ok(Val::Bool(false)) => None,
                Ok(_) => Some(self.eval(&c.step)),
                Err(error) => return Err(error),
            };
            self.scopes.truncate(depth + 1);
            match step {
                None => break,
                Some(Err(error)) if error.is_final() => return Err(error),
                Some(value) => self.scopes[depth].1 = value,
            }
        }
        self.scopes.pop().map_or_else(|| Err(Error::no_such_overload()), |(_, accu)| accu)
    }

    /// A loop that only adds; the first error ends it.
    fn gather(
        &mut self,
        c: &'a Comprehension,
        items: Vec<(Val, Option<Val>)>,
        addition: &Addition<'a>,
        mut target: Target,
    ) -> Outcome {
        let depth = self.scopes.len();
        for item in items {
            self.next_round()?;
            self.enter(c, item);
            let added = self.add(addition, &mut target);
            self.scopes.truncate(depth);
            added?;
        }
        Ok(match target {
            Target::List(items) => List::of(items),
            Target::Map(entries) => Val::Map(Map { entries: Arc::new(entries), object: None }),
        })
    }

    fn add(&mut self, addition: &Addition<'a>, target: &mut Target) -> Result<(), Error> {
        if let Some(filter) = addition.filter {
            match self.eval(filter)? {
                Val::Bool(true) => {}
                Val::Bool(false) => return Ok(()),
                _ => return Err(Error::no_such_overload()),
            }
        }
        // The accumulator is looked up to be added to.
        self.charge(1)?;
        match (&addition.what, target) {
            (Added::Item { list, item }, Target::List(items)) => {
                items.push(self.eval(item)?);
                let is_constant = self.prepared.constants.contains_key(&list.id);
                self.charge(if is_constant { 1 } else { LIST_COST + 1 })
            }
            (Added::Entry { key, value }, Target::Map(entries)) => {
                let (key, value) = (self.eval(key)?, self.eval(value)?);
                self.charge(1)?;
                let key =
                    Key::of(&key).ok_or_else(|| Error::new(format!("unsupported key type: {}", key.type_().name())))?;
                insert(entries, BTreeMap::from([(key, value)]))
            }
            (Added::Entries(more), Target::Map(entries)) => {
                let more = self.eval(more)?;
                self.charge(1)?;
                let Val::Map(more) = more else { return Err(Error::no_such_overload()) };
                insert(entries, (*more.entries).clone())
            }
            _ => Err(Error::no_such_overload()),
        }
    }
}

/// What a loop goes over: items, or keys; with a second variable positions or keys, and values.
fn items(range: &Val, two: bool) -> Result<Vec<(Val, Option<Val>)>, Error> {
    match range {
        Val::List(list) if two => {
            let positions = (0_i64..).map(Val::Int);
            Ok(positions.zip(list.items.iter()).map(|(at, item)| (at, Some(item.clone()))).collect())
        }
        Val::List(list) => Ok(list.items.iter().map(|item| (item.clone(), None)).collect()),
        Val::Map(map) if two => {
            Ok(map.keys().zip(map.entries.values()).map(|(key, value)| (key, Some(value.clone()))).collect())
        }
        Val::Map(map) => Ok(map.keys().map(|key| (key, None)).collect()),
        Val::Invalid(error) => Err(error.clone()),
        _ => Err(Error::no_such_overload()),
    }
}
