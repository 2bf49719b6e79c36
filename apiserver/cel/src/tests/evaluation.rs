//! Expressions and their values.

use std::collections::HashMap;

use crate::{Environment, Expressions, Limits, Val};

#[track_caller]
fn value(text: &str) -> Result<Val, String> {
    let program = Environment::new(Expressions::Stored).compile(text).map_err(|error| error.to_string())?;
    let limits = Limits { cost: 1_000_000, interrupted: &|| false };
    program.evaluate(&HashMap::<&str, Val>::new(), limits).value.map_err(|error| error.to_string())
}

#[track_caller]
fn check(text: &str) {
    match value(text) {
        Ok(Val::Bool(true)) => {}
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn arithmetic() {
    check("1 + 2 * 3 == 7");
}
