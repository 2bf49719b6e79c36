//! Compiling: from text to something that can be evaluated.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use regex::Regex;

use crate::check::{Facts, Names, Reference, check, validate};
use crate::cost::{self, Range};
use crate::eval::{Evaluated, Evaluator, Limits, Prepared, Variables};
use crate::library::regexes;
use crate::schema::DeclType;
use crate::syntax::ast::{Expr, Id, Kind};
use crate::syntax::issues::Issues;
use crate::syntax::parse;
use crate::types::Type;
use crate::value::Val;

/// Which expressions are compiled.
///
/// A new expression must also be understood by the version before, in case of
/// a rollback; one that is stored already may use everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expressions {
    New,
    Stored,
}

/// What expressions may name.
#[derive(Clone, Debug)]
pub struct Environment {
    names: Names,
}

/// An expression that can be evaluated.
#[derive(Debug)]
pub struct Program {
    root: Expr,
    facts: Facts,
    prepared: Prepared,
}

/// Why an expression cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// Its text is wrong.
    Issues(Issues),
    /// A part of it that is only looked at in the end is wrong.
    Program(String),
}

impl std::error::Error for CompileError {}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issues(issues) => issues.fmt(f),
            Self::Program(why) => f.write_str(why),
        }
    }
}

impl Environment {
    /// Without variables.
    pub fn new(expressions: Expressions) -> Self {
        Self { names: Names { newest: expressions == Expressions::Stored, ..Names::default() } }
    }

    /// With one more variable. A name may have dots.
    #[must_use]
    pub fn with_variable(mut self, name: &str, type_: Type) -> Self {
        self.names.variables.insert(name.to_owned(), type_);
        self
    }

    /// The same with a variable `authorizer`, and `authorizer.requestResource` for the resource of the request.
    #[must_use]
    pub fn with_authorizer(self) -> Self {
        self.with_variable("authorizer", Type::opaque("kubernetes.authorization.Authorizer"))
            .with_variable("authorizer.requestResource", Type::opaque("kubernetes.authorization.ResourceCheck"))
    }

    pub fn compile(&self, text: &str) -> Result<Program, CompileError> {
        let issues = |found| CompileError::Issues(Issues::new(text, found));
        let parsed = parse(text, self.names.newest).map_err(CompileError::Issues)?;
        let facts = check(&parsed.root, &parsed.offsets, &self.names).map_err(issues)?;
        let found = validate(&parsed.root, &parsed.offsets, &facts);
        if !found.is_empty() {
            return Err(issues(found));
        }
        let patterns = patterns(&parsed.root).map_err(CompileError::Program)?;
        let mut prepared = Prepared { patterns, constants: HashMap::new() };
        prepare(&parsed.root, &facts, &mut prepared);
        Ok(Program { root: parsed.root, facts, prepared })
    }
}

fn patterns(root: &Expr) -> Result<HashMap<Id, Regex>, String> {
    let mut patterns = HashMap::new();
    let mut failed = None;
    root.walk(&mut |expr| {
        let Kind::Call(call) = &expr.kind else { return };
        let receiver = usize::from(call.target.is_some());
        let Some(arg) = call.args.get(1 - receiver).filter(|_| regexes::takes_pattern(&call.function)) else { return };
        let Kind::Literal(Val::String(pattern)) = &arg.kind else { return };
        match regexes::compile(pattern) {
            Ok(regex) => {
                patterns.insert(arg.id, regex);
            }
            Err(why) => failed = Some(why),
        }
    });
    failed.map_or(Ok(patterns), Err)
}

/// Evaluates what depends on no variable (cel-go: `OptOptimize`). Whatever fails is left for evaluation to tell.
fn prepare(root: &Expr, facts: &Facts, prepared: &mut Prepared) {
    if is_constant(root, facts) {
        let none = HashMap::<&str, Val>::new();
        let limits = Limits { cost: crate::PER_CALL_LIMIT, interrupted: &|| false };
        if let Ok(value) = Evaluator::run(root, facts, prepared, &none, limits).value {
            prepared.constants.insert(root.id, value);
            return;
        }
    }
    for child in root.children() {
        prepare(child, facts, prepared);
    }
}

fn is_constant(expr: &Expr, facts: &Facts) -> bool {
    const CONVERSIONS: [&str; 10] =
        ["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"];
    match &expr.kind {
        Kind::Literal(_) => true,
        Kind::Ident(_) | Kind::Select { .. } => matches!(facts.reference(expr), Some(Reference::Type(_))),
        Kind::List(items) => items.iter().all(|(item, optional)| !optional && is_constant(item, facts)),
        Kind::Map(entries) => entries
            .iter()
            .all(|entry| !entry.optional && is_constant(&entry.key, facts) && is_constant(&entry.value, facts)),
        Kind::Call(call) => {
            CONVERSIONS.contains(&&*call.function)
                && call.target.is_none()
                && call.args.iter().all(|arg| is_constant(arg, facts))
        }
        Kind::Message { .. } | Kind::Comprehension(_) => false,
    }
}

impl Program {
    /// The type of its value.
    pub fn output_type(&self) -> &Type {
        self.facts.type_of(&self.root)
    }

    /// Whether it looks at a variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.facts.uses(variable)
    }

    /// What it may cost over data of type `root`, which all variables are taken to have.
    pub fn estimate(&self, root: Option<&Arc<DeclType>>) -> Range {
        cost::estimate(&self.root, &self.facts, root)
    }

    pub fn evaluate(&self, variables: &dyn Variables, limits: Limits<'_>) -> Evaluated {
        Evaluator::run(&self.root, &self.facts, &self.prepared, variables, limits)
    }
}
