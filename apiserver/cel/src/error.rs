//! What goes wrong during evaluation, in cel-go's words.

use std::fmt;
use std::sync::Arc;

/// Why an evaluation has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    text: Arc<str>,
}

/// What whoever asked for the value may want to know of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The expression failed on its data: `&&` and `||` may do without the value.
    Value,
    /// No operator or function takes values of these types.
    NoSuchOverload,
    /// The evaluation cost too much and was stopped.
    CostLimit,
    /// The evaluation took too long and was stopped.
    Interrupted,
}

impl Error {
    pub(crate) fn new(text: impl Into<Arc<str>>) -> Self {
        Self { kind: ErrorKind::Value, text: text.into() }
    }

    pub(crate) fn no_such_overload() -> Self {
        Self { kind: ErrorKind::NoSuchOverload, text: "no such overload".into() }
    }

    /// With the function and the types it was called with.
    pub(crate) fn no_such_call(function: &str, types: &[String]) -> Self {
        Self {
            kind: ErrorKind::NoSuchOverload,
            text: format!("no such overload: {function}({})", types.join(", ")).into(),
        }
    }

    pub(crate) fn no_such_key(key: &dyn fmt::Display) -> Self {
        Self::new(format!("no such key: {key}"))
    }

    pub(crate) fn cost_limit() -> Self {
        Self { kind: ErrorKind::CostLimit, text: "operation cancelled: actual cost limit exceeded".into() }
    }

    pub(crate) fn interrupted() -> Self {
        Self { kind: ErrorKind::Interrupted, text: "operation interrupted".into() }
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the evaluation was stopped, and nothing may absorb the error.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.kind, ErrorKind::CostLimit | ErrorKind::Interrupted)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
