//! What an expression may cost at most, from the sizes that its data may have (cel-go: `checker/cost.go`).
//!
//! The numbers decide which rules a definition may have, so they are those of
//! upstream to the unit, oddities included.

mod calls;
mod range;

use std::collections::HashMap;
use std::sync::Arc;

use crate::check::{Facts, Reference};
use crate::schema::DeclType;
use crate::syntax::ast::{Call, Comprehension, Expr, Id, Kind};
use crate::types::Type;
use crate::value::Val;
pub use range::Range;
pub(crate) use range::scaled;

pub(crate) const STRING_FACTOR: f64 = 0.1;
pub(crate) const REGEX_FACTOR: f64 = 0.25;
pub(crate) const LIST_COST: u64 = 10;
pub(crate) const MAP_COST: u64 = 30;
pub(crate) const MESSAGE_COST: u64 = 40;
pub(crate) const CHECK_COST: u64 = 350_000;

/// Functions of Kubernetes' libraries that read a part of a value or compare small ones, and cost one, whatever they are
/// given.
pub(crate) fn takes_one(function: &str) -> bool {
    matches!(
        function,
        "serviceAccount"
            | "path"
            | "group"
            | "resource"
            | "subresource"
            | "namespace"
            | "name"
            | "allowed"
            | "reason"
            | "error"
            | "errored"
            | "masked"
            | "prefixLength"
            | "family"
            | "isUnspecified"
            | "isLoopback"
            | "isLinkLocalMulticast"
            | "isLinkLocalUnicast"
            | "isGlobalUnicast"
            | "format.named"
            | "sign"
            | "asInteger"
            | "isInteger"
            | "asApproximateFloat"
            | "isGreaterThan"
            | "isLessThan"
            | "compareTo"
            | "add"
            | "sub"
            | "major"
            | "minor"
            | "patch"
            | "getScheme"
            | "getHostname"
            | "getHost"
            | "getPort"
            | "getEscapedPath"
            | "getQuery"
    )
}

/// Where a value comes from, as far as that tells its size.
#[derive(Clone, Debug, Default)]
enum Path {
    /// Not from data.
    #[default]
    None,
    /// From data of this type.
    Known(Arc<DeclType>),
    /// From data, but its type is not declared.
    Lost,
}

/// The sizes of the keys and values of a list or a map.
#[derive(Clone, Copy, Debug)]
struct Entries {
    is_list: bool,
    key: Range,
    value: Range,
}

#[derive(Clone, Debug)]
struct Local {
    name: Arc<str>,
    path: Path,
    size: Option<Range>,
    entries: Option<Entries>,
}

/// What is known of an argument.
#[derive(Clone, Debug)]
struct Node<'e> {
    expr: Option<&'e Expr>,
    path: Path,
    type_: Type,
    size: Option<Range>,
}

/// The cost of an expression over data of type `root`; without it, sizes are unknown.
pub(crate) fn estimate(expr: &Expr, facts: &Facts, root: Option<&Arc<DeclType>>) -> Range {
    let mut coster = Coster {
        facts,
        root,
        paths: HashMap::new(),
        sizes: HashMap::new(),
        entries: HashMap::new(),
        locals: Vec::new(),
    };
    coster.cost(expr)
}

struct Coster<'a> {
    facts: &'a Facts,
    root: Option<&'a Arc<DeclType>>,
    paths: HashMap<Id, Path>,
    sizes: HashMap<Id, Range>,
    entries: HashMap<Id, Entries>,
    locals: Vec<Local>,
}

