//! Lists taken as sets (cel-go: `ext.Sets`).

use super::Line;
use super::standard::contains;
use crate::error::Error;
use crate::value::{Outcome, Val};

pub(super) const LINES: &[Line] = &[
    ("sets.contains", "list_sets_contains_list", "(list(T), list(T)) -> bool", has_all),
    ("sets.equivalent", "list_sets_equivalent_list", "(list(T), list(T)) -> bool", equivalent),
    ("sets.intersects", "list_sets_intersects_list", "(list(T), list(T)) -> bool", intersects),
];

fn lists(args: &[Val]) -> Result<(&[Val], &[Val]), Error> {
    match args {
        [Val::List(a), Val::List(b)] => Ok((&a.items, &b.items)),
        _ => Err(Error::no_such_overload()),
    }
}

fn all_in(part: &[Val], whole: &[Val]) -> Outcome {
    for item in part {
        match contains(whole, item)? {
            Val::Bool(true) => {}
            other => return Ok(other),
        }
    }
    Ok(Val::Bool(true))
}

fn has_all(args: &[Val]) -> Outcome {
    let (whole, part) = lists(args)?;
    all_in(part, whole)
}

fn equivalent(args: &[Val]) -> Outcome {
    let (a, b) = lists(args)?;
    match all_in(b, a)? {
        Val::Bool(true) => all_in(a, b),
        other => Ok(other),
    }
}

fn intersects(args: &[Val]) -> Outcome {
    let (a, b) = lists(args)?;
    Ok(Val::Bool(a.iter().any(|item| matches!(contains(b, item), Ok(Val::Bool(true))))))
}
