//! The tree of an expression.
//!
//! Every node has a number, by which type checking and cost estimation keep
//! what they learn. Macros may put one node into the tree twice, under one
//! number, as cel-go does.

use std::sync::Arc;

use crate::value::Val;

/// Number of a node.
pub(crate) type Id = usize;

#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) id: Id,
    pub(crate) kind: Kind,
    /// The longest way to a leaf; bounds every recursion over the tree.
    pub(crate) height: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Literal(Val),
    Ident(Arc<str>),
    Select {
        operand: Box<Expr>,
        field: Arc<str>,
        /// `has(a.b)`: only asks whether it is there.
        test: bool,
    },
    Call(Call),
    /// Elements, and which of them are optional.
    List(Vec<(Expr, bool)>),
    Map(Vec<Entry>),
    /// `Type{field: value}`
    Message {
        name: Arc<str>,
        fields: Vec<(Arc<str>, Id, Expr, bool)>,
    },
    Comprehension(Box<Comprehension>),
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: Arc<str>,
    pub(crate) target: Option<Box<Expr>>,
    pub(crate) args: Vec<Expr>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Expr,
    pub(crate) value: Expr,
    pub(crate) optional: bool,
}

/// A loop over a list or a map that folds into `accu`.
#[derive(Clone, Debug)]
pub(crate) struct Comprehension {
    pub(crate) range: Expr,
    pub(crate) var: Arc<str>,
    /// The value beside an index or key.
    pub(crate) var2: Option<Arc<str>>,
    pub(crate) accu: Arc<str>,
    pub(crate) init: Expr,
    pub(crate) condition: Expr,
    pub(crate) step: Expr,
    pub(crate) result: Expr,
}

/// What macros fold into. cel-go hides it behind a character that no identifier may have.
pub(crate) const ACCU: &str = "@result";

impl Comprehension {
    /// A loop that never runs, and so only names a value.
    pub(crate) fn is_binding(&self) -> bool {
        matches!(&self.range.kind, Kind::List(items) if items.is_empty())
            && matches!(self.condition.kind, Kind::Literal(Val::Bool(false)))
            && &*self.accu != ACCU
    }
}

impl Expr {
    /// All nodes right below this one.
    pub(crate) fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => Vec::new(),
            Kind::Select { operand, .. } => vec![operand],
            Kind::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
            Kind::List(items) => items.iter().map(|(item, _)| item).collect(),
            Kind::Map(entries) => entries.iter().flat_map(|entry| [&entry.key, &entry.value]).collect(),
            Kind::Message { fields, .. } => fields.iter().map(|(_, _, value, _)| value).collect(),
            Kind::Comprehension(c) => vec![&c.range, &c.init, &c.condition, &c.step, &c.result],
        }
    }

    /// The text of a chain of names, `a.b.c`.
    pub(crate) fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            Kind::Ident(name) => Some(name.to_string()),
            Kind::Select { operand, field, test: false } => Some(format!("{}.{field}", operand.qualified_name()?)),
            _ => None,
        }
    }

    pub(crate) fn as_string(&self) -> Option<&str> {
        match &self.kind {
            Kind::Literal(Val::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Visits this node and all below.
    pub(crate) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }
}