impl<'a> Coster<'a> {
    fn cost(&mut self, expr: &'a Expr) -> Range {
        match &expr.kind {
            Kind::Literal(_) => Range::default(),
            Kind::Ident(name) => self.cost_ident(expr, name),
            Kind::Select { operand, field, test } => self.cost_select(expr, operand, field, *test),
            Kind::Call(call) => self.cost_call(expr, call),
            Kind::List(items) => {
                let mut sum = Range::fixed(LIST_COST);
                let mut size = Range::none_yet(items.is_empty());
                for (item, _) in items {
                    sum = sum + self.cost(item);
                    size = size.union(self.size_or_unknown(item));
                }
                self.entries.insert(expr.id, Entries { is_list: true, key: Range::fixed(1), value: size });
                sum
            }
            Kind::Map(entries) => {
                let mut sum = Range::fixed(MAP_COST);
                let mut key = Range::none_yet(entries.is_empty());
                let mut value = key;
                for entry in entries {
                    sum = sum + self.cost(&entry.key) + self.cost(&entry.value);
                    key = key.union(self.size_or_unknown(&entry.key));
                    value = value.union(self.size_or_unknown(&entry.value));
                }
                self.entries.insert(expr.id, Entries { is_list: false, key, value });
                sum
            }
            Kind::Message { fields, .. } => {
                fields.iter().fold(Range::fixed(MESSAGE_COST), |sum, (_, _, value, _)| sum + self.cost(value))
            }
            Kind::Comprehension(c) if c.is_binding() => self.cost_binding(expr, c),
            Kind::Comprehension(c) => self.cost_comprehension(expr, c),
        }
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| &*local.name == name)
    }

    fn root_path(&self) -> Path {
        self.root.map_or(Path::Lost, |root| Path::Known(Arc::clone(root)))
    }

    fn cost_ident(&mut self, expr: &Expr, name: &str) -> Range {
        let path = self.local(name).map(|local| local.path.clone());
        let path = path.unwrap_or_else(|| self.root_path());
        self.paths.insert(expr.id, path);
        Range::fixed(1)
    }

    fn cost_select(&mut self, expr: &'a Expr, operand: &'a Expr, field: &str, test: bool) -> Range {
        if matches!(self.facts.reference(expr), Some(Reference::Variable(_) | Reference::Type(_))) {
            return self.cost_ident(expr, &expr.qualified_name().unwrap_or_default());
        }
        let sum = self.cost(operand);
        if test {
            return sum;
        }
        let step = match self.facts.type_of(operand) {
            Type::Map(..) | Type::Object(_) | Type::Param(_) => 1,
            _ => 0,
        };
        let path = self.extended(operand, field);
        self.paths.insert(expr.id, path);
        sum + Range::fixed(step)
    }

    /// The path one step on. What comes from no data is taken to come from the root, as upstream does.
    fn extended(&self, operand: &Expr, step: &str) -> Path {
        match self.path(operand) {
            Path::None => self.root_path(),
            Path::Lost => Path::Lost,
            Path::Known(type_) => Self::step(&type_, step),
        }
    }

    fn step(type_: &DeclType, step: &str) -> Path {
        let next = match (step, &type_.type_) {
            ("@items" | "@values", _) => type_.elements.clone(),
            // Keys are texts of which no size is known, which upstream takes for none.
            ("@keys", Type::Map(..)) => Some(Arc::new(DeclType::simple(Type::String, 2))),
            (field, Type::Object(object)) => object.fields.get(field).cloned(),
            _ => None,
        };
        next.map_or(Path::Lost, Path::Known)
    }

    fn path(&self, expr: &Expr) -> Path {
        if let Kind::Ident(name) = &expr.kind
            && let Some(local) = self.local(name)
        {
            return local.path.clone();
        }
        self.paths.get(&expr.id).cloned().unwrap_or_default()
    }

    fn node(&mut self, expr: &'a Expr) -> Node<'a> {
        let size = self.size(expr);
        Node { expr: Some(expr), path: self.path(expr), type_: self.facts.type_of(expr).clone(), size }
    }

    /// What the schema says of a size.
    fn declared_size(&self, path: &Path) -> Option<Range> {
        self.root?;
        match path {
            Path::Known(type_) => Some(Range { min: 0, max: type_.max_elements }),
            _ => None,
        }
    }

    fn size(&mut self, expr: &Expr) -> Option<Range> {
        if let Some(size) = self.sizes.get(&expr.id) {
            return Some(*size);
        }
        if let Some(size) = literal_size(expr) {
            return Some(size);
        }
        if let Some(size) = self.declared_size(&self.path(expr)) {
            self.sizes.insert(expr.id, size);
            return Some(size);
        }
        if self.facts.type_of(expr).is_scalar() {
            return Some(Range::fixed(1));
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name).and_then(|local| local.size),
            _ => None,
        }
    }

    fn size_or_unknown(&mut self, expr: &Expr) -> Range {
        self.size(expr).unwrap_or(Range::UNKNOWN)
    }

    fn entry_sizes(&self, expr: &Expr) -> Option<Entries> {
        if let Some(entries) = self.entries.get(&expr.id) {
            return Some(*entries);
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name).and_then(|local| local.entries),
            _ => None,
        }
    }

    fn set_size(&mut self, expr: &Expr, size: Option<Range>) {
        if let Some(size) = size {
            self.sizes.insert(expr.id, size);
        }
    }

    fn copy_sizes(&mut self, to: &Expr, from: &Expr) {
        let size = self.size(from);
        self.set_size(to, size);
        if let Some(entries) = self.entry_sizes(from) {
            self.entries.insert(to.id, entries);
        }
    }

    fn cost_call(&mut self, expr: &'a Expr, call: &'a Call) -> Range {
        if &*call.function == "dyn"
            && let [arg] = call.args.as_slice()
        {
            let cost = self.cost(arg);
            self.copy_sizes(expr, arg);
            return cost + Range::fixed(1);
        }
        let (mut args, mut costs) = (Vec::new(), Vec::new());
        for arg in &call.args {
            costs.push(self.cost(arg));
            args.push(self.node(arg));
        }
        let Some(Reference::Function { name, member, overloads }) = self.facts.reference(expr) else {
            return Range::default();
        };
        let mut sum = Range::default();
        let mut target = None;
        if *member && let Some(receiver) = &call.target {
            sum = self.cost(receiver);
            target = Some(self.node(receiver));
        }
        let mut cost = Range { min: u64::MAX, max: 0 };
        let mut result_size: Option<Range> = None;
        for overload in overloads {
            let (call_cost, size) = self.overload_cost(expr, name, overload, target.as_ref(), &args, &costs);
            cost = cost.union(call_cost);
            if let Some(size) = size {
                result_size = Some(result_size.map_or(size, |known| known.union(size)));
            }
            if let (Some(first), Some(step)) = (call.args.first(), index_step(overload)) {
                result_size = self.entry_sizes(first).map(|entries| entries.value);
                let path = self.extended(first, step);
                self.paths.insert(expr.id, path);
            }
            if result_size.is_none() {
                result_size = self.size(expr);
            }
        }
        self.set_size(expr, result_size);
        sum + cost
    }

    fn push(&mut self, name: &Arc<str>, range: &Expr, step: &str, size: Option<Range>) {
        let path = self.extended(range, step);
        self.locals.push(Local { name: Arc::clone(name), path, size, entries: None });
    }

    fn push_accumulator(&mut self, c: &Comprehension) {
        let (path, entries, size) = (self.path(&c.init), self.entry_sizes(&c.init), self.size(&c.init));
        self.locals.push(Local { name: Arc::clone(&c.accu), path, size, entries });
    }

    fn cost_comprehension(&mut self, expr: &'a Expr, c: &'a Comprehension) -> Range {
        let mut sum = self.cost(&c.range) + self.cost(&c.init);
        self.push_accumulator(c);
        let entries = self.entry_sizes(&c.range);
        let is_list = entries.map_or(matches!(self.facts.type_of(&c.range), Type::List(_)), |e| e.is_list);
        let (key, value) = (entries.map(|e| e.key), entries.map(|e| e.value));
        let value_step = if is_list { "@items" } else { "@values" };
        match &c.var2 {
            Some(var2) => {
                self.push(&c.var, &c.range, if is_list { "@indices" } else { "@keys" }, key);
                self.push(var2, &c.range, value_step, value);
            }
            None if is_list => self.push(&c.var, &c.range, "@items", value),
            None => self.push(&c.var, &c.range, "@keys", key),
        }
        let each = self.cost(&c.condition) + self.cost(&c.step);
        self.locals.truncate(self.locals.len() - 1 - usize::from(c.var2.is_some()));
        sum = sum + self.cost(&c.result);
        self.locals.pop();
        let count = self.size_or_unknown(&c.range);
        match &c.init.kind {
            Kind::Literal(_) => {
                let size = self.size(&c.init);
                self.set_size(expr, size);
            }
            Kind::List(_) | Kind::Map(_) => {
                self.set_size(expr, Some(count));
                if let Some(entries) = self.entry_sizes(&c.step) {
                    self.entries.insert(expr.id, entries);
                }
            }
            _ => {}
        }
        sum + count.times(each)
    }

    fn cost_binding(&mut self, expr: &'a Expr, c: &'a Comprehension) -> Range {
        let sum = self.cost(&c.range) + self.cost(&c.init);
        self.push_accumulator(c);
        let result = self.cost(&c.result);
        self.locals.pop();
        self.copy_sizes(expr, &c.result);
        sum + result
    }
}

fn index_step(overload: &str) -> Option<&'static str> {
    match overload {
        "index_list" => Some("@items"),
        "index_map" => Some("@values"),
        _ => None,
    }
}

fn literal_size(expr: &Expr) -> Option<Range> {
    let size = match &expr.kind {
        Kind::Literal(value @ (Val::String(_) | Val::Bytes(_))) => value.size()?,
        Kind::Literal(_) => 1,
        Kind::List(items) => items.len() as u64,
        Kind::Map(entries) => entries.len() as u64,
        _ => return None,
    };
    Some(Range::fixed(size))
}
