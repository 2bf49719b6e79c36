//! The Common Expression Language, as Kubernetes 1.34 has it.
//!
//! ```
//! use std::collections::HashMap;
//! use apiserver_cel::{Environment, Expressions, Limits, Type, Val};
//!
//! let environment = Environment::new(Expressions::New).with_variable("size", Type::Int);
//! let program = environment.compile("size > 3 ? 'large' : 'small'").unwrap();
//! assert_eq!(program.output_type(), &Type::String);
//!
//! let variables = HashMap::from([("size", Val::Int(5))]);
//! let limits = Limits { cost: 1_000_000, interrupted: &|| false };
//! let evaluated = program.evaluate(&variables, limits);
//! assert_eq!(evaluated.value.unwrap().as_str(), Some("large"));
//! ```
//!
//! # Flow
//!
//! An [`Environment`] says which variables there are and of which types; for
//! data with a schema that is a [`DeclType`]. [`Environment::compile`] parses,
//! finds types and refuses what is wrong, in cel-go's words, because people
//! know those. [`Program::estimate`] tells what the program may cost at most,
//! [`Program::evaluate`] its value and what that did cost.
//!
//! # Guarantees
//!
//! Compiling and evaluating never panic and are bounded, whatever the text:
//! in length, depth and number of nodes before evaluation, in cost during it.
//!
//! # Caveats
//!
//! Names of time zones are those that the system knows, if it knows any; UTC
//! and offsets always work. Patterns are those of the crate `regex`, which
//! reads nearly what Go's RE2 does. After a syntax error nothing more is told.
//! Libraries are upstream's: there is no `cel.bind` and no `math`, as there.

mod check;
mod cost;
mod error;
pub mod escape;
mod eval;
mod library;
mod program;
mod schema;
mod syntax;
mod types;
mod value;

pub use cost::Range;
pub use error::{Error, ErrorKind};
pub use eval::{Evaluated, Limits, Variables};
pub use library::{AuthorizationCheck, Authorizer, Decision};
pub use program::{CompileError, Environment, Expressions, Program};
pub use schema::{DeclType, MAX_REQUEST_SIZE};
pub use syntax::issues::{Issue, Issues};
pub use syntax::words::is_identifier;
pub use types::{ObjectType, Type};
pub use value::{Outcome, Val};

/// The most that one evaluation may cost: about a tenth of a second.
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// The most that all rules of an object or all of a policy may cost: about a second.
pub const RUNTIME_COST_BUDGET: u64 = 10_000_000;
/// The most that the match conditions of one webhook or policy may cost.
pub const MATCH_CONDITIONS_BUDGET: u64 = 2_500_000;
/// The most bytes a message may have that an expression makes.
pub const MAX_MESSAGE_SIZE: usize = 5 * 1024;

#[cfg(test)]
mod tests;
